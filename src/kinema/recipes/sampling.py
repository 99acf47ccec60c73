"""Which frames of the clips at hand a model sees: the distance that spans them, in words, and what it misses."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from kinema.checkpoints.contract import LONGEST_CLIP
from kinema.datasets.annotations import Annotations, Split
from kinema.errors import VideoError
from kinema.models.zoo import InputSpec

PROBED_CLIPS = 32  # lengths of so many clips decide how far apart a clip's frames are
FAR_APART_SECONDS = 1.0  # motion between frames further apart than this is a matter of luck
MUCH_LONGER = 2.0  # than what the model sees of it: a clip of which it misses the larger part
WIDE = 1.3  # long side by short side from which a square crop loses a third of the picture; that of 4:3 is 1.33


@dataclass(frozen=True)
class ProbedClips:
    """Some clips of a split, evenly spread over it; an entry a clip.

    Attributes:
        frames: their lengths, in frames.
        fps: frame rates of their videos.
        widths: widths of their videos, pixels.
        heights: heights, pixels.
    """

    frames: np.ndarray
    fps: np.ndarray
    widths: np.ndarray
    heights: np.ndarray

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def seconds(self) -> np.ndarray:
        """Durations of the clips."""
        return self.frames / self.fps

    @property
    def middle_shape(self) -> float:
        """Long side by short side of the middle one of the frames."""
        sides = np.stack([self.widths, self.heights])
        return float(np.median(sides.max(axis=0) / sides.min(axis=0)))

    @property
    def middle_seconds(self) -> float:
        """Duration of the clip of middle length."""
        return float(np.median(self.seconds))


@dataclass(frozen=True)
class ClipSampling:
    """What a model sees of the clips at hand.

    Attributes:
        spec: what the model takes.
        clips: some of the clips.
        frame_interval: distance of the frames that it sees; None: segments of the whole clip.
        whole_frame: frames are made square, rather than squares cut out of them.
    """

    spec: InputSpec
    clips: ProbedClips
    frame_interval: int | None
    whole_frame: bool

    @property
    def settings(self) -> dict[str, Any]:
        """Keywords of `kinema.models.zoo.video_pipeline`."""
        return {"frame_interval": self.frame_interval, "num_clips": 1, "whole_frame": self.whole_frame}

    @property
    def clip_seconds(self) -> float:
        """How much of a clip it sees at a time."""
        return clip_seconds(self.spec, self.frame_interval, self.clips)

    @property
    def sees(self) -> str:
        """In words, what it sees of a clip."""
        return describe_sampling(self.spec, self.frame_interval, self.clips)

    @property
    def frame(self) -> str:
        """In words, what it sees of a frame."""
        return describe_frame(self.spec, self.clips, whole_frame=self.whole_frame)

    def warnings(self) -> list[str]:
        """What it misses, a sentence each."""
        return list(sampling_warnings(self.spec, self.frame_interval, self.clips, whole_frame=self.whole_frame))


def choose_sampling(spec: InputSpec, split: Split, *, fits_clips: bool, from_weights: bool) -> ClipSampling:
    """What a model is to see of the clips of a split.

    Args:
        spec: what the model takes.
        split: the clips to train on.
        fits_clips: a clip of the model spans one of middle length; False: as published.
        from_weights: the training starts from weights.

    Raises:
        VideoError: no clip can be read.
    """
    clips = probe_clips(split)
    interval = choose_frame_interval(spec, clips) if fits_clips else published_interval(spec)
    return ClipSampling(spec, clips, interval, fits_clips and takes_whole_frame(clips, from_weights=from_weights))


def probe_clips(split: Split, count: int = PROBED_CLIPS) -> ProbedClips:
    """Open up to `count` clips of a split.

    Raises:
        VideoError: none of them can be read.
    """
    clips = split.annotations
    rows: list[tuple[int, float, int, int]] = []
    errors = []
    for place in np.linspace(0, len(clips) - 1, min(count, len(clips))).astype(int).tolist():
        try:
            with split.open_video(place) as reader:
                frames = _frames_of_clip(clips, place, len(reader), reader.fps)
                rows.append((frames, reader.fps or 25.0, reader.width, reader.height))
        except VideoError as error:  # the training will name and count it
            errors.append(error)
    if not rows:
        raise VideoError(f"{split.path}: none of {len(errors)} clips tried can be read; the first: {errors[0]}")
    frames_, fps, widths, heights = map(np.array, zip(*rows, strict=True))
    return ProbedClips(frames_, fps, widths, heights)


def _frames_of_clip(clips: Annotations, place: int, total_frames: int, fps: float) -> int:
    """About how many frames of a video of `total_frames` belong to clip `place`."""
    if clips.clip_starts is None or clips.clip_ends is None:
        return total_frames
    rate = fps if clips.clip_unit == "seconds" else 1.0
    start, end = np.nan_to_num([clips.clip_starts[place], clips.clip_ends[place]], nan=np.inf) * rate
    start = start if np.isfinite(start) else 0
    return max(1, int(min(end, total_frames) - start))


def choose_frame_interval(spec: InputSpec, clips: ProbedClips) -> int | None:
    """Distance of frames at which the model's clip spans one of middle length.

    None for a model of segments, which takes its frames from all of every video whatever its
    length.
    """
    if spec.takes_segments:
        return None
    return max(1, int(np.median(clips.frames)) // spec.clip_len)


def published_interval(spec: InputSpec) -> int | None:
    """Distance of frames that the model was published with; None for a model of segments."""
    return None if spec.takes_segments else spec.frame_interval


def describe_sampling(spec: InputSpec, frame_interval: int | None, clips: ProbedClips) -> str:
    """What the model sees of a clip, such as "16 frames, 3 apart: 1.9 s of a clip of 2.1 s"."""
    if frame_interval is None:
        return f"{spec.num_frames} segments over the whole clip, one frame of each"
    seen, whole = clip_seconds(spec, frame_interval, clips), clips.middle_seconds
    return f"{spec.clip_len} frames, {frame_interval} apart: {seen:.1f} s of a clip of {whole:.1f} s"


def _seconds_seen(spec: InputSpec, frame_interval: int, clips: ProbedClips) -> float:
    return float(spec.clip_len * frame_interval / np.median(clips.fps))


def clip_seconds(spec: InputSpec, frame_interval: int | None, clips: ProbedClips) -> float:
    """How much of a clip the model sees at a time, in seconds; a model of segments sees all of it."""
    whole = clips.middle_seconds
    seen = whole if frame_interval is None else min(_seconds_seen(spec, frame_interval, clips), whole)
    return float(np.clip(round(seen, 3), 1e-3, LONGEST_CLIP))


def takes_whole_frame(clips: ProbedClips, *, from_weights: bool) -> bool:
    """Is every frame to be made a square rather than a square cut out of it?

    So it is where most clips are wide, or tall: an action at the side would be cut off. Weights to
    start from were trained on frames that kept their shape, so there it is not.
    """
    return not from_weights and clips.middle_shape >= WIDE


def describe_frame(spec: InputSpec, clips: ProbedClips, *, whole_frame: bool) -> str:
    """What the model sees of a frame, such as "the whole frame, made 56 x 56 pixels"."""
    if whole_frame:
        return f"the whole frame, made {spec.size} x {spec.size} pixels"
    return f"the middle of the frame, {spec.size} x {spec.size} pixels, {_share_seen(spec, clips):.0%} of it"


def _share_seen(spec: InputSpec, clips: ProbedClips) -> float:
    """Share of the area of a middle frame that a square crop shows."""
    short = min(spec.size / spec.short_side, 1.0)
    return float(short * min(spec.size / (spec.short_side * clips.middle_shape), 1.0))


def sampling_warnings(
    spec: InputSpec, frame_interval: int | None, clips: ProbedClips, *, whole_frame: bool = False
) -> Iterator[str]:
    """What the sampling does badly on these clips, a sentence each."""
    tried = f"of {len(clips)} clips tried"
    if not whole_frame and clips.middle_shape >= WIDE:
        yield (
            "published weights and recipes know squares out of the middle of frames, which show"
            f" {_share_seen(spec, clips):.0%} of these wide ones: validation and prediction miss what happens at the"
            " sides; without --pretrained and --recipe the whole frame is seen"
        )
    short = int((clips.frames < spec.num_frames).sum())
    if short:
        yield (
            f"{short} {tried} have fewer frames than the {spec.num_frames} that the model takes, which are repeated "
            f"(shortest: {clips.frames.min()})"
        )
    if frame_interval is None:
        gap, what = clips.middle_seconds / spec.num_frames, "segments of a clip of middle length are"
    else:
        gap, what = frame_interval / float(np.median(clips.fps)), "frames that the model sees are"
        seen = _seconds_seen(spec, frame_interval, clips)
        long = int((clips.seconds > MUCH_LONGER * seen).sum())
        if long:
            yield (
                f"{long} {tried} are over twice as long as the {seen:.1f} s that the model sees at a time (longest:"
                f" {clips.seconds.max():.1f} s): training draws a random part of them, validation takes the middle;"
                " give start and end of the action in a table, or cut them"
            )
        slowest, fastest = clips.fps.min(), clips.fps.max()
        if fastest > 1.5 * slowest:
            yield (
                f"the clips have {slowest:.4g} to {fastest:.4g} frames a second, and the distance of frames is in"
                f" frames: the same motion looks up to {fastest / slowest:.1f} times as fast in some; `kinema data"
                " prepare --fps` gives all the same rate"
            )
    if gap > FAR_APART_SECONDS:
        yield (
            f"the {what} {gap:.1f} s apart: an action shorter than that can fall between them; cut the videos into"
            " clips of one action, or give its start and end in a table"
        )
