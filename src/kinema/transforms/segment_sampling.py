"""A clip from each of equal parts of a video, its frames evenly between two ends."""

import numpy as np

from kinema.registry import TRANSFORMS
from kinema.transforms.base import BaseTransform, Sample
from kinema.transforms.sampling import count_frames, require_positive, write_clips


def segment_clips(
    num_frames: int, clip_len: int, frame_interval: int, num_clips: int, *, jitter: bool = False
) -> np.ndarray:
    """Frames of one clip in each of equal parts of a video.

    A clip spans S = `clip_len` * `frame_interval` frames, between whose ends its frames lie evenly: so
    their distance is S / (`clip_len` - 1), a little more than `frame_interval`. In parts of at most S
    frames clips overlap, from the first frame of the video to its last; of a video of at most S frames
    every `frame_interval`-th one is taken, roughly, and the last one fills the clip.

    Args:
        num_frames: length of the video, in frames.
        clip_len: frames of a clip, T.
        frame_interval: least distance of neighbouring frames.
        num_clips: parts, N.
        jitter: draw where in its part a clip begins, from numpy's global generator; False: clips lie
            in the middle of their parts.

    Returns:
        (N, T) indices in [0, `num_frames`).
    """
    span, part = clip_len * frame_interval, num_frames // num_clips
    if part > span:
        starts = np.arange(num_clips) * part
        room = part - span
        starts = starts + (np.random.randint(room, size=num_clips) if jitter else room // 2)
        within = np.clip(np.linspace(0, span, clip_len), 0, span - 1)
    else:
        reach = min(span, num_frames) - 1
        spaced = np.linspace(0, reach, reach // frame_interval)
        within = np.clip(np.append(spaced, np.full(clip_len - len(spaced), reach)), 0, max(reach - 1, 0))
        step = max(num_frames - span, 0) // max(num_clips - 1, 1)
        starts = np.arange(num_clips) * step
    return starts[:, None] + within.astype(np.int64)


@TRANSFORMS.register_module()
class SegmentSampleFrames(BaseTransform):
    """Choose one clip in each of `num_clips` equal parts of the video, see `segment_clips`.

    In training a clip begins at random in its part. In test mode it lies in the middle; the authors'
    own code draws it there too, so that their scores vary from run to run. Reads `total_frames`,
    `start_index`. Writes `frame_inds` (N * T,), `clip_len`, `num_clips`; `frame_interval` is None.

    Args:
        clip_len: frames of a clip, T.
        frame_interval: least distance of neighbouring frames of a clip.
        num_clips: clips, N.
        test_mode: no randomness.

    Raises:
        ValueError: a number is below 1.
        VideoError: the video has no frames.

    Source: the evaluation of V-JEPA 2, Assran et al. 2025, arXiv:2506.09985, by the authors' code.
    """

    def __init__(self, clip_len: int, frame_interval: int = 1, num_clips: int = 1, *, test_mode: bool = False) -> None:
        require_positive("SegmentSampleFrames", clip_len=clip_len, frame_interval=frame_interval, num_clips=num_clips)
        self.clip_len = clip_len
        self.frame_interval = frame_interval
        self.num_clips = num_clips
        self.test_mode = test_mode

    def transform(self, results: Sample) -> Sample:
        num_frames = count_frames(results, "SegmentSampleFrames")
        frames = segment_clips(
            num_frames, self.clip_len, self.frame_interval, self.num_clips, jitter=not self.test_mode
        )
        return write_clips(results, frames, None, self.num_clips)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(clip_len={self.clip_len}, frame_interval={self.frame_interval}, "
            f"num_clips={self.num_clips}, test_mode={self.test_mode})"
        )
