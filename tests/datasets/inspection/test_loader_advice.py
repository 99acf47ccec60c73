"""What the numbers of a measurement are made to say."""

from typing import Any

from kinema.datasets.inspection.loader_advice import advise, differs_when_cold, share_by_kind
from kinema.datasets.inspection.loader_profile import EpochProfile, FrameFacts, LoaderProfile, Stage


def epoch(*stages: tuple[str, str, float] | tuple[str, str, float, float]) -> EpochProfile:
    """Stages (name, kind, milliseconds, CPU share or 1)."""
    return EpochProfile(100, 2.0, tuple(Stage(*(*stage, 1.0)[:4]) for stage in stages))


def profile(*epochs: EpochProfile, **changes: Any) -> LoaderProfile:
    values = {"num_workers": 4, "batch_size": 8, "start_seconds": 0.1, "broken": {}, "frames": None, **changes}
    return LoaderProfile(epochs=epochs, **values)


EVEN = epoch(("OpenVideo", "open", 1), ("DecodeVideo", "decode", 1), *[(f"T{i}", "transform", 1) for i in range(8)])
DECODING = epoch(("OpenVideo", "open", 1), ("DecodeVideo", "decode", 8), ("Resize", "transform", 1))
GOOD_FRAMES = FrameFacts(num_wanted=8, num_walked=10, decoded_short_side=128, used_short_side=128)


def test_shares_add_up_by_kind() -> None:
    shares = share_by_kind(DECODING)
    assert shares == {"open": 0.1, "decode": 0.8, "transform": 0.1}
    assert share_by_kind(epoch()) == {}


def test_a_good_loader_gets_no_advice() -> None:
    assert advise(profile(EVEN), num_cores=4) == []


def test_sparse_key_frames_lead_to_prepare() -> None:
    sparse = FrameFacts(num_wanted=8, num_walked=120, decoded_short_side=128, used_short_side=128)
    (sentence,) = advise(profile(DECODING, frames=sparse), num_cores=4)
    assert sentence.startswith("Opening and decoding take 90% of the time: key frames are sparse, so that the decoder")
    assert "120 frames to give 8. `kinema data prepare SRC DST` re-encodes" in sentence


def test_large_frames_lead_to_prepare_with_a_size() -> None:
    large = FrameFacts(num_wanted=8, num_walked=10, decoded_short_side=720, used_short_side=128)
    (sentence,) = advise(profile(DECODING, frames=large), num_cores=4)
    assert "a short side of 720 pixels and made 128. `kinema data prepare SRC DST --short-side 128`" in sentence
    resizing = epoch(("OpenVideo", "open", 1), ("DecodeVideo", "decode", 1), ("Resize", "transform", 8))
    (sentence,) = advise(profile(resizing, frames=large), num_cores=4)
    assert sentence.startswith("Resizing takes 80% of the time: frames are decoded with a short side of 720")


def test_good_videos_are_not_sent_to_prepare() -> None:
    (sentence,) = advise(profile(DECODING, frames=GOOD_FRAMES), num_cores=4)
    assert "only more cores or fewer frames a clip help" in sentence
    resizing = epoch(("OpenVideo", "open", 1), ("DecodeVideo", "decode", 1), ("Resize", "transform", 8))
    (sentence,) = advise(profile(resizing, frames=GOOD_FRAMES), num_cores=4)
    assert sentence.startswith("Resizing takes 80% of the time: smaller frames help")


def test_a_slow_transform_is_named() -> None:
    slow = epoch(("DecodeVideo", "decode", 2), ("ColorJitter", "transform", 8))
    (sentence,) = advise(profile(slow), num_cores=4)
    assert sentence.startswith("ColorJitter takes 80% of the time: put it behind the crop")
    waiting = epoch(("DecodeVideo", "decode", 2), ("Download", "transform", 8, 0.05))
    (sentence,) = advise(profile(waiting), num_cores=4)
    assert sentence.startswith("Download takes 80% of the time but uses the processor for 5% of it: it waits")


def test_slow_collating_is_named() -> None:
    (sentence,) = advise(profile(epoch(("T", "list", 1), ("collate", "collate", 1))), num_cores=4)
    assert sentence.startswith("Collating takes 50% of the time")


def test_workers_are_compared_with_the_cores() -> None:
    assert "Set train_dataloader.num_workers=4." in advise(profile(EVEN, num_workers=0), num_cores=4)[0]
    assert advise(profile(EVEN, num_workers=2), num_cores=4)[0].startswith("2 of 4 cores read clips: try")
    assert advise(profile(EVEN, num_workers=9), num_cores=4)[0].startswith("9 workers share 4 cores: fewer")


def test_numbers_of_workers_that_were_tried_decide() -> None:
    rates = {0: 10.0, 2: 40.0, 4: 20.0}
    assert advise(profile(EVEN), num_cores=4, rates=rates) == [
        "num_workers=2 gives 40.0 clips/s, 4 gives 20.0: set train_dataloader.num_workers=2."
    ]
    assert advise(profile(EVEN, num_workers=2), num_cores=4, rates=rates) == []
    assert advise(profile(EVEN), num_cores=4, rates={2: 41.0, 4: 40.0}) == []  # no more than noise
    # The number of the config is not among those tried: its own measurement counts, 50 clips/s.
    assert advise(profile(EVEN, num_workers=16), num_cores=4, rates=rates) == []


def test_a_first_epoch_that_waited_for_the_disk_is_told() -> None:
    cold = epoch(("OpenVideo", "open", 10, 0.1), *[(f"T{i}", "transform", 1) for i in range(9)])
    warm = epoch(("OpenVideo", "open", 1), *[(f"T{i}", "transform", 1) for i in range(9)])
    both = profile(cold, warm)
    assert differs_when_cold(both)
    assert advise(both, num_cores=4)[0].startswith("In the first epoch a clip waited 9.0 ms while it was opened")
    assert not differs_when_cold(profile(warm, warm))
    assert not differs_when_cold(profile(cold))


def test_a_busy_machine_is_told_first() -> None:
    busy = epoch(("OpenVideo", "open", 1, 0.4), ("DecodeVideo", "decode", 8, 0.5), ("Resize", "transform", 1))
    sentence, _ = advise(profile(busy, frames=GOOD_FRAMES), num_cores=4)
    assert sentence.startswith("Opening and decoding waited for 46% of the time: other programs use the cores")
    # More workers than cores wait for each other: that is another sentence.
    assert "waited" not in " ".join(advise(profile(busy, num_workers=9, frames=GOOD_FRAMES), num_cores=4))


def test_broken_clips_come_first() -> None:
    one = advise(profile(DECODING, broken={"a.mp4": "is broken"}), num_cores=4)[0]
    assert one == "1 clip cannot be read, as a.mp4: `kinema data check` lists all that are broken."
    two = advise(profile(DECODING, broken={"a.mp4": "is broken", "b.mp4": "too"}), num_cores=4)[0]
    assert two.startswith("2 clips cannot be read, such as a.mp4: ")
