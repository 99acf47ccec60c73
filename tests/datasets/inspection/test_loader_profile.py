"""Measuring a data loader: every step is found and named, and the samples stay what they are in training."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

from kinema.datasets import BaseDataset, ConcatDataset, RepeatDataset, build_dataloader
from kinema.datasets.inspection import timing
from kinema.datasets.inspection.loader_profile import LoaderProfile, profile_loader
from kinema.datasets.inspection.timing import frames_to_decode, transform_names
from kinema.errors import ConfigError, SampleError, VideoError
from kinema.transforms import BaseTransform, DecodeVideo, OpenVideo, Resize, SampleFrames

# No time is asserted anywhere but by a clock that only transforms of these tests move.


class Draw(BaseTransform):
    """Appends to a file which sample it saw with which random numbers."""

    def __init__(self, log: Path | None = None) -> None:
        self.log = log

    def transform(self, results: Any) -> Any:
        results["drawn"] = float(np.random.random()) + float(torch.rand(()))
        if self.log is not None:
            with self.log.open("a") as file:
                file.write(f"{results['sample_idx']} {results['drawn']!r}\n")
        return results


class Clock:
    """Stands still while a machine is busy; each look at it takes a microsecond."""

    seconds = 0.0

    def __call__(self) -> float:
        self.seconds += 1e-6
        return self.seconds


class Wait(BaseTransform):
    """Takes 20 ms, and the processor's for 5 of them."""

    def __init__(self, clock: Clock, processor: Clock) -> None:
        self.clock, self.processor = clock, processor

    def transform(self, results: Any) -> Any:
        self.clock.seconds += 0.020
        self.processor.seconds += 0.005
        return results


class Numbers(BaseDataset):
    """Samples without files."""

    def __init__(self, pipeline: list, count: int = 12, **options: Any) -> None:
        self.count = count
        super().__init__(pipeline=pipeline, **options)

    def load_data_list(self) -> list[dict[str, Any]]:
        return [{"filename": f"{number}.mp4"} for number in range(self.count)]


class Clips(BaseDataset):
    """Video files by path."""

    def __init__(self, paths: list[Path], pipeline: list) -> None:
        self.paths = paths
        super().__init__(pipeline=pipeline)

    def load_data_list(self) -> list[dict[str, Any]]:
        return [{"filename": str(path), "start_index": 0} for path in self.paths]


def loader_of(dataset: Any, **options: Any) -> DataLoader:
    return build_dataloader({"dataset": dataset, "batch_size": 4, **options}, seed=7)


def names(profile: LoaderProfile) -> list[str]:
    return [stage.name for stage in profile.epochs[-1].stages]


# ---- the samples


@pytest.mark.parametrize("num_workers", [0, 1])
def test_measuring_changes_no_sample(tmp_path: Path, num_workers: int) -> None:
    plain, measured = tmp_path / "plain", tmp_path / "measured"
    loader = loader_of(Numbers([Draw(plain)]))
    for _ in range(2):
        for _ in loader:
            pass
    profile_loader(loader_of(Numbers([Draw(measured)])), epochs=2, num_workers=num_workers)
    assert measured.read_text() == plain.read_text()
    assert len(set(measured.read_text().splitlines())) == 24


def test_the_dataset_is_left_as_it_was() -> None:
    dataset = Numbers([Draw()])
    pipeline, transforms = dataset.pipeline, list(dataset.pipeline.transforms)
    loader = loader_of(dataset)
    profile_loader(loader, epochs=1)
    assert dataset.pipeline is pipeline
    assert dataset.pipeline.transforms == transforms
    assert loader.dataset is dataset
    assert loader.epoch == -1


def test_a_loader_gives_the_same_batches_after_it_was_measured() -> None:
    fresh, measured = loader_of(Numbers([Draw()])), loader_of(Numbers([Draw()]))
    profile_loader(measured, epochs=3)
    assert [batch["drawn"] for batch in measured] == [batch["drawn"] for batch in fresh]


