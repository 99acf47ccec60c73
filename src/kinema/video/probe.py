"""What is known of a video file, and what that means for training on it."""

import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from kinema.video.limits import VideoLimits
from kinema.video.reader import VideoReader
from kinema.video.source import VideoSource, open_video, source_name
from kinema.video.truncation import breaks_off

# Containers round times to milliseconds; a frame that is further off was meant to be.
SAME_TIME_SECONDS = 0.002
_HDR_TRANSFERS = {16: "PQ (HDR10)", 18: "HLG"}
_COLOR_RANGES = {1: "limited", 2: "full"}
# Numbers of ITU-T H.273, table 4, as FFmpeg uses them.
_COLOR_SPACES = {0: "RGB", 1: "BT.709", 4: "FCC", 5: "BT.601 (625)", 6: "BT.601 (525)", 7: "SMPTE 240M", 9: "BT.2020"}
_GOOD_SPACING = 16  # frames between key frames, the default of `kinema data prepare`
_GOOD_SHORT_SIDE = 256  # pixels, its default too
_WORTH_SAYING = 1.5  # times faster


@dataclass(frozen=True)
class AudioFacts:
    """One audio stream."""

    codec: str
    sample_rate: int  # samples a second
    channels: int


@dataclass(frozen=True)
class VideoFacts:
    """What a file says of its first video stream, and what its packets say.

    Attributes:
        name: the path, or what kind of object the video came from.
        container: FFmpeg's names of the format, e.g. "mov,mp4,m4a,3gp,3g2,mj2".
        codec: FFmpeg's name, e.g. "h264".
        profile: of the codec; None when it says none.
        pixel_format: how colour is stored, e.g. "yuv420p".
        bit_depth: bits of one colour component.
        color_range: "limited" or "full"; None when it is not said.
        color_space: the matrix between YUV and RGB, e.g. "BT.709"; None when it is not said.
        hdr_transfer: the transfer curve of a high-dynamic-range video; None for ordinary ones.
        width, height: of a frame, pixels, after rotation.
        rotation_degrees: by which the reader turns the stored picture counter-clockwise, 0 to 270.
        sample_aspect_ratio: width of a pixel by its height, after rotation; None when it is not
            said or 1.
        fps: frames a second, on average.
        is_variable_rate: frames last for different times.
        num_frames: that are shown.
        num_header_frames: as the header has it; None when it says nothing.
        duration_seconds: from the first frame to the end of the last.
        first_timestamp_seconds: of the first frame shown; None when the file has no times.
        num_bytes: of the file; None when it is not known.
        bit_rate: bits a second of the whole file; None when it is not known.
        audio: its audio streams.
        num_keyframes: frames that decoding can start at.
        keyframe_spacing_mean: frames from one to the next, on average.
        keyframe_spacing_max: frames at the widest.
        frames_before_random: how many frames must be decoded first to reach a random frame, on
            average.
        damage: what is wrong; None when every frame can be decoded, or that was not tried, and the
            file does not break off.
        was_decoded: whether it was tried.
    """

    name: str
    container: str
    codec: str
    profile: str | None
    pixel_format: str
    bit_depth: int
    color_range: str | None
    color_space: str | None
    hdr_transfer: str | None
    width: int
    height: int
    rotation_degrees: int
    sample_aspect_ratio: Fraction | None
    fps: float
    is_variable_rate: bool
    num_frames: int
    num_header_frames: int | None
    duration_seconds: float
    first_timestamp_seconds: float | None
    num_bytes: int | None
    bit_rate: float | None
    audio: tuple[AudioFacts, ...]
    num_keyframes: int
    keyframe_spacing_mean: float
    keyframe_spacing_max: int
    frames_before_random: float
    damage: str | None
    was_decoded: bool


def probe_video(source: VideoSource, *, decode: bool = True, limits: VideoLimits | None = None) -> VideoFacts:
    """Read what a video is.

    Args:
        source: path, bytes, seekable binary file object, or URL.
        decode: decode every frame to see whether all are good; False reads packets and the first
            frame only.
        limits: what the video may ask for; None for `default_limits()`.

    Raises:
        VideoError: there is no such file, it is no video, or its first frame cannot be decoded.
    """
    with VideoReader(source, limits=limits) as reader:
        num_frames = len(reader)
        keys = reader.index.key_frames
        timestamps = reader.timestamps_seconds
        error = reader.find_damage() if decode else None
        damage = None if error is None else str(error)
        width, height, rotation_degrees = reader.width, reader.height, reader.rotation_degrees
        fps, duration_seconds = reader.fps, reader.duration_seconds
    reason = breaks_off(source) if damage is None else None
    if reason is not None:
        damage = f"{source_name(source)}: the file breaks off: {reason}"
    spacing = np.diff(
        np.unique([0, *keys, num_frames])
    )  # frames before the first key frame hang on one that is not shown
    num_bytes = _num_bytes(source)
    container, stream = open_video(source, limits)
    with container:
        context = stream.codec_context
        return VideoFacts(
            name=source_name(source),
            container=container.format.name,
            codec=context.codec.canonical_name,
            profile=context.profile,
            pixel_format=context.pix_fmt or "unknown",
            bit_depth=_bit_depth(stream),
            color_range=_COLOR_RANGES.get(context.color_range),
            color_space=_COLOR_SPACES.get(context.colorspace),
            hdr_transfer=_HDR_TRANSFERS.get(context.color_trc),
            width=width,
            height=height,
            rotation_degrees=rotation_degrees,
            sample_aspect_ratio=_pixel_shape(stream, is_turned=rotation_degrees % 180 == 90),
            fps=fps,
            is_variable_rate=is_variable_rate(timestamps),
            num_frames=num_frames,
            num_header_frames=stream.frames or None,
            duration_seconds=duration_seconds,
            first_timestamp_seconds=float(timestamps[0]) if np.isfinite(timestamps[0]) else None,
            num_bytes=num_bytes,
            bit_rate=_bit_rate(container, num_bytes, duration_seconds),
            audio=_audio_facts(container),
            num_keyframes=len(keys),
            keyframe_spacing_mean=float(np.mean(spacing)),
            keyframe_spacing_max=int(np.max(spacing)),
            frames_before_random=float(np.sum(spacing * (spacing - 1) / 2) / num_frames),
            damage=damage,
            was_decoded=decode,
        )


