"""Clips from equal parts of a video, against the rule written frame by frame."""

import numpy as np
import pytest

from kinema.errors import VideoError
from kinema.registry import TRANSFORMS
from kinema.transforms.segment_sampling import segment_clips


def by_loops(num_frames: int, clip_len: int, interval: int, num_clips: int, starts: list[int]) -> list[list[int]]:
    span, part = clip_len * interval, num_frames // num_clips
    clips = []
    for clip in range(num_clips):
        if part > span:
            places = [starts[clip] + span * frame / (clip_len - 1) for frame in range(clip_len)]
            clips.append([int(min(place, starts[clip] + span - 1)) for place in places])
            continue
        reach = min(span, num_frames) - 1
        count = reach // interval
        places = [reach * frame / (count - 1) for frame in range(count)] + [reach] * (clip_len - count)
        step = (num_frames - span) // (num_clips - 1) if num_frames > span else 0
        clips.append([int(min(place, reach - 1)) + clip * step for place in places])
    return clips


@pytest.mark.parametrize("num_frames", [20, 45, 64, 65, 100, 129, 300])
@pytest.mark.parametrize("num_clips", [1, 2, 4])
def test_clips_lie_in_the_middle_of_equal_parts_or_overlap(num_frames: int, num_clips: int) -> None:
    part = num_frames // num_clips
    starts = [clip * part + (part - 64) // 2 for clip in range(num_clips)]
    clips = segment_clips(num_frames, 16, 4, num_clips)
    assert clips.tolist() == by_loops(num_frames, 16, 4, num_clips, starts)
    assert clips.min() >= 0
    assert clips.max() < num_frames


def test_the_frames_of_a_clip_lie_a_little_farther_apart_than_the_interval() -> None:
    # 16 x 4: a clip of 64 frames begins in the middle, at (300 - 64) / 2; its frames are 64 / 15 = 4.27 apart.
    (clip,) = segment_clips(300, 16, 4, 1)
    assert (clip - 118).tolist() == [0, 4, 8, 12, 17, 21, 25, 29, 34, 38, 42, 46, 51, 55, 59, 63]
    (longer,) = segment_clips(1000, 64, 2, 1)
    assert [longer[place] - longer[0] for place in (1, 31, 32, 62, 63)] == [
        2,
        62,
        65,
        125,
        127,
    ]  # 128 / 63 = 2.03 apart


def test_in_training_clips_begin_anywhere_in_their_parts() -> None:
    np.random.seed(0)
    clips = np.stack([segment_clips(300, 16, 4, 2, jitter=True) for _ in range(200)])
    assert clips[:, 0].min() < 10
    assert 130 < clips[:, 0].max() < 150
    assert clips[:, 1].min() >= 150


def test_very_short_videos_repeat_what_there_is() -> None:
    assert segment_clips(1, 4, 2, 2).tolist() == [[0] * 4] * 2
    assert segment_clips(2, 4, 1, 1).max() < 2


def test_the_transform_writes_the_clips_into_the_sample() -> None:
    sampling = TRANSFORMS.build(
        {"type": "SegmentSampleFrames", "clip_len": 16, "frame_interval": 4, "num_clips": 2, "test_mode": True}
    )
    sample = sampling({"total_frames": 200, "start_index": 3})
    assert sample["frame_inds"].tolist() == (segment_clips(200, 16, 4, 2) + 3).reshape(-1).tolist()
    assert (sample["clip_len"], sample["num_clips"], sample["frame_interval"]) == (16, 2, None)
    drawn = TRANSFORMS.build({"type": "SegmentSampleFrames", "clip_len": 2, "frame_interval": 1})
    assert drawn({"total_frames": 9, "start_index": 0})["frame_inds"].shape == (2,)
    with pytest.raises(ValueError, match="SegmentSampleFrames: num_clips must be at least 1, got 0"):
        TRANSFORMS.build({"type": "SegmentSampleFrames", "clip_len": 2, "num_clips": 0})
    with pytest.raises(VideoError, match="the video has no frames to choose from"):
        drawn({"total_frames": 0, "start_index": 0, "filename": "a.mp4"})