def test_the_random_numbers_of_the_program_are_left_alone() -> None:
    torch.manual_seed(3)
    np.random.seed(3)
    profile_loader(loader_of(Numbers([Draw()])), epochs=1)
    after = torch.rand(()), np.random.random()
    torch.manual_seed(3)
    np.random.seed(3)
    assert after == (torch.rand(()), np.random.random())


# ---- the numbers


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_step_that_waits_takes_the_largest_share_and_little_of_the_processor(
    num_workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, processor = Clock(), Clock()
    monkeypatch.setattr(timing, "perf_counter", clock)  # of the processes that are forked, too
    monkeypatch.setattr(timing, "process_time", processor)
    steps = [Draw(), Wait(clock, processor), Draw()]
    workers: dict[str, Any] = {"num_workers": num_workers, "multiprocessing_context": "fork"} if num_workers else {}
    profile = profile_loader(loader_of(Numbers(steps), **workers), epochs=2)
    assert profile.num_workers == num_workers
    for epoch in profile.epochs:
        assert [stage.name for stage in epoch.stages] == ["sample list", "Draw", "Wait", "Draw (2)", "collate"]
        slowest = max(epoch.stages, key=lambda stage: stage.milliseconds)
        assert slowest.name == "Wait"
        assert slowest.milliseconds == pytest.approx(20, abs=0.1)
        assert slowest.cpu_share == pytest.approx(0.25, abs=0.01)
        assert epoch.milliseconds == pytest.approx(sum(stage.milliseconds for stage in epoch.stages))
        assert epoch.clips_per_second == pytest.approx(12 / epoch.seconds)


def test_as_many_clips_are_read_as_asked() -> None:
    batches: list[int] = []
    profile = profile_loader(loader_of(Numbers([Draw()])), num_clips=6, epochs=2, on_batch=batches.append)
    assert [epoch.num_clips for epoch in profile.epochs] == [6, 6]
    assert batches == [4, 2, 4, 2]
    assert profile.batch_size == 4
    assert profile_loader(loader_of(Numbers([Draw()])), num_clips=1000, epochs=1).epochs[0].num_clips == 12


def test_a_sampler_without_end_is_cut() -> None:
    loader = loader_of(Numbers([Draw()]), sampler={"type": "InfiniteSampler"})
    assert profile_loader(loader, num_clips=30, epochs=1).epochs[0].num_clips == 30


def test_datasets_made_of_datasets_are_measured_by_transform() -> None:
    parts = [RepeatDataset(Numbers([Draw()], 4), 2), Numbers([Draw(), Wait(Clock(), Clock())], 4)]
    profile = profile_loader(loader_of(ConcatDataset(parts)), epochs=1)
    assert profile.epochs[0].num_clips == 12
    assert names(profile) == ["sample list", "Draw", "Wait", "collate"]


def test_a_dataset_without_a_pipeline_is_one_step() -> None:
    class Plain(Dataset):
        def __getitem__(self, index: int) -> int:
            return index

        def __len__(self) -> int:
            return 8

    assert names(profile_loader(loader_of(Plain()), epochs=1)) == ["sample list", "collate"]


def test_a_sample_that_the_pipeline_rejects_is_replaced_as_in_training() -> None:
    class Reject(BaseTransform):
        def transform(self, results: Any) -> Any:
            return None if results["sample_idx"] % 2 else results

    profile = profile_loader(loader_of(Numbers([Reject(), Draw()])), epochs=1)
    assert profile.epochs[0].num_clips == 12


# ---- videos


def test_opening_and_decoding_are_told_apart_and_frames_counted(
    make_video: Callable[..., Path], tmp_path: Path
) -> None:
    # A key frame every 10 frames: for frames 0, 8, 16, 24 the decoder goes through 9 + 7 + 5
    # frames.
    paths = [
        make_video(tmp_path / f"{number}.mp4", num_frames=30, size=(96, 64), options={"g": "10", "sc_threshold": "0"})
        for number in range(4)
    ]
    pipeline = [
        OpenVideo(),
        SampleFrames(clip_len=4, frame_interval=8, test_mode=True),
        DecodeVideo(),
        Resize(scale=(-1, 32)),
    ]
    profile = profile_loader(loader_of(Clips(paths, pipeline)), epochs=1)
    kinds = {stage.name: stage.kind for stage in profile.epochs[0].stages}
    assert kinds == {
        **{"sample list": "list", "OpenVideo": "open", "SampleFrames": "transform", "DecodeVideo": "decode"},
        **{"Resize": "transform", "collate": "collate"},
    }
    facts = profile.frames
    assert facts is not None
    assert (facts.num_wanted, facts.decoded_short_side, facts.used_short_side) == (4, 64, 32)
    assert 4 < facts.num_walked <= 30


def test_broken_clips_are_counted_and_left_out(make_video: Callable[..., Path], tmp_path: Path) -> None:
    paths = [make_video(tmp_path / f"{number}.mp4") for number in range(5)]
    broken = tmp_path / "broken.mp4"
    broken.write_text("no video")
    pipeline = [OpenVideo(), SampleFrames(clip_len=4), DecodeVideo()]
    profile = profile_loader(loader_of(Clips([*paths, broken], pipeline)), epochs=2)
    assert [epoch.num_clips for epoch in profile.epochs] == [5, 5]
    assert list(profile.broken) == [str(broken)]
    assert "broken.mp4" in profile.broken[str(broken)]


def test_nothing_but_broken_clips_is_no_error(tmp_path: Path) -> None:
    class Fail(BaseTransform):
        def transform(self, results: Any) -> Any:
            raise VideoError(f"{results['filename']}: is broken")

    profile = profile_loader(loader_of(Numbers([Fail()])), epochs=1)
    assert (profile.epochs[0].num_clips, profile.epochs[0].clips_per_second, len(profile.broken)) == (0, 0, 12)
    assert profile.frames is None


def test_other_errors_are_raised_as_in_training() -> None:
    with pytest.raises(SampleError, match="DecodeVideo needs the key"):
        profile_loader(loader_of(Numbers([DecodeVideo()])), epochs=1)


# ---- what cannot be measured


def test_wrong_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="need at least 1 clip and 1 epoch, got num_clips=0, epochs=2"):
        profile_loader(loader_of(Numbers([])), num_clips=0)


