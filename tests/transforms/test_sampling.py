import numpy as np
import pytest

from kinema.errors import SampleValueError, VideoError
from kinema.transforms import (
    DenseSampleFrames,
    SampleFrames,
    UniformSample,
    UniformSampleFrames,
    UntrimmedSampleFrames,
)


def sample(total_frames, *, start_index=0, avg_fps=None, **options):
    given = {"total_frames": total_frames, "start_index": start_index}
    if avg_fps is not None:
        given["avg_fps"] = avg_fps
    return SampleFrames(**options)(given)


# Figures that the reference implementation printed.
GOLDEN_TEST = [
    (dict(clip_len=1, num_clips=8), 100, [6, 18, 31, 43, 56, 68, 81, 93]),
    (dict(clip_len=1, num_clips=8), 5, [0, 0, 1, 2, 2, 3, 4, 4]),
    (dict(clip_len=1, num_clips=3, twice_sample=True), 30, [5, 15, 25, 0, 10, 20]),
    (dict(clip_len=8, frame_interval=8), 100, [21, 29, 37, 45, 53, 61, 69, 77]),
    (dict(clip_len=8, frame_interval=8), 40, [0, 8, 16, 24, 32, 0, 8, 16]),
    (dict(clip_len=8, frame_interval=8, out_of_bound_opt="repeat_last"), 40, [0, 8, 16, 24, 32, 32, 32, 32]),
    (dict(clip_len=4, frame_interval=4, num_clips=3), 50, [0, 4, 8, 12, 18, 22, 26, 30, 37, 41, 45, 49]),
    (
        dict(clip_len=4, frame_interval=2, num_clips=10),
        20,
        [start + k for start in (0, 1, 3, 4, 6, 7, 9, 10, 12, 13) for k in (0, 2, 4, 6)],
    ),
    (
        dict(clip_len=4, frame_interval=4, num_clips=2, twice_sample=True),
        50,
        [0, 4, 8, 12, 37, 41, 45, 49, 24, 28, 32, 36, 11, 15, 19, 23],
    ),
]


@pytest.mark.parametrize(("options", "total", "expected"), GOLDEN_TEST)
def test_test_mode_gives_the_published_indices(options, total, expected) -> None:
    assert sample(total, test_mode=True, **options)["frame_inds"].tolist() == expected


def test_start_index_is_added() -> None:
    result = sample(30, start_index=1, clip_len=1, num_clips=3, test_mode=True)
    assert result["frame_inds"].tolist() == [6, 16, 26]


@pytest.mark.parametrize(
    ("fps", "expected"),
    [
        (25, [0, 5, 10, 15, 83, 88, 93, 98]),
        (30, [0, 6, 12, 19, 80, 86, 92, 99]),
        (60, [0, 13, 26, 39, 60, 73, 86, 99]),
    ],
)
def test_target_fps_resamples(fps, expected) -> None:
    options = dict(clip_len=4, frame_interval=5, num_clips=2, target_fps=30, test_mode=True)
    assert sample(100, avg_fps=fps, **options)["frame_inds"].tolist() == expected


def test_target_fps_with_one_clip() -> None:
    result = sample(300, avg_fps=25, clip_len=13, frame_interval=6, target_fps=30, test_mode=True)
    assert result["frame_inds"].tolist() == [117, 122, 127, 133, 138, 143, 149, 154, 159, 165, 170, 175, 181]


GOLDEN_TRAIN = [
    (dict(clip_len=1, num_clips=3), 30, [5, 10, 23]),
    (dict(clip_len=8, frame_interval=8), 100, list(range(0, 57, 8))),
    (dict(clip_len=8, frame_interval=8), 40, [0, 8, 16, 24, 32, 0, 8, 16]),
    (dict(clip_len=1, num_clips=8), 5, [0, 1, 1, 2, 2, 3, 4, 4]),
    (dict(clip_len=1, num_clips=8), 8, list(range(8))),
    (dict(clip_len=4, frame_interval=4, num_clips=3), 20, [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14]),
    (dict(clip_len=4, frame_interval=4, num_clips=3), 17, [0, 4, 8, 12, 1, 5, 9, 13, 1, 5, 9, 13]),
    (dict(clip_len=1, num_clips=3, keep_tail_frames=True), 31, [5, 17, 26]),
    (dict(clip_len=4, frame_interval=4, temporal_jitter=True), 50, [3, 7, 11, 15]),
]