def is_variable_rate(timestamps_seconds: np.ndarray) -> bool:
    """Do some frames last longer than others? The last one, whose end no timestamp gives, is left out.

    Args:
        timestamps_seconds: (N,) float64, when each frame is shown. Where they do not grow they say
            nothing.
    """
    steps = np.diff(timestamps_seconds)
    if len(steps) == 0 or not np.all(np.isfinite(steps)) or np.any(steps <= 0):
        return False
    regular = np.linspace(timestamps_seconds[0], timestamps_seconds[-1], len(timestamps_seconds))
    return bool(np.max(np.abs(timestamps_seconds - regular)) > SAME_TIME_SECONDS)


def advice(facts: VideoFacts) -> list[str]:
    """What a user should know before training on this video, a sentence each; empty when all is well."""
    return [*_advice_on_frames(facts), *_advice_on_pictures(facts), *_advice_on_speed(facts)]


def _advice_on_frames(facts: VideoFacts) -> list[str]:
    said = []
    if facts.damage is not None:
        said.append(f"damaged: {facts.damage}")
    if not facts.was_decoded:
        said.append("whether every frame can be decoded was not tried")
    if facts.num_header_frames is not None and facts.num_header_frames != facts.num_frames:
        said.append(
            f"the header says {facts.num_header_frames} frames, {facts.num_frames} are shown: "
            "programs that trust the header ask for frames that are not there"
        )
    if facts.is_variable_rate:
        said.append(
            "variable frame rate: equal steps in frames are not equal steps in time "
            "(`kinema data prepare --fps` makes them equal)"
        )
    return said


def _advice_on_pictures(facts: VideoFacts) -> list[str]:
    said = []
    if facts.hdr_transfer is not None:
        said.append(f"high dynamic range, {facts.hdr_transfer}: converted as if it were SDR, so it looks pale")
    if facts.rotation_degrees:
        said.append(
            f"stored turned, shown upright after {facts.rotation_degrees} degrees counter-clockwise: "
            "programs that ignore the mark see it lying (`kinema data prepare` bakes it in)"
        )
    if facts.sample_aspect_ratio is not None:
        shape = f"{facts.sample_aspect_ratio.numerator}:{facts.sample_aspect_ratio.denominator}"
        said.append(f"pixels are not square ({shape}): the frames are given as stored, as is usual in training")
    return said


def _advice_on_speed(facts: VideoFacts) -> list[str]:
    said = []
    if facts.keyframe_spacing_max > _GOOD_SPACING:
        keys = "one key frame" if facts.num_keyframes == 1 else f"{facts.num_keyframes} key frames"
        before, after = facts.frames_before_random, (_GOOD_SPACING - 1) / 2
        sentence = (
            f"{keys} in {facts.num_frames} frames: {before:.0f} others are decoded first to reach a random frame, on"
            " average"
        )
        times = (before + 1) / (after + 1)
        if times >= _WORTH_SAYING:
            sentence += f"; `kinema data prepare` makes that {after:.0f}, about {times:.0f} times fewer"
        said.append(sentence)
    pixels_less = (min(facts.width, facts.height) / _GOOD_SHORT_SIDE) ** 2
    if pixels_less >= _WORTH_SAYING:
        said.append(
            f"{facts.width}x{facts.height}: a frame has about {pixels_less:.0f} times fewer pixels to decode "
            f"with a short side of {_GOOD_SHORT_SIDE} (`kinema data prepare --short-side {_GOOD_SHORT_SIDE}`)"
        )
    return said


def _num_bytes(source: VideoSource) -> int | None:
    if isinstance(source, bytes):
        return len(source)
    if isinstance(source, (str, Path)) and Path(source).is_file():
        return Path(source).stat().st_size
    if hasattr(source, "seek"):
        return int(source.seek(0, os.SEEK_END))
    return None


def _bit_rate(container: InputContainer, num_bytes: int | None, duration_seconds: float) -> float | None:
    if num_bytes is not None and duration_seconds > 0:
        return 8 * num_bytes / duration_seconds
    return float(container.bit_rate) or None


def _bit_depth(stream: VideoStream) -> int:
    pixel_format = stream.codec_context.format
    return max(component.bits for component in pixel_format.components) if pixel_format is not None else 8


def _pixel_shape(stream: VideoStream, *, is_turned: bool) -> Fraction | None:
    ratio = stream.sample_aspect_ratio
    if not ratio or ratio == 1:
        return None
    return 1 / ratio if is_turned else ratio


def _audio_facts(container: InputContainer) -> tuple[AudioFacts, ...]:
    contexts = [stream.codec_context for stream in container.streams.audio]
    return tuple(
        AudioFacts(context.codec.canonical_name, context.sample_rate, context.channels)
        for context in contexts
        if context
    )
