"""What a stream is read from: a camera, an address, a file or standard input, and what FFmpeg may use for it."""

import sys
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from kinema.errors import VideoError
from kinema.printable import printable
from kinema.video.formats import protocol_whitelist, without_secrets
from kinema.video.limits import VideoLimits
from kinema.video.source import path_of, why_absent

# Address scheme -> FFmpeg's protocols below it, and its demuxer where the scheme has one of its own.
_SCHEMES: Final[dict[str, tuple[tuple[str, ...], str | None]]] = {
    "http": ((), None),
    "https": ((), None),
    "rtsp": (("tcp",), "rtsp"),
    "rtsps": (("tls", "tcp"), "rtsp"),
    "rtmp": (("tcp",), None),
    "rtmps": (("tls", "tcp"), None),
    "tcp": ((), None),
    "udp": ((), None),
    "srt": ((), None),
}
_CAMERA_FORMATS: Final = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}
_HIGHEST_CAMERA = 255


class SourceKind(Enum):
    """Where frames come from."""

    CAMERA = "camera"
    ADDRESS = "address"
    FILE = "file"
    STDIN = "standard input"


@dataclass(frozen=True)
class StreamAddress:
    """A source of frames, by what a user writes.

    Attributes:
        kind: where frames come from.
        target: what is opened: a device, an address, a path; "-" for standard input.
        name: for messages: without passwords and control characters.
    """

    kind: SourceKind
    target: str
    name: str

    @property
    def scheme(self) -> str:
        """Of an address, in small letters; "" for all else."""
        return self.target.partition("://")[0].lower() if self.kind is SourceKind.ADDRESS else ""


def parse_source(text: str, limits: VideoLimits) -> StreamAddress:
    """Read what names a stream.

    Args:
        text: `0` (a camera by its number), `/dev/video0`, `rtsp://...` or another address, the path
            of a file, or `-`.
        limits: whose `more_protocols` are addresses too.

    Raises:
        VideoError: an address of a kind that is not opened, a camera or file that is not there, or
            cameras where this system has no way to them.
    """
    if text == "-":
        return StreamAddress(SourceKind.STDIN, text, "standard input")
    if "://" in text and not text.lower().startswith("file://"):
        return _address(text, limits)
    if text.isdecimal() or text.startswith("/dev/video"):
        return _camera(text)
    path = Path(path_of(text))
    if not path.exists():
        raise VideoError(f"{printable(text)}: {why_absent(path)}")
    if path.is_dir():
        raise VideoError(
            f"{printable(text)}: is a folder: a stream is read from one video file, a camera or an address"
        )
    return StreamAddress(SourceKind.FILE, str(path), printable(path))


def _address(text: str, limits: VideoLimits) -> StreamAddress:
    scheme, name = text.partition("://")[0].lower(), printable(without_secrets(text))
    if scheme not in _SCHEMES and scheme not in limits.more_protocols:
        raise VideoError(
            f"{name}: streams of the kind {printable(scheme)!r} are not opened, only {', '.join(_SCHEMES)}; if you"
            f" trust it, name FFmpeg's protocols: KINEMA_VIDEO_LIMITS=more_protocols={printable(scheme)}"
        )
    return StreamAddress(SourceKind.ADDRESS, text, name)


def _camera(text: str) -> StreamAddress:
    name = f"camera {text}" if text.isdecimal() else text
    if camera_format() is None:
        raise VideoError(f"{name}: cameras cannot be read on {sys.platform}: give an address, or pipe its video to `-`")
    if not text.isdecimal():
        device = text
    elif int(text) > _HIGHEST_CAMERA:
        raise VideoError(f"{name}: there is no such camera; a file of that name is ./{text}")
    else:
        device = f"/dev/video{int(text)}" if sys.platform == "linux" else text
    if sys.platform == "linux" and not Path(device).exists():
        cameras = sorted(str(path) for path in Path("/dev").glob("video*"))
        raise VideoError(f"{name}: there is no {device}; cameras of this machine: {', '.join(cameras) or 'none'}")
    return StreamAddress(SourceKind.CAMERA, device, name)


def camera_format() -> str | None:
    """FFmpeg's name of the way to cameras on this system; None where PyAV has none."""
    import av

    name = _CAMERA_FORMATS.get(sys.platform)
    known = {part for names in av.formats_available for part in names.split(",")}
    return name if name in known else None


def protocols_of(address: StreamAddress, limits: VideoLimits) -> str:
    """FFmpeg's `protocol_whitelist` for an address: its own kind, what lies below that, and what `limits` name."""
    below, _ = _SCHEMES.get(address.scheme, ((), None))
    return protocol_whitelist(address.scheme or None, (*below, *limits.more_protocols))


def more_formats_of(address: StreamAddress) -> tuple[str, ...]:
    """Demuxers that belong to a source: none of them opens anything but what the user named."""
    if address.kind is SourceKind.CAMERA:
        name = camera_format()
        assert name is not None
        return ("video4linux2", name) if name == "v4l2" else (name,)
    _, demuxer = _SCHEMES.get(address.scheme, ((), None))
    return () if demuxer is None else (demuxer,)