def test_a_dataset_without_numbers_is_refused() -> None:
    class Stream(IterableDataset):
        def __iter__(self) -> Any:
            return iter(range(3))

    with pytest.raises(ConfigError, match="Stream: only a dataset with numbered samples, read in batches, can be"):
        profile_loader(loader_of(Stream()))


def test_a_loader_without_a_batch_is_refused() -> None:
    with pytest.raises(ConfigError, match="the data loader gives no batch: there are fewer clips than a batch takes"):
        profile_loader(loader_of(Numbers([], 3), drop_last=True))


# ---- pure functions


@pytest.mark.parametrize(
    ("wanted", "key_frames", "count"),
    [
        ([0, 1, 2], [0], 3),
        ([9], [0], 10),
        ([9, 9, 3], [0], 10),
        ([9], [0, 8], 2),
        ([0, 8, 16, 24], [0, 10, 20], 9 + 7 + 5),
        ([10, 20], [0, 10, 20], 2),
        ([3], [5], 4),  # before the first key frame
        ([4], [], 5),
        ([], [0], 0),
    ],
)
def test_frames_to_decode_run_from_the_key_frame_before(wanted: list, key_frames: list, count: int) -> None:
    assert frames_to_decode(wanted, key_frames) == count


def test_transforms_are_named_as_people_call_them() -> None:
    def blur(sample: Any) -> Any:
        return sample

    assert transform_names([Draw(), blur, functools.partial(blur), Draw(), Draw()]) == [
        *("Draw", "blur", "blur (2)", "Draw (2)", "Draw (3)")
    ]
