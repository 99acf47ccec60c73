"""What every model of the zoo sees of short, usual and long clips when the recipe trains it."""

from pathlib import Path

import numpy as np
import pytest

from kinema.datasets.annotations import read_split
from kinema.errors import VideoError
from kinema.models import zoo
from kinema.recipes import classification
from kinema.recipes.sampling import (
    ProbedClips,
    choose_frame_interval,
    describe_frame,
    describe_sampling,
    probe_clips,
    sampling_warnings,
    takes_whole_frame,
)
from kinema.registry import DATASETS, TRANSFORMS
from kinema.transforms import Compose

LENGTHS = (5, 50, 300, 3000)
# Of models that take the same input the first.
OF_VIDEOS = sorted(
    {zoo.card(name).input: name for name in reversed(zoo.names()) if zoo.card(name).input.modality == "RGB"}.values()
)


@pytest.fixture(scope="module")
def sets(tmp_path_factory, make_video_in):
    """One data set a length, all of whose clips have so many frames."""
    root = tmp_path_factory.mktemp("sets")
    for length in LENGTHS:
        for name in ("a/1.mp4", "b/2.mp4"):
            make_video_in(root / str(length) / "train" / name, length)
    return root


@pytest.fixture(scope="module")
def make_video_in():
    from kinema.video import write_video

    def make(path: Path, num_frames: int, fps: float = 25) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        frames = (np.full((16, 16, 3), index % 200, np.uint8) for index in range(num_frames))
        return write_video(path, frames, fps)

    return make


def sampled(step: dict, num_frames: int) -> np.ndarray:
    """(clips, T) indices that a sampling step takes of a video."""
    sample = TRANSFORMS.build(step)({"total_frames": num_frames, "start_index": 0, "avg_fps": 25.0})
    return sample["frame_inds"].reshape(-1, sample["clip_len"])


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("name", OF_VIDEOS)
def test_training_and_validation_span_the_clip_as_the_card_says(name: str, length: int, sets, tmp_path) -> None:
    spec = zoo.card(name).input
    data = sets / str(length) / "train"
    config = classification(data, val=data, model=name, work_dir=tmp_path, workers=0)
    for split, seeds in (("train", range(20)), ("val", range(1))):
        step = config[f"{split}_dataloader"].dataset.pipeline[1]
        for seed in seeds:
            np.random.seed(seed)
            frames = sampled(dict(step), length)
            assert frames.min() >= 0
            assert frames.max() < length
            if spec.spread:  # a clip of frames from equal parts of the whole, both ends included
                assert frames.shape == (1, spec.clip_len)
                edges = np.around(np.arange(spec.clip_len + 1) * (length - 1) / spec.clip_len)
                assert (edges[:-1] <= frames[0]).all()
                assert (frames[0] <= edges[1:]).all()
            elif spec.clip_len == 1:  # segments: one frame from each of equal parts of the whole
                assert frames.shape == (spec.num_clips, 1)
                begins = np.arange(spec.num_clips) * length / spec.num_clips
                ends = np.ceil(begins + length / spec.num_clips)
                assert (np.floor(begins) <= frames[:, 0]).all()
                assert (frames[:, 0] < ends).all()
            else:  # a clip of frames of one distance, over at least half of a video of any length
                assert frames.shape == (1, spec.clip_len)
                gaps = np.diff(frames[0])
                if length >= spec.clip_len:
                    assert len(set(gaps)) == 1
                    assert frames[0, -1] - frames[0, 0] + gaps[0] >= length / 2
                else:
                    assert (frames[0, 0], frames[0, -1]) == (0, length - 1)
                    assert gaps.max() <= 1


@pytest.mark.parametrize("name", OF_VIDEOS)
def test_shorter_and_longer_clips_than_the_usual_are_spanned_as_far_as_the_card_lets(name: str, sets, tmp_path) -> None:
    spec = zoo.card(name).input
    data = sets / "300" / "train"
    config = classification(data, val=data, model=name, work_dir=tmp_path, workers=0)
    for split in ("train", "val"):
        step = dict(config[f"{split}_dataloader"].dataset.pipeline[1])
        short, long = sampled(step, 40), sampled(step, 3000)
        parts = spec.num_frames
        assert short.max() - short.min() >= (40 * (1 - 2 / parts) - 1 if spec.takes_segments else 39)
        if spec.takes_segments:
            assert long.max() - long.min() >= 3000 * (1 - 2 / parts) - 1
        else:
            assert set(np.diff(long[0])) == {step["frame_interval"]}


def test_a_few_more_frames_than_segments_are_all_within_reach_in_training() -> None:
    # With parts of whole frames, 15 frames in 8 parts would give frames 0 to 7 only.
    step = zoo.video_pipeline(zoo.card("tsm_r50"), train=True)[1]
    seen = set()
    for seed in range(50):
        np.random.seed(seed)
        seen |= set(sampled(step, 15).ravel().tolist())
    assert seen == set(range(15))


def test_a_model_of_segments_has_no_distance_of_frames() -> None:
    with pytest.raises(
        ValueError, match="tsn_r50 takes one frame from each of 8 equal parts of a video: there is no dis"
    ):
        zoo.video_pipeline(zoo.card("tsn_r50"), frame_interval=6)


