"""write_video: frames to a video file."""

import itertools
import os
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from kinema.errors import VideoError
from kinema.video.source import reason_of


def write_video(
    path: str | Path,
    frames: Iterable[np.ndarray],
    fps: float,
    *,
    codec: str = "libx264",
    crf: int | None = 23,
    pixel_format: str = "yuv420p",
    options: Mapping[str, str] | None = None,
) -> Path:
    """Encode frames into one video file, which appears under its name only when it is complete.

    The same frames give the same file on every machine: one encoder thread.

    Args:
        path: file to write; the suffix names the container (mp4, avi, mkv, webm, gif, ...). Folders are made.
        frames: (H, W, 3) uint8 RGB, all of one size; an (N, H, W, 3) array or any iterable.
        fps: frames a second.
        codec: FFmpeg's name of the encoder.
        crf: constant rate factor, lower is better; None for encoders without one.
        pixel_format: how the encoder stores colour. yuv420p, which every player knows, needs even width and height.
        options: more options of the encoder, e.g. `{"preset": "veryfast"}`.

    Returns:
        The path.

    Raises:
        ValueError: no frames, wrong shape or type, odd size with a pixel format that cannot hold it, fps not positive,
            unknown codec or suffix.
        VideoError: the encoder refuses or the file cannot be written.
    """
    path = Path(path)
    if fps <= 0:
        raise ValueError(f"fps must be positive, got {fps}")
    iterator = iter(frames)
    first = next(iterator, None)
    if first is None:
        raise ValueError(f"{path}: there are no frames to write")
    _check_frame(first, first)
    _check_size(first, pixel_format)
    _check_codec(codec)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".part-{os.getpid()}-{path.name}")
    settings = {**({} if crf is None else {"crf": str(crf)}), **(options or {})}
    try:
        _encode(partial, itertools.chain([first], iterator), fps, codec, pixel_format, settings)
        partial.replace(path)
    except (av.FFmpegError, OSError) as error:
        raise VideoError(f"{path}: cannot be written with {codec} ({reason_of(error)})") from error
    finally:
        partial.unlink(missing_ok=True)
    return path


def _encode(
    path: Path, frames: Iterable[np.ndarray], fps: float, codec: str, pixel_format: str, options: dict[str, str]
) -> None:
    try:
        container = av.open(f"file:{path}", "w")
    except ValueError:
        raise ValueError(f"no video format has the suffix {path.suffix!r}: use .mp4, .avi, .mkv or .webm") from None
    with container:
        stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001), options=options)
        assert isinstance(stream, VideoStream)  # _check_codec saw to that
        stream.thread_count = 1
        stream.pix_fmt = pixel_format
        first = None
        for pixels in frames:
            if first is None:
                first = pixels
                stream.height, stream.width = pixels.shape[:2]
            _check_frame(pixels, first)
            container.mux(stream.encode(VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")))
        container.mux(stream.encode())


def _check_codec(codec: str) -> None:
    try:
        kind = av.Codec(codec, "w").type
    except av.codec.codec.UnknownCodecError:
        raise ValueError(f"this FFmpeg has no encoder {codec!r}") from None
    if kind != "video":
        raise ValueError(f"{codec} encodes {kind}, not video")


def _check_frame(frame: np.ndarray, first: np.ndarray) -> None:
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
        raise ValueError(f"a frame must be (H, W, 3) uint8, got {frame.shape} {frame.dtype}")
    if frame.shape != first.shape:
        raise ValueError(f"all frames must have one size, got {first.shape} and then {frame.shape}")


def _check_size(frame: np.ndarray, pixel_format: str) -> None:
    """FFmpeg's own words for this are 'Generic error in an external library'."""
    height, width = frame.shape[:2]
    chroma = av.VideoFormat(pixel_format, width, height)
    # Chroma planes are rounded up: a plane that does not divide the frame is one that encoders refuse.
    for component in chroma.components:
        if width % component.width or height % component.height:
            raise ValueError(
                f"{pixel_format} cannot hold {width}x{height}, both must be even: "
                "crop the frames by a pixel, or give pixel_format='yuv444p'"
            )
