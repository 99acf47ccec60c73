"""Which frames of a video make up the clips."""

from typing import Literal

import numpy as np

from kinema.errors import SampleValueError, VideoError
from kinema.openmmlab.keywords import accepts_openmmlab_keywords
from kinema.registry import TRANSFORMS
from kinema.transforms.base import BaseTransform, Sample, name_of

OutOfBound = Literal["loop", "repeat_last"]


def random_clip_offsets(num_frames: int, span: float, num_clips: int, *, keep_tail_frames: bool = False) -> np.ndarray:
    """First frames of `num_clips` clips, drawn at random: one from each of `num_clips` equal parts of the video.

    Args:
        num_frames: length of the video, in frames.
        span: frames that one clip covers.
        num_clips: clips, N.
        keep_tail_frames: parts of real-valued length, so that the last frames can be drawn too.

    Returns:
        (N,) offsets. Zeros when the video is shorter than a clip; may be real-valued when it barely
        holds the clips.

    Draws from numpy's global generator.
    """
    starts = num_frames - span + 1  # places where a clip can start
    part = starts / num_clips if keep_tail_frames else starts // num_clips
    if keep_tail_frames:
        if num_frames <= span - 1:
            return np.zeros(num_clips, dtype=int)
        return (np.arange(num_clips) * part + np.random.uniform(0, part, num_clips)).astype(np.int32)
    if part > 0:
        return np.arange(num_clips) * part + np.random.randint(int(part), size=num_clips)
    if num_frames > max(num_clips, span):
        return np.sort(np.random.randint(int(starts), size=num_clips))
    if part == 0:
        return np.around(np.arange(num_clips) * (starts / num_clips))
    return np.zeros(num_clips, dtype=int)


