"""Clips as small moving pictures in a page: animated WebP, which every browser plays in an `<img>`, without scripts.

`templates/clips.html` has the macros that show them: `style`, `pause_switch` and `clip`. Readers who
ask for less motion see still pictures; the switch stops the clips for everybody.
"""

import base64
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.frame import VideoFrame

from kinema.errors import VideoError
from kinema.video import VideoReader

CLIP_BYTES = 15_000  # of a clip by default: 400 of them are 8 MB of a page, as text
_LEAST_BYTES = 4_000  # below nothing can be seen
_SLOWEST, _FASTEST = 5.0, 15.0  # frames a second
_LONGEST_SIDE = 2.5  # short sides; what is longer is squeezed
# (frames, short side in pixels, quality), the best first: the first that fits the budget is taken.
_LADDER = ((20, 128, 40), (16, 112, 35), (16, 96, 30), (12, 96, 20), (12, 80, 15), (8, 64, 10), (6, 48, 5), (4, 32, 1))


@dataclass(frozen=True)
class ClipAnimation:
    """A clip as a page shows it.

    Attributes:
        animation: an animated WebP file that plays for ever; empty where the clip is broken.
        still: its middle frame, a WebP file.
        width: of both, pixels.
        height: of both, pixels.
        error: why there is no picture; "" where there is.
    """

    animation: bytes = b""
    still: bytes = b""
    width: int = 0
    height: int = 0
    error: str = ""

    @property
    def uri(self) -> str:
        """The animation as a `data:` address; empty where the clip is broken."""
        return _uri(self.animation)

    @property
    def still_uri(self) -> str:
        """The still picture as a `data:` address."""
        return _uri(self.still)


def clip_animation(
    source: str | os.PathLike[str] | np.ndarray,
    *,
    fps: float | None = None,
    part: tuple[float, float] | None = None,
    max_bytes: int = CLIP_BYTES,
) -> ClipAnimation:
    """Make a small moving picture of a clip.

    Long clips play faster than they are: a few frames, spread over all of it, at five a second at
    least. A video that cannot be read gives a placeholder with the reason.

    Args:
        source: a video file; or frames (T, H, W, 3) uint8 RGB.
        fps: frames a second of frames; default 10.
        part: first and last second of a file to show, on the clock of the video; None: all of it.
        max_bytes: of the two pictures together; frames, size and quality are chosen for it.

    Raises:
        ValueError: the frames have another form, `part` is empty, or not even the smallest
            animation fits `max_bytes`.
    """
    if part is not None and not part[0] < part[1]:
        raise ValueError(f"part must be two times in seconds, the first before the second, got {part}")
    if isinstance(source, np.ndarray):
        if source.ndim != 4 or source.shape[3] != 3 or source.dtype != np.uint8 or not source.size:
            raise ValueError(f"frames must be (T, H, W, 3) uint8 RGB, got {source.shape} {source.dtype}")
        frames, seconds = source, len(source) / (fps or 10.0)
    else:
        try:
            frames, seconds = _read(Path(source), part)
        except (VideoError, OSError) as error:
            return ClipAnimation(error=str(error))
    for count, side, quality in _LADDER:
        animation = _encoded(frames, seconds, count, side, quality)
        if len(animation.animation) + len(animation.still) <= max_bytes:
            return animation
    raise ValueError(f"no animation is smaller than max_bytes={max_bytes}: give at least {_LEAST_BYTES}")


def webp(frames: np.ndarray, fps: float, quality: int) -> bytes:
    """Encode an animation that plays for ever.

    Args:
        frames: (T, H, W, 3) uint8 RGB; H and W even.
        fps: frames a second.
        quality: 0 (small) to 100.
    """
    file = io.BytesIO()
    with av.open(file, "w", format="webp", options={"loop": "0"}) as container:
        stream = container.add_stream("libwebp_anim", rate=Fraction(fps).limit_denominator(100))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.options = {"quality": str(quality), "compression_level": "4"}
        for frame in frames:
            container.mux(stream.encode(VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


def _read(path: Path, part: tuple[float, float] | None) -> tuple[np.ndarray, float]:
    """Frames spread over a clip, and how long it is."""
    with VideoReader(path, errors="keep-good") as reader:
        first, stop, seconds = 0, len(reader), reader.duration_seconds
        if part is not None:
            first, stop = np.searchsorted(reader.timestamps_seconds, part).tolist()
            if first >= stop:
                raise VideoError(f"{path}: has no frames from {part[0]:g} to {part[1]:g} s")
            seconds = part[1] - part[0]
        return reader.get_batch(_spread(first, stop, _LADDER[0][0])), seconds


def _spread(first: int, stop: int, count: int) -> np.ndarray:
    return np.linspace(first, stop - 1, min(stop - first, count)).round().astype(int)


def _encoded(frames: np.ndarray, seconds: float, count: int, side: int, quality: int) -> ClipAnimation:
    chosen = frames[_spread(0, len(frames), count)]
    small = np.stack(list(_scaled(chosen, side)))
    fps = min(max(len(small) / seconds, _SLOWEST), _FASTEST) if seconds > 0 else _SLOWEST
    middle = small[len(small) // 2]
    _, still = cv2.imencode(".webp", np.ascontiguousarray(middle[..., ::-1]), [cv2.IMWRITE_WEBP_QUALITY, quality])
    return ClipAnimation(webp(small, fps, quality), still.tobytes(), small.shape[2], small.shape[1])


def _scaled(frames: np.ndarray, side: int) -> Iterator[np.ndarray]:
    """Frames with that short side, never larger than they are, even, and not too long."""
    height, width = frames.shape[1:3]
    scale = min(1.0, side / min(height, width))
    longest = round(_LONGEST_SIDE * side)
    size = tuple(max(2, round(min(length * scale, longest) / 2) * 2) for length in (width, height))
    for frame in frames:
        yield cv2.resize(frame, size, interpolation=cv2.INTER_AREA)


def _uri(content: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(content).decode()}" if content else ""
