"""Open whatever holds a video (path, bytes, file object, URL) as a PyAV container, or say in one line why not."""

import io
from pathlib import Path
from typing import BinaryIO

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from kinema.errors import VideoError

VideoSource = str | Path | bytes | BinaryIO

# FFmpeg renders a text file as a video of its letters.
_TEXT_FORMAT = "tty"


def source_name(source: VideoSource) -> str:
    """What messages call `source`: the path, or what kind of object it is."""
    if isinstance(source, (str, Path)):
        return str(source)
    if isinstance(source, bytes):
        return f"<{len(source)} bytes>"
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else f"<{type(source).__name__}>"


def open_video(source: VideoSource) -> tuple[InputContainer, VideoStream]:
    """Open `source` at its start.

    Returns:
        The container and its first video stream, cover pictures aside. The caller closes the container.

    Raises:
        VideoError: there is no such file, it is empty or no video, or no stream of it can be decoded.
        TypeError: `source` is nothing that can be read.
    """
    name = source_name(source)
    target = _target(source, name)
    try:
        container = av.open(target, "r", metadata_errors="replace")  # a title that is no UTF-8 is no reason to fail
    except (av.FFmpegError, OSError) as error:
        raise VideoError(f"{name}: is no video that can be read ({reason_of(error)})") from error
    try:
        return container, _first_stream(container, name)
    except VideoError:
        container.close()
        raise


def _target(source: VideoSource, name: str) -> str | BinaryIO:
    """What PyAV opens."""
    if isinstance(source, str) and "://" in source:
        return source
    if isinstance(source, (str, Path)):
        path = Path(source)
        if not path.exists():
            raise VideoError(f"{name}: no such file")
        if path.is_dir():
            raise VideoError(f"{name}: is a folder, not a video file")
        if not path.is_file():
            raise VideoError(
                f"{name}: is no regular file, expected a video file; open a pipe or device and give its bytes"
            )
        if path.stat().st_size == 0:
            raise VideoError(f"{name}: is empty (0 bytes)")
        return f"file:{path}"  # without the prefix FFmpeg takes "a:b.mp4" for a protocol named a
    if isinstance(source, bytes):
        if not source:
            raise VideoError(f"{name}: is empty (0 bytes)")
        return io.BytesIO(source)
    if not (hasattr(source, "read") and hasattr(source, "seek")):
        raise TypeError(f"a video must be a path, bytes or a seekable binary file object, got {type(source).__name__}")
    source.seek(0)
    return source


def _first_stream(container: InputContainer, name: str) -> VideoStream:
    if container.format.name == _TEXT_FORMAT:
        raise VideoError(f"{name}: is a text file, not a video")
    # An audio file's cover picture counts as a video stream.
    streams = [one for one in container.streams.video if av.stream.Disposition.attached_pic not in one.disposition]
    if not streams:
        kinds = sorted({one.type for one in container.streams})
        raise VideoError(f"{name}: has no video stream, only {', '.join(kinds) or 'nothing'}")
    if streams[0].codec_context is None:
        raise VideoError(f"{name}: there is no decoder for its video stream")
    return streams[0]


def reason_of(error: Exception) -> str:
    """FFmpeg's words for an error, without numbers and names of functions."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).splitlines()[0]
