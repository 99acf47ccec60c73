"""Frames spread over the whole video, one from each of equal parts."""

import itertools
from typing import Any

import numpy as np

from kinema.errors import SampleValueError
from kinema.registry import TRANSFORMS
from kinema.transforms.base import BaseTransform, Sample, name_of
from kinema.transforms.sampling import count_frames, require_positive, write_clips


def spread_frames(num_frames: int, clip_len: int, generator: Any) -> np.ndarray:
    """Draw one frame from each of `clip_len` equal parts of a video; of a video below two clips, leave some frames out.

    Args:
        num_frames: length of the video, in frames, at least `clip_len`.
        clip_len: frames of a clip, T.
        generator: `numpy.random`, for the global generator, or a `numpy.random.RandomState`.

    Returns:
        (T,) indices that grow.
    """
    if num_frames < 2 * clip_len:
        skips = np.zeros(clip_len + 1, dtype=np.int64)
        skips[generator.choice(clip_len + 1, num_frames - clip_len, replace=False)] = 1
        return np.arange(clip_len) + np.cumsum(skips)[:-1]
    edges = np.arange(clip_len + 1) * num_frames // clip_len
    return edges[:-1] + generator.randint(np.diff(edges))


@TRANSFORMS.register_module()
class UniformSample(BaseTransform):
    """Choose `clip_len` frames spread over the whole video, one from each of equal parts.

    In training each frame is drawn in its part, both ends included; test mode takes the parts'
    beginnings, shifted a little for each of `num_clips` clips. Reads `total_frames`, `start_index`.
    Writes `frame_inds`, `clip_len`, `num_clips`; `frame_interval` is None.

    Args:
        clip_len: frames of a clip, T.
        num_clips: clips in test mode, N; training gives one.
        test_mode: no randomness.

    Raises:
        ValueError: a number is below 1.
        VideoError: the video has no frames.

    Source: the Something-Something sampling of UniFormer, Li et al. 2022, arXiv:2201.04676.
    """

    def __init__(self, clip_len: int, num_clips: int = 1, test_mode: bool = False) -> None:
        require_positive("UniformSample", clip_len=clip_len, num_clips=num_clips)
        self.clip_len = clip_len
        self.num_clips = num_clips
        self.test_mode = test_mode

    def transform(self, results: Sample) -> Sample:
        frames = self._get_sample_clips(count_frames(results, "UniformSample"))
        return write_clips(results, np.reshape(frames, (-1, self.clip_len)), None, self.num_clips)

    # Named as in OpenMMLab: samplings of users' own override it.
    def _get_sample_clips(self, num_frames: int) -> np.ndarray:
        """(N * T,) indices, clip after clip."""
        part = (num_frames - 1) / self.clip_len
        edges = np.around(part * np.arange(self.clip_len + 1)).astype(np.int64)
        if self.test_mode:
            shifts = (part / (self.num_clips + 1) * np.arange(1, self.num_clips + 1)).astype(np.int64)
            return (edges[None, :-1] + shifts[:, None]).reshape(-1)
        return np.array([np.random.randint(low, high + 1) for low, high in itertools.pairwise(edges)])

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(clip_len={self.clip_len}, num_clips={self.num_clips}, test_mode={self.test_mode})"
        )


@TRANSFORMS.register_module()
class UniformSampleFrames(BaseTransform):
    """Choose `clip_len` frames spread over the whole video, each drawn in its part: the sampling of skeleton recipes.

    A video shorter than a clip is looped. Test mode draws, too, but always the same. Reads
    `total_frames`, `start_index`, `keypoint` (to check its length). Writes `frame_inds` (N * T,)
    int32, `clip_len`, `num_clips`; `frame_interval` is None.

    Args:
        clip_len: frames of a clip, T.
        num_clips: clips, N.
        test_mode: draw from a generator of its own that is seeded with `seed`; the global one is
            left alone.
        seed: for test mode.

    Raises:
        ValueError: a number is below 1.
        VideoError: the video has no frames.
        SampleValueError: the joints are not those of `total_frames` frames.

    Draws from numpy's global generator in training. Source: PoseC3D, Duan et al. 2022,
        arXiv:2104.13586, section 3.3.
    """

    def __init__(self, clip_len: int, num_clips: int = 1, test_mode: bool = False, seed: int = 255) -> None:
        require_positive("UniformSampleFrames", clip_len=clip_len, num_clips=num_clips)
        self.clip_len = clip_len
        self.num_clips = num_clips
        self.test_mode = test_mode
        self.seed = seed

    def transform(self, results: Sample) -> Sample:
        num_frames = count_frames(results, "UniformSampleFrames")
        if "keypoint" in results and results["keypoint"].shape[1] != num_frames:
            raise SampleValueError(
                f"UniformSampleFrames: total_frames is {num_frames}, but the joints are those of "
                f"{results['keypoint'].shape[1]} frames ({name_of(results)})"
            )
        draw = self._get_test_clips if self.test_mode else self._get_train_clips
        frames = np.reshape(draw(num_frames, self.clip_len), (-1, self.clip_len))
        return write_clips(results, np.mod(frames, num_frames), None, self.num_clips)

    # The names and arguments of these two are those of OpenMMLab: samplings of users' own override them.

    def _get_train_clips(self, num_frames: int, clip_len: int) -> np.ndarray:
        """(N * T,) indices, not yet looped, by numpy's global generator."""
        return self._clips(num_frames, clip_len, np.random)

    def _get_test_clips(self, num_frames: int, clip_len: int) -> np.ndarray:
        """(N * T,) indices, not yet looped, the same at each call."""
        return self._clips(num_frames, clip_len, np.random.RandomState(self.seed))

    def _clips(self, num_frames: int, clip_len: int, generator: Any) -> np.ndarray:
        clips = [self._clip(num_frames, clip_len, number, generator) for number in range(self.num_clips)]
        return np.concatenate(clips)

    def _clip(self, num_frames: int, clip_len: int, number: int, generator: Any) -> np.ndarray:
        """(T,) indices of clip `number`, not yet looped."""
        if num_frames >= clip_len:
            return spread_frames(num_frames, clip_len, generator)
        if not self.test_mode:
            start = generator.randint(0, num_frames)
        elif num_frames < self.num_clips:
            start = number
        else:
            start = number * num_frames // self.num_clips
        return start + np.arange(clip_len)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(clip_len={self.clip_len}, num_clips={self.num_clips}, test_mode={self.test_mode}, "
            f"seed={self.seed})"
        )
