import numpy as np
import pytest

from kinema.errors import VideoError
from kinema.transforms import Compose
from kinema.transforms.video_parts import frames_between

NAN = float("nan")


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0.0, 1.0, (0, 10)),
        (0.3, 0.6, (3, 6)),
        (0.31, 0.6, (4, 6)),
        (0.3, 0.61, (3, 7)),
        (NAN, 0.2, (0, 2)),
        (1.5, NAN, (15, 20)),
    ],
)
def test_a_part_holds_the_frames_shown_from_its_start_until_before_its_end(start, end, expected):
    assert frames_between(np.arange(20) / 10, start, end) == expected


def test_the_clock_starts_with_the_first_frame():
    assert frames_between(5 + np.arange(20) / 10, 0.3, 0.6) == (3, 6)


def test_uneven_frames_are_found_by_their_times():
    assert frames_between(np.array([0, 0.1, 0.9, 1.0, 5.0]), 0.5, 5.0) == (2, 4)


def test_no_frame_outside_of_the_part_is_ever_chosen(make_video, grey_level):
    path = make_video(num_frames=40, fps=10)
    for steps in (
        {"type": "SampleFrames", "clip_len": 4, "frame_interval": 2, "num_clips": 3},
        {"type": "SampleFrames", "clip_len": 16, "num_clips": 2, "test_mode": True, "out_of_bound_opt": "repeat_last"},
        {"type": "UniformSample", "clip_len": 8},
        {"type": "DenseSampleFrames", "clip_len": 4, "frame_interval": 1, "num_clips": 4},
    ):
        pipeline = Compose([{"type": "OpenVideo"}, steps, {"type": "DecodeVideo"}])
        for _ in range(5):
            sample = pipeline({"filename": str(path), "start_index": 0, "start_seconds": 1.2, "end_seconds": 2.5})
            assert sample["total_frames"] == 13
            levels = np.asarray(sample["imgs"]).mean(axis=(1, 2, 3))
            assert levels.min() >= grey_level(12) - 2
            assert levels.max() <= grey_level(24) + 2


def test_a_part_may_be_given_in_frames(make_video):
    sample = Compose([{"type": "OpenVideo"}])(
        {"filename": str(make_video(num_frames=20)), "start_frame": 5, "end_frame": 99}
    )
    assert (sample["start_index"], sample["total_frames"]) == (5, 15)


def test_a_part_behind_the_end_is_named(make_video):
    sample = {"filename": str(make_video(num_frames=20, fps=10)), "start_seconds": 3.0, "end_seconds": 4.0}
    with pytest.raises(VideoError, match=r"video\.mp4: holds no frame between 3 and 4 s: it has 20 frames, 2\.00 s"):
        Compose([{"type": "OpenVideo"}])(sample)


def test_a_video_in_memory_is_read_in_place_of_its_file(make_video):
    content = make_video(num_frames=7).read_bytes()
    opened = Compose([{"type": "OpenVideo"}])({"filename": "shard.tar/a.mp4", "video_bytes": content})
    assert opened["total_frames"] == 7
    assert "video_bytes" not in opened
    with pytest.raises(VideoError, match=r"shard\.tar/a\.mp4: is a text file, not a video"):
        Compose([{"type": "OpenVideo"}])({"filename": "shard.tar/a.mp4", "video_bytes": b"nothing of the kind"})