@pytest.mark.parametrize(("options", "total", "expected"), GOLDEN_TRAIN)
def test_training_draws_the_published_indices(options, total, expected) -> None:
    np.random.seed(0)
    assert sample(total, **options)["frame_inds"].tolist() == expected


@pytest.mark.parametrize("total", [1, 2, 7, 33])
@pytest.mark.parametrize("fps", [None, 7.5, 60.0])
def test_indices_stay_inside_short_videos(total, fps) -> None:
    for options in (dict(clip_len=8, frame_interval=4, num_clips=2), dict(clip_len=4, target_fps=12, num_clips=2)):
        for test_mode in (True, False):
            frames = sample(total, avg_fps=fps, test_mode=test_mode, **options)["frame_inds"]
            assert frames.dtype == np.int32
            assert len(frames) == 2 * options["clip_len"]
            assert frames.min() >= 0
            assert frames.max() < total


def test_bad_settings_are_named() -> None:
    with pytest.raises(ValueError, match="clip_len must be at least 1, got 0"):
        SampleFrames(clip_len=0)
    with pytest.raises(ValueError, match="out_of_bound_opt must be 'loop' or 'repeat_last', got 'wrap'"):
        SampleFrames(4, out_of_bound_opt="wrap")
    with pytest.raises(ValueError, match="twice_sample needs num_clips of at least 2"):
        sample(50, clip_len=4, twice_sample=True, test_mode=True)


def indices(transform, total):
    result = transform({"total_frames": total, "start_index": 0})
    assert result["frame_inds"].dtype == np.int32
    return result["frame_inds"].tolist()


@pytest.mark.parametrize(
    ("transform", "total", "expected"),
    [
        (UniformSample(8, test_mode=True), 100, [6, 18, 31, 43, 56, 68, 80, 93]),
        (UniformSample(4, 2, test_mode=True), 30, [2, 9, 16, 24, 4, 11, 18, 26]),
        (UniformSample(8, test_mode=True), 5, [0, 0, 1, 2, 2, 2, 3, 4]),
        (UntrimmedSampleFrames(4, 16, 1), 50, [6, 7, 8, 9, 22, 23, 24, 25, 38, 39, 40, 41]),
        (UntrimmedSampleFrames(1, 16, 1), 40, [8, 24]),
        (UntrimmedSampleFrames(5, 16, 2), 20, [4, 6, 8, 10, 12]),
        (
            DenseSampleFrames(1, num_clips=8, num_sample_positions=3, test_mode=True),
            100,
            [start + step for start in (0, 18, 36) for step in range(0, 57, 8)],
        ),
        (
            DenseSampleFrames(1, num_clips=8, num_sample_positions=2, test_mode=True),
            40,
            [0, 8, 16, 24, 32, 0, 8, 16] * 2,
        ),
    ],
)
def test_the_other_samplers_give_the_published_indices(transform, total, expected):
    assert indices(transform, total) == expected


def test_uniform_sampling_draws_the_published_indices():
    np.random.seed(0)
    assert indices(UniformSample(8), 100) == [12, 17, 25, 40, 61, 65, 81, 96]


def test_dense_sampling_draws_one_stretch_inside_the_video():
    for seed in range(20):
        np.random.seed(seed)
        frames = indices(DenseSampleFrames(2, 3, num_clips=4, sample_range=40), 50)
        starts = frames[::2]
        assert np.diff(starts).tolist() == [10, 10, 10]
        assert 0 <= starts[0] < 10
        assert [b - a for a, b in zip(starts, frames[1::2], strict=True)] == [3, 3, 3, 3]


