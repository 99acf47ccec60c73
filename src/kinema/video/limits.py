"""How much a video may ask of the machine before it is refused.

A file of a hundred bytes can claim a picture of gigabytes, or a hundred million frames. Whatever
real cameras, screens and archives make stays far below these limits; what is above them is a
`VideoError` that names the limit.
"""

import dataclasses
import os
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from kinema.errors import VideoError

_STREAMS_A_VIDEO_STREAM = 8
ENVIRONMENT_VARIABLE = "KINEMA_VIDEO_LIMITS"


class VideoLimitError(VideoError):
    """A video asks for more than `VideoLimits` allow. Names the limit."""


@dataclass(frozen=True, kw_only=True)
class VideoLimits:
    """Limits for one video. Each has to be positive; `float("inf")` is none.

    Attributes:
        pixels: of one frame, width times height. The default lets 10000x10000 pass; 8K is a third
            of it.
        frames: of one video, counted in its header or its packets. The default is 23 hours of 60
            frames a second.
        streams: of one file, sound, subtitles and attached fonts included; an eighth of them may be
            video.
        memory_bytes: of the frames that one call returns.
        seconds: that one call may take: opening, counting, or decoding what was asked for.
            `find_damage` decodes everything and has no such limit.
        network_seconds: that a server may stay silent; one that has sent less than a kilobyte a
            second for that long is given up, too.
        more_formats: FFmpeg's names of further file formats that may be opened, such as "hls" or
            "image2".
        more_protocols: FFmpeg's names of further ways to get at a video, such as "rtsp", "rtp",
            "udp", "ftp", "concat".
    """

    pixels: float = 100_000_000
    frames: float = 5_000_000
    streams: float = 256
    memory_bytes: float = 16 * 2**30
    seconds: float = 1800.0
    network_seconds: float = 30.0
    more_formats: tuple[str, ...] = ()
    more_protocols: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(field.default, tuple):
                if isinstance(value, str) or not all(isinstance(entry, str) for entry in value):
                    raise ValueError(f"{field.name} must be a list of FFmpeg's names, got {value!r}")
                object.__setattr__(self, field.name, tuple(value))
            elif isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
                raise ValueError(f"{field.name} must be a positive number, got {value!r}")

    @classmethod
    def parse(cls, text: str) -> "VideoLimits":
        """Read `"pixels=4e8, more_protocols=rtsp+rtp"`: names of attributes; a plus sign between the entries of a list.

        Raises:
            ValueError: there is no such limit, or its value is none.
        """
        values: dict[str, Any] = {}
        fields = {field.name: field for field in dataclasses.fields(cls)}
        for part in filter(None, (entry.strip() for entry in text.split(","))):
            name, equals, value = (side.strip() for side in part.partition("="))
            if name not in fields or not equals:
                raise ValueError(f"expected LIMIT=VALUE with a limit of {', '.join(fields)}, got {part!r}")
            try:
                values[name] = tuple(value.split("+")) if isinstance(fields[name].default, tuple) else float(value)
            except ValueError:
                raise ValueError(f"{name} must be a positive number, got {value!r}") from None
        return cls(**values)

    def __str__(self) -> str:
        """As `parse` reads it: what differs from the defaults."""
        parts = []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value != field.default:
                parts.append(f"{field.name}={'+'.join(value) if isinstance(value, tuple) else value}")
        return ",".join(parts)


def default_limits() -> VideoLimits:
    """What readers keep to that are given no limits.

    Those of `set_default_limits`, else of `KINEMA_VIDEO_LIMITS`, else the defaults.

    Raises:
        VideoError: the environment variable holds something else.
    """
    return _parsed(os.environ.get(ENVIRONMENT_VARIABLE, ""))


def set_default_limits(limits: VideoLimits | None) -> None:
    """Set the limits of readers that are given none; None for the defaults.

    They hold in this process and in those that it starts from now on.
    """
    if limits is None:
        os.environ.pop(ENVIRONMENT_VARIABLE, None)
    else:
        os.environ[ENVIRONMENT_VARIABLE] = str(limits)


@lru_cache(maxsize=8)
def _parsed(text: str) -> VideoLimits:
    try:
        return VideoLimits.parse(text)
    except ValueError as error:
        raise VideoError(f"the environment variable {ENVIRONMENT_VARIABLE} is {text!r}: {error}") from error


def too_much(name: str, limit: str, is_what: str, allowed: float, needed: float | None = None) -> VideoLimitError:
    """The error of a video above a limit.

    Args:
        name: of the video.
        limit: the attribute of `VideoLimits`.
        is_what: what was found, e.g. "a frame has 256000000 pixels".
        allowed: the limit's value.
        needed: the value that would do; None when that is not known.
    """
    value = f"{needed:.15g}" if needed is not None else "N"
    return VideoLimitError(
        f"{name}: {is_what}, above the limit {limit}={allowed:.15g}; if you trust the file, raise it: "
        f"VideoReader(..., limits=VideoLimits({limit}={value})) or the environment variable "
        f"{ENVIRONMENT_VARIABLE}={limit}={value}"
    )


class Watch:
    """Holds what is done with one video to its limits, while it is done.

    Args:
        limits: of this video.
        name: what messages call the video.
        is_remote: the video comes over a network.
    """

    def __init__(self, limits: VideoLimits, name: str, *, is_remote: bool = False) -> None:
        self.limits = limits
        self.name = name
        self.is_remote = is_remote
        self._end = float("inf")

    def start(self) -> None:
        """A call begins that may take `limits.seconds`."""
        self._end = time.monotonic() + self.limits.seconds

    def stop(self) -> None:
        """What follows may take as long as it likes."""
        self._end = float("inf")

    def check_time(self) -> None:
        """Raises VideoError: the call has taken too long."""
        if time.monotonic() > self._end:
            raise too_much(self.name, "seconds", f"takes more than {self.limits.seconds:g} s", self.limits.seconds)

    def check_frames(self, num_frames: int) -> None:
        """Raises VideoError: there are more frames than may be."""
        if num_frames > self.limits.frames:
            is_what = f"holds more than {self.limits.frames:.15g} frames"
            raise too_much(self.name, "frames", is_what, self.limits.frames)

    def check_size(self, width: int, height: int) -> None:
        """Raises VideoError: a frame has more pixels than may be."""
        if width * height > self.limits.pixels:
            is_what = f"a frame has {width}x{height} pixels"
            raise too_much(self.name, "pixels", is_what, self.limits.pixels, width * height)

    def check_streams(self, num_streams: int, num_video_streams: int) -> None:
        """Raises VideoError: the file has more streams than may be.

        FFmpeg starts a decoder for each.
        """
        needed = max(num_streams, num_video_streams * _STREAMS_A_VIDEO_STREAM)
        if needed > self.limits.streams:
            is_what = f"has {num_streams} streams, {num_video_streams} of them video"
            raise too_much(self.name, "streams", is_what, self.limits.streams, needed)

    def check_memory(self, num_frames: int, height: int, width: int, channels: int = 3) -> None:
        """Raises VideoError: the frames of one call take more memory than may be."""
        num_bytes = num_frames * height * width * channels
        if num_bytes > self.limits.memory_bytes:
            is_what = f"{num_frames} frames of {width}x{height} pixels take {num_bytes} bytes"
            raise too_much(self.name, "memory_bytes", is_what, self.limits.memory_bytes, num_bytes)