def even_clip_offsets(
    num_frames: int,
    clip_len: int,
    span: float,
    num_clips: int,
    *,
    twice: bool = False,
    whole_steps: bool = False,
) -> np.ndarray:
    """First frames of `num_clips` clips, spread evenly over the video.

    Args:
        num_frames: length of the video, in frames.
        clip_len: frames of a clip; clips of one frame are taken from the middle of their parts.
        span: frames that one clip covers.
        num_clips: clips, N.
        twice: 2N clips (for single frames: the middles of the parts, then their beginnings).
        whole_steps: floor the distance of two clips, as sampling at a target frame rate does.

    Returns:
        (N,) or (2N,) offsets, in frames, maybe fractional.

    Raises:
        ValueError: `twice` with one clip of several frames, for which no distance is defined.
    """
    if clip_len == 1:
        part = num_frames / num_clips
        begins = np.arange(num_clips) * part
        middles = begins + part / 2
        return np.concatenate([middles, begins]) if twice else middles
    room = max(num_frames - span, 0)
    count = 2 * num_clips if twice else num_clips
    if count == 1:
        return np.array([room // 2])
    if num_clips == 1:
        raise ValueError("twice_sample needs num_clips of at least 2 when clip_len is above 1")
    # Dividing by num_clips - 1 for `twice` too is what the published figures were made with.
    step = room / (num_clips - 1)
    if whole_steps:
        return np.arange(count) * np.floor(step)
    return np.around(np.arange(count) * step)


def keep_in_video(frames: np.ndarray, num_frames: int, out_of_bound: OutOfBound) -> np.ndarray:
    """Bring the indices of frames past the end back into the video.

    Args:
        frames: (N, T) indices, one row a clip.
        num_frames: length of the video, in frames.
        out_of_bound: "loop" starts again at the first frame, "repeat_last" repeats the clip's last
            frame inside the video.

    Returns:
        (N, T) indices in [0, num_frames).
    """
    if out_of_bound == "loop":
        return np.mod(frames, num_frames)
    inside = frames < num_frames
    last = np.where(inside, frames, 0).max(axis=1, keepdims=True)
    return np.where(inside, frames, last)


def write_clips(results: Sample, frames: np.ndarray, frame_interval: int | None, num_clips: int) -> Sample:
    """Put the chosen frames into the sample.

    Args:
        results: the sample; its `start_index` is added.
        frames: (clips, T) indices from 0; fractions are cut off.
        frame_interval: frames between two neighbours; None when it varies.
        num_clips: clips that the transform was asked for. There are more with `twice_sample` or
            dense test positions.
    """
    results["frame_inds"] = (frames + results.get("start_index", 0)).reshape(-1).astype(np.int32)
    results["clip_len"] = frames.shape[1]
    results["frame_interval"] = frame_interval
    results["num_clips"] = num_clips
    return results


@TRANSFORMS.register_module()
class SampleFrames(BaseTransform):
    """Choose the frames of `num_clips` clips of `clip_len` frames, `frame_interval` apart.

    In training each clip starts at random in its own part of the video; in test mode the clips are
    spread evenly. Reads `total_frames`, `start_index`, `avg_fps` (for `target_fps`). Writes
    `frame_inds` (N * T,) int32, `clip_len`, `num_clips`, `frame_interval`.

    Args:
        clip_len: frames of a clip, T.
        frame_interval: distance of neighbouring frames of a clip.
        num_clips: clips, N.
        temporal_jitter: move every frame by a random 0 to `frame_interval` - 1.
        twice_sample: take twice the clips, in test mode.
        out_of_bound_opt: what stands for frames past the end: "loop" or "repeat_last".
        test_mode: no randomness.
        keep_tail_frames: in training, let clips reach the very last frames.
        target_fps: sample as if the video had this frame rate.
        fit_short: of a video that is shorter than a clip take the frames evenly from its first to
            its last, instead of what `out_of_bound_opt` says.

    Raises:
        ValueError: `out_of_bound_opt` is neither, a number is below 1, or `twice_sample` stands
            with one clip of several frames.
        VideoError: the video has no frames.
    """

    def __init__(
        self,
        clip_len: int,
        frame_interval: int = 1,
        num_clips: int = 1,
        temporal_jitter: bool = False,
        twice_sample: bool = False,
        out_of_bound_opt: OutOfBound = "loop",
        test_mode: bool = False,
        keep_tail_frames: bool = False,
        target_fps: float | None = None,
        *,
        fit_short: bool = False,
    ) -> None:
        require_positive("SampleFrames", clip_len=clip_len, frame_interval=frame_interval, num_clips=num_clips)
        _require_out_of_bound("SampleFrames", out_of_bound_opt)
        self.clip_len = clip_len
        self.frame_interval = frame_interval
        self.num_clips = num_clips
        self.temporal_jitter = temporal_jitter
        self.twice_sample = twice_sample
        self.out_of_bound_opt: OutOfBound = out_of_bound_opt
        self.test_mode = test_mode
        self.keep_tail_frames = keep_tail_frames
        self.target_fps = target_fps
        self.fit_short = fit_short

    def transform(self, results: Sample) -> Sample:
        num_frames = count_frames(results, "SampleFrames")
        fps = results.get("avg_fps")
        span = self._get_ori_clip_len(fps / self.target_fps if self.target_fps and fps else 1.0)
        offsets = np.asarray(self._sample_clips(num_frames, span))
        within: np.ndarray
        if self.target_fps:
            within = np.linspace(0, span - 1, self.clip_len).astype(np.int32)
        else:
            within = np.arange(self.clip_len) * self.frame_interval
        if self.fit_short and num_frames <= within[-1]:
            whole = np.linspace(0, num_frames - 1, self.clip_len).round()
            return write_clips(results, np.tile(whole, (len(offsets), 1)), None, self.num_clips)
        frames = offsets[:, None] + within[None, :]  # (N, T)
        if self.temporal_jitter:
            frames = frames + np.random.randint(self.frame_interval, size=frames.shape)
        frames = keep_in_video(frames, num_frames, self.out_of_bound_opt)
        return write_clips(results, frames, self.frame_interval, self.num_clips)

    # The names and arguments of these four are those of OpenMMLab: samplings of users' own override them.

    def _get_ori_clip_len(self, fps_scale_ratio: float) -> float:
        """Frames that one clip covers.

        Args:
            fps_scale_ratio: frame rate of the video over `target_fps`; 1 without one.
        """
        if self.target_fps:
            return max(1.0, self.clip_len * self.frame_interval * fps_scale_ratio)
        return (self.clip_len - 1) * self.frame_interval + 1 if self.test_mode else self.clip_len * self.frame_interval

    def _sample_clips(self, num_frames: int, ori_clip_len: float) -> np.ndarray:
        """(clips,) first frames of the clips, in training or test mode."""
        draw = self._get_test_clips if self.test_mode else self._get_train_clips
        return draw(num_frames, ori_clip_len)

    def _get_train_clips(self, num_frames: int, ori_clip_len: float) -> np.ndarray:
        """(clips,) first frames, see `random_clip_offsets`."""
        return random_clip_offsets(num_frames, ori_clip_len, self.num_clips, keep_tail_frames=self.keep_tail_frames)

    def _get_test_clips(self, num_frames: int, ori_clip_len: float) -> np.ndarray:
        """(clips,) first frames, see `even_clip_offsets`."""
        is_resampled = bool(self.target_fps)
        return even_clip_offsets(
            num_frames, self.clip_len, ori_clip_len, self.num_clips, twice=self.twice_sample, whole_steps=is_resampled
        )

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(clip_len={self.clip_len}, frame_interval={self.frame_interval}, "
            f"num_clips={self.num_clips}, temporal_jitter={self.temporal_jitter}, twice_sample={self.twice_sample}, "
            f"out_of_bound_opt={self.out_of_bound_opt}, test_mode={self.test_mode}{_further(self)})"
        )


@TRANSFORMS.register_module()
@accepts_openmmlab_keywords
class DenseSampleFrames(BaseTransform):
    """Choose the frames of `num_clips` clips from a stretch of `sample_range` frames.

    In training the stretch lies at random; test mode takes `num_sample_positions` stretches spread
    over the video, so that there are N * `num_sample_positions` clips. Reads `total_frames`,
    `start_index`. Writes `frame_inds`, `clip_len`, `frame_interval`, `num_clips`.

    Args:
        clip_len: frames of a clip, T.
        frame_interval: distance of neighbouring frames of a clip.
        num_clips: clips of a stretch, N.
        temporal_jitter: move every frame by a random 0 to `frame_interval` - 1.
        out_of_bound_opt: what stands for frames past the end: "loop" or "repeat_last".
        test_mode: no randomness.
        sample_range: length of the stretch, in frames.
        num_sample_positions: stretches in test mode.

    Raises:
        ValueError: a number is below 1, or `out_of_bound_opt` is neither.
        VideoError: the video has no frames.

    Source: the dense sampling of TSM, Lin et al. 2019, arXiv:1811.08383, after Wang et al. 2018,
        arXiv:1711.07971.
    """

    def __init__(
        self,
        clip_len: int,
        frame_interval: int = 1,
        num_clips: int = 1,
        temporal_jitter: bool = False,
        *,
        out_of_bound_opt: OutOfBound = "loop",
        test_mode: bool = False,
        sample_range: int = 64,
        num_sample_positions: int = 10,
    ) -> None:
        require_positive(
            "DenseSampleFrames", clip_len=clip_len, frame_interval=frame_interval, num_clips=num_clips,
            sample_range=sample_range, num_sample_positions=num_sample_positions,
        )  # fmt: skip
        _require_out_of_bound("DenseSampleFrames", out_of_bound_opt)
        self.clip_len = clip_len
        self.frame_interval = frame_interval
        self.num_clips = num_clips
        self.sample_range = sample_range
        self.num_sample_positions = num_sample_positions
        self.temporal_jitter = temporal_jitter
        self.out_of_bound_opt: OutOfBound = out_of_bound_opt
        self.test_mode = test_mode

    def transform(self, results: Sample) -> Sample:
        num_frames = count_frames(results, "DenseSampleFrames")
        offsets = np.asarray(self._sample_clips(num_frames))
        frames = offsets[:, None] + np.arange(self.clip_len) * self.frame_interval
        if self.temporal_jitter:
            frames = frames + np.random.randint(self.frame_interval, size=frames.shape)
        frames = keep_in_video(frames, num_frames, self.out_of_bound_opt)
        return write_clips(results, frames, self.frame_interval, self.num_clips)

    # The names and arguments of these three are those of OpenMMLab: samplings of users' own override them.

    def _sample_clips(self, num_frames: int) -> np.ndarray:
        """(clips,) first frames of the clips, in training or test mode."""
        return self._get_test_clips(num_frames) if self.test_mode else self._get_train_clips(num_frames)

    def _get_train_clips(self, num_frames: int) -> np.ndarray:
        """(N,) first frames in one stretch; the last place for it is never drawn, as in what was published."""
        positions = max(1, 1 + num_frames - self.sample_range)
        return self._clips_of(np.array([0 if positions == 1 else np.random.randint(0, positions - 1)]), num_frames)

    def _get_test_clips(self, num_frames: int) -> np.ndarray:
        """(N * num_sample_positions,) first frames in stretches that are spread over the video."""
        positions = max(1, 1 + num_frames - self.sample_range)
        starts = np.linspace(0, positions - 1, self.num_sample_positions).astype(np.int64)
        return self._clips_of(starts, num_frames)

    def _clips_of(self, starts: np.ndarray, num_frames: int) -> np.ndarray:
        steps = np.arange(self.num_clips) * (self.sample_range // self.num_clips)
        return (starts[:, None] + steps[None, :]).reshape(-1) % num_frames

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(clip_len={self.clip_len}, frame_interval={self.frame_interval}, "
            f"num_clips={self.num_clips}, sample_range={self.sample_range}, "
            f"num_sample_positions={self.num_sample_positions}, temporal_jitter={self.temporal_jitter}, "
            f"out_of_bound_opt={self.out_of_bound_opt}, test_mode={self.test_mode})"
        )


@TRANSFORMS.register_module()
class UntrimmedSampleFrames(BaseTransform):
    """Choose a clip around every `clip_interval`-th frame: features of a long video.

    Frames past an end are replaced by the end's. Reads `total_frames`, `start_index`. Writes
    `frame_inds`, `clip_len`, `clip_interval`, `frame_interval`, `num_clips`.

    Args:
        clip_len: frames of a clip, T.
        clip_interval: distance of the clips' middles, in frames.
        frame_interval: distance of neighbouring frames of a clip.

    Raises:
        ValueError: a number is below 1.
        SampleValueError: the video is too short to have a middle.
        VideoError: it has no frames.
    """

    def __init__(self, clip_len: int = 1, clip_interval: int = 16, frame_interval: int = 1) -> None:
        require_positive(
            "UntrimmedSampleFrames", clip_len=clip_len, clip_interval=clip_interval, frame_interval=frame_interval
        )
        self.clip_len = clip_len
        self.clip_interval = clip_interval
        self.frame_interval = frame_interval

    def transform(self, results: Sample) -> Sample:
        num_frames = count_frames(results, "UntrimmedSampleFrames")
        middles = np.arange(self.clip_interval // 2, num_frames, self.clip_interval)
        if len(middles) == 0:
            raise SampleValueError(
                f"UntrimmedSampleFrames: a video of {num_frames} frames has no clip at"
                f" clip_interval={self.clip_interval}: choose one of at most {2 * num_frames - 1} ({name_of(results)})"
            )
        within = (np.arange(self.clip_len) - self.clip_len // 2) * self.frame_interval
        frames = np.clip(middles[:, None] + within[None, :], 0, num_frames - 1)
        results["clip_interval"] = self.clip_interval
        return write_clips(results, frames, self.frame_interval, len(middles))

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(clip_len={self.clip_len}, clip_interval={self.clip_interval}, "
            f"frame_interval={self.frame_interval})"
        )


def _further(sampling: SampleFrames) -> str:
    """For a `repr`: those settings that OpenMMLab's does not show, where they are not the usual ones."""
    usual = {"keep_tail_frames": False, "target_fps": None, "fit_short": False}
    given = {name: getattr(sampling, name) for name in usual}
    return "".join(f", {name}={value}" for name, value in given.items() if value != usual[name])


def require_positive(who: str, **numbers: int) -> None:
    """Raise ValueError for the first of the named numbers that is below 1."""
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(f"{who}: {name} must be at least 1, got {number}")


def count_frames(results: Sample, who: str) -> int:
    """Length of the sample's video.

    Raises:
        VideoError: it has no frames.
    """
    num_frames = results["total_frames"]
    if num_frames < 1:
        raise VideoError(
            f"{name_of(results)}: the video has no frames to choose from ({who}, total_frames={num_frames})"
        )
    return num_frames


def _require_out_of_bound(who: str, option: str) -> None:
    if option not in ("loop", "repeat_last"):
        raise ValueError(f"{who}: out_of_bound_opt must be 'loop' or 'repeat_last', got {option!r}")