def test_the_other_samplers_write_what_they_chose():
    dense = DenseSampleFrames(2, 3, num_clips=4, test_mode=True)({"total_frames": 100})
    assert (dense["clip_len"], dense["frame_interval"], dense["num_clips"], len(dense["frame_inds"])) == (2, 3, 4, 80)
    untrimmed = UntrimmedSampleFrames(2, 16)({"total_frames": 100, "start_index": 1})
    assert (untrimmed["num_clips"], untrimmed["clip_interval"], untrimmed["frame_inds"][0]) == (6, 16, 8)
    assert UniformSample(4)({"total_frames": 9})["frame_interval"] is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: UniformSample(0), "UniformSample: clip_len must be at least 1, got 0"),
        (lambda: DenseSampleFrames(4, sample_range=0), "DenseSampleFrames: sample_range must be at least 1"),
        (
            lambda: DenseSampleFrames(4, out_of_bound_opt="x"),
            "out_of_bound_opt must be 'loop' or 'repeat_last', got 'x'",
        ),
        (
            lambda: UntrimmedSampleFrames(1, 16)({"total_frames": 8}),
            "a video of 8 frames has no clip at clip_interval=16",
        ),
    ],
)
def test_the_other_samplers_refuse_what_cannot_be(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "make", [SampleFrames, UniformSample, DenseSampleFrames, UntrimmedSampleFrames, UniformSampleFrames]
)
def test_a_video_without_frames_is_named(make):
    with pytest.raises(VideoError, match=rf"empty\.mp4: the video has no frames to choose from \({make.__name__}"):
        make(4)({"total_frames": 0, "filename": "empty.mp4"})


def test_dense_sampling_accepts_the_options_that_change_nothing():
    plain = indices(DenseSampleFrames(2, 3, 4, test_mode=True), 100)
    assert indices(DenseSampleFrames(2, 3, 4, False, True, "loop", True, False, 30.0), 100) == plain
    assert indices(DenseSampleFrames(2, 3, 4, test_mode=True, twice_sample=True, target_fps=30), 100) == plain


def test_jitter_at_a_target_frame_rate_moves_every_frame_by_itself():
    np.random.seed(0)
    options = dict(clip_len=4, frame_interval=5, num_clips=2, target_fps=30, test_mode=True)
    plain = sample(100, avg_fps=30, **options)["frame_inds"]
    moved = sample(100, avg_fps=30, temporal_jitter=True, **options)["frame_inds"]
    np.random.seed(0)
    assert moved.tolist() == ((plain + np.random.randint(5, size=8)) % 100).tolist()


# Figures that the reference implementation printed.
UNIFORM_TEST = [
    (dict(clip_len=8), 5, [0, 1, 2, 3, 4, 0, 1, 2]),
    (dict(clip_len=8, num_clips=2), 5, [0, 1, 2, 3, 4, 0, 1, 2, 2, 3, 4, 0, 1, 2, 3, 4]),
    (dict(clip_len=8), 10, [0, 1, 3, 4, 6, 7, 8, 9]),
    (dict(clip_len=8), 40, [3, 6, 11, 15, 21, 27, 34, 36]),
    (dict(clip_len=4, num_clips=3), 2, [0, 1, 0, 1, 1, 0, 1, 0, 0, 1, 0, 1]),
]


@pytest.mark.parametrize(("options", "total", "expected"), UNIFORM_TEST)
def test_uniform_frames_in_test_mode_are_the_published_ones(options, total, expected):
    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    assert indices(UniformSampleFrames(test_mode=True, **options), total) == expected
    assert np.array_equal(before, np.random.get_state()[1])  # the global generator is left alone


@pytest.mark.parametrize(
    ("total", "expected"),
    [
        (40, [4, 5, 13, 18, 23, 26, 33, 37]),
        (10, [0, 1, 3, 4, 5, 6, 7, 9]),
        (5, [4, 0, 1, 2, 3, 4, 0, 1]),
    ],
)
def test_uniform_frames_in_training_are_drawn_as_published(total, expected):
    np.random.seed(0)
    assert indices(UniformSampleFrames(8), total) == expected


def test_uniform_frames_of_another_seed_differ_and_clips_follow_each_other():
    assert indices(UniformSampleFrames(8, test_mode=True, seed=1), 40) != UNIFORM_TEST[3][2]
    two = indices(UniformSampleFrames(8, 2, test_mode=True), 40)
    assert two[:8] == UNIFORM_TEST[3][2]
    assert two[8:] != two[:8]


def test_uniform_frames_fit_the_joints():
    given = {"total_frames": 40, "start_index": 1, "keypoint": np.ones((1, 40, 17, 2)), "filename": "a.pkl"}
    result = UniformSampleFrames(8, test_mode=True)(dict(given))
    assert result["frame_inds"].tolist() == [i + 1 for i in UNIFORM_TEST[3][2]]
    assert (result["clip_len"], result["num_clips"], result["frame_interval"]) == (8, 1, None)
    with pytest.raises(SampleValueError, match=r"total_frames is 39, but the joints are those of 40 frames \(a.pkl\)"):
        UniformSampleFrames(8)({**given, "total_frames": 39})
