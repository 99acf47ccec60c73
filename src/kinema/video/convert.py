"""From a decoded frame to RGB pixels in an array: colour, size, orientation."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import numpy as np
from av.sidedata.sidedata import SideData
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter


@dataclass(frozen=True)
class Orientation:
    """How stored frames are turned for showing.

    Attributes:
        quarter_turns: counter-clockwise, 0 to 3.
        mirrored: left and right are exchanged, before turning.
    """

    quarter_turns: int = 0
    mirrored: bool = False

    @property
    def is_upright(self) -> bool:
        """Whether stored frames are shown as they are."""
        return self == UPRIGHT

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """(H, W, ...) stored -> shown, a view."""
        if self.mirrored:
            pixels = pixels[:, ::-1]
        return np.rot90(pixels, self.quarter_turns) if self.quarter_turns else pixels

    def apply_to_size(self, height: int, width: int) -> tuple[int, int]:
        """Stored height and width -> shown."""
        return (width, height) if self.quarter_turns % 2 else (height, width)


UPRIGHT = Orientation()


def orientation_of(frame: VideoFrame) -> Orientation:
    """Read a frame's display matrix.

    Angles that are no multiple of 90 degrees are rounded to one. Source: FFmpeg,
    libavutil/display.h: (a, b, u, c, d, v, x, y, w) maps (p, q) to (a p + c q, b p + d q).
    """
    all_data = cast(Iterable[SideData], frame.side_data)  # annotated as a mapping of names, of which it has no others
    matrix = next((data for data in all_data if data.type == SideDataType.DISPLAYMATRIX), None)
    if matrix is None:
        return UPRIGHT
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].astype(float)
    mirrored = a * d - b * c < 0
    if mirrored:  # x is negated first
        a, b = -a, -b
    clockwise = float(np.degrees(np.arctan2(b, a)))
    return Orientation(round(-clockwise / 90) % 4, bool(mirrored))


class FrameConverter:
    """Converts the frames of one video to the size of the first.

    Frames of another size, as browsers and meetings record, are scaled to that of the first with
    FFmpeg's bicubic filter, whole and without bars, as the `ffmpeg` program does. Each is converted
    from its own pixel format, colour matrix and range; the turn of the first holds for all.

    Args:
        frame: the first.
        rotate: turn frames as the file says.
        short_side: of the shown frames, in pixels; None keeps the size.
        size: height and width of the shown frames, in pixels, in place of `short_side`.
    """

    def __init__(
        self, frame: VideoFrame, *, rotate: bool, short_side: int | None = None, size: tuple[int, int] | None = None
    ) -> None:
        self.stored = (frame.height, frame.width)
        self.orientation = orientation_of(frame) if rotate else UPRIGHT
        self.shown = self.orientation.apply_to_size(*self.stored)
        if short_side is not None:
            factor = short_side / min(self.shown)
            self.shown = (int(self.shown[0] * factor + 0.5), int(self.shown[1] * factor + 0.5))
        elif size is not None:
            self.shown = size
        self._target = self.orientation.apply_to_size(*self.shown)
        self._filter = Interpolation.BICUBIC if self._target == self.stored else Interpolation.AREA
        self._reformatter = VideoReformatter()

    def write(self, frame: VideoFrame, out: np.ndarray) -> None:
        """Write a frame into `out`, (H, W, 3) uint8."""
        if (frame.height, frame.width) == self._target:
            rgb = self._reformatter.reformat(frame, format="rgb24", threads=1)
        else:
            height, width = self._target
            rgb = self._reformatter.reformat(frame, width, height, "rgb24", interpolation=self._filter, threads=1)
        plane = rgb.planes[0]
        strides = (plane.line_size, 3, 1)
        pixels: np.ndarray = np.ndarray((rgb.height, rgb.width, 3), np.uint8, memoryview(plane), strides=strides)
        out[:] = pixels if self.orientation.is_upright else self.orientation.apply(pixels)