def clips_of(*lengths: int, fps: float | tuple[float, ...] = 25.0, size: tuple[int, int] = (64, 64)) -> ProbedClips:
    count = len(lengths)
    rates = np.broadcast_to(fps, count).astype(float)
    return ProbedClips(np.array(lengths), rates, np.full(count, size[0]), np.full(count, size[1]))


def test_the_log_says_in_words_what_the_model_sees() -> None:
    clips, spec = clips_of(50, 52, 300), zoo.card("c3d").input
    interval = choose_frame_interval(spec, clips)
    assert interval == 3
    assert describe_sampling(spec, interval, clips) == "16 frames, 3 apart: 1.9 s of a clip of 2.1 s"
    spec = zoo.card("tsm_r50").input
    assert choose_frame_interval(spec, clips) is None
    assert describe_sampling(spec, None, clips) == "8 segments over the whole clip, one frame of each"


def test_what_the_sampling_misses_is_said() -> None:
    spec, segments = zoo.card("c3d").input, zoo.card("tsm_r50").input
    assert list(sampling_warnings(spec, 3, clips_of(48, 50, 52))) == []
    assert list(sampling_warnings(segments, None, clips_of(48, 50, 52))) == []
    (sentence,) = sampling_warnings(spec, 3, clips_of(48, 50, 3000))
    assert (
        "1 of 3 clips tried are over twice as long as the 1.9 s that the model sees at a time (longest: 120.0 s)"
        in sentence
    )
    (sentence,) = sampling_warnings(spec, 1, clips_of(5, 16, 16))
    assert sentence.startswith(
        "1 of 3 clips tried have fewer frames than the 16 that the model takes, which are repeated"
    )
    (sentence,) = sampling_warnings(spec, 200, clips_of(3200, 3200))
    assert sentence.startswith("the frames that the model sees are 8.0 s apart")
    (sentence,) = sampling_warnings(segments, None, clips_of(3200, 3200))
    assert sentence.startswith("the segments of a clip of middle length are 16.0 s apart")
    (sentence,) = sampling_warnings(spec, 3, clips_of(48, 50, 52, fps=(15.0, 25.0, 30.0)))
    assert sentence.startswith("the clips have 15 to 30 frames a second")


def test_clips_are_probed_and_parts_of_videos_count_as_such(tmp_path, make_video_in) -> None:
    make_video_in(tmp_path / "a.mp4", 100)
    (tmp_path / "list.csv").write_text("path,label,start_seconds,end_seconds\na.mp4,0,1,2\na.mp4,1,2,\n")
    assert probe_clips(read_split(tmp_path / "list.csv")).frames.tolist() == [25, 50]
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(VideoError, match=r"list\.csv: none of 2 clips tried can be read; the first: .*a\.mp4"):
        probe_clips(read_split(tmp_path / "list.csv"))


def test_the_whole_of_a_wide_frame_is_seen_unless_weights_know_squares_of_it(tmp_path, make_video) -> None:
    for name in ("a/1.mp4", "a/2.mp4", "b/3.mp4", "b/4.mp4"):
        make_video(tmp_path / "wide" / name, num_frames=16, size=(128, 64))
        make_video(tmp_path / "square" / name, num_frames=16, size=(64, 64))
    config = classification(tmp_path / "wide", work_dir=tmp_path / "work", workers=0)
    for part in ("train", "val"):
        dataset = DATASETS.build({**config[f"{part}_dataloader"].dataset, "pipeline": ()})
        pipeline = Compose(config[f"{part}_dataloader"].dataset.pipeline[:-2])  # up to the crop
        sample = pipeline(dataset[0])
        assert sample["imgs"][0].shape[:2] == (56, 56)
    steps = [step.type for step in config.val_dataloader.dataset.pipeline]
    assert "CenterCrop" not in steps
    assert config.val_dataloader.dataset.pipeline[3] == {"type": "Resize", "scale": (56, 56), "keep_ratio": False}
    for changes in ({"data": tmp_path / "square"}, {"data": tmp_path / "wide", "pretrained": "some.pth"}):
        config = classification(work_dir=tmp_path / "work", workers=0, **changes)
        assert "CenterCrop" in [step.type for step in config.val_dataloader.dataset.pipeline]


def test_what_is_seen_of_a_frame_is_said() -> None:
    spec = zoo.card("c3d").input  # 112 of 128 pixels
    assert spec.size / spec.short_side == 112 / 128
    wide, tall, square = (clips_of(50, 50, size=size) for size in ((320, 240), (240, 320), (64, 64)))
    assert describe_frame(spec, square, whole_frame=False) == "the middle of the frame, 112 x 112 pixels, 77% of it"
    assert describe_frame(spec, wide, whole_frame=False) == "the middle of the frame, 112 x 112 pixels, 57% of it"
    assert describe_frame(spec, wide, whole_frame=True) == "the whole frame, made 112 x 112 pixels"
    assert [takes_whole_frame(one, from_weights=False) for one in (wide, tall, square)] == [True, True, False]
    assert not takes_whole_frame(wide, from_weights=True)
    (sentence,) = sampling_warnings(spec, 3, wide)
    assert "which show 57% of these wide ones: validation and prediction miss what happens at the sides" in sentence
    assert list(sampling_warnings(spec, 3, wide, whole_frame=True)) == []
