"""Whether a decoder has drawn all blocks of a picture.

FFmpeg's HEVC decoder reports no error when the slices of a damaged picture end early, nor does its
VP8 decoder when the data do. The blocks that are left show what the picture's memory held before:
zeros when it is new, else a piece of an older picture, which depends on what was decoded before. So
memory is marked before the decoder gets it back, and a picture in which marks or zeros are left is
damaged.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Set
from typing import cast

import numpy as np
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane

# Slices leave out squares of 16 pixels or more, of which the edges of the picture may cut 8 off,
# and filters at their edges change 3 pixels: pixels 4 to 7 of row 4 are left as they were.
_SQUARE, _PLACE = 16, 4
# Four pixels that no camera and no encoder makes of a picture; where pixels have two bytes, values
# that they cannot have.
_MARK_OF_BYTES = int.from_bytes(bytes([0, 255, 1, 254]), "little")
_MARK_OF_WORDS = 0xFFFFFFFF
# Pictures that came out are kept until the decoder needs them no more: mostly after so many others,
# at most after so many.
_KEPT_FRAMES, _MOST_KEPT_FRAMES = 8, 17


# FFmpeg's decoders of these say nothing of blocks that they did not draw.
UNCOVERED_IN_SILENCE = frozenset({"hevc", "vp8"})


class Coverage:
    """Looks at every picture that one decoder puts out, and marks its memory before the decoder gets it back."""

    def __init__(self) -> None:
        self._kept: deque[VideoFrame] = deque()
        self._num_kept = _KEPT_FRAMES
        self._marked: set[int] = set()  # addresses of memory that was marked
        self._form: tuple[int, int, str] | None = None
        self._mark = np.uint32(0)
        self._pixel_bytes = 1
        self._zeros_tell = False

    def is_whole(self, frame: VideoFrame) -> bool:
        """Whether all blocks of `frame` were drawn.

        To be asked of every frame that comes out, as it does.
        """
        form = frame.width, frame.height, frame.format.name
        if form != self._form:
            self._form = form
            self._marked.clear()  # such memory is new
            self._learn(frame.format)
        luma = VideoPlane(frame, 0)
        if luma.buffer_ptr in self._marked:
            return not np.count_nonzero(self._samples(luma) == self._mark)
        return not self._zeros_tell or not self._is_new(frame, luma)

    def _is_new(self, frame: VideoFrame, luma: VideoPlane) -> bool:
        """Whether a square of the picture holds zeros in all planes, as new memory does."""
        is_zero = self._samples(luma) == 0
        if not is_zero.any():
            return False
        for plane in frame.planes[1:]:
            down, across = round(frame.height / plane.height), round(frame.width / plane.width)
            words = np.uint8 if self._pixel_bytes == 1 else np.uint16
            lines = np.frombuffer(cast(memoryview, plane), words).reshape(plane.height, -1)[:, : plane.width]
            middle = lines[_PLACE // down :: _SQUARE // down, (_PLACE + 2) // across :: _SQUARE // across]
            is_zero = is_zero & (middle[: is_zero.shape[0], : is_zero.shape[1]] == 0)
        return bool(is_zero.any())

    def take(self, frame: VideoFrame) -> None:
        """Take a frame that came out and is of no more use, to mark it in time."""
        self._kept.append(frame)
        if len(self._kept) > self._num_kept:
            self._give_back(self._kept.popleft())

    def give_back(self) -> None:
        """Mark all pictures: the decoder was flushed, and needs none of them any more."""
        while self._kept:
            self._give_back(self._kept.popleft())

    def _learn(self, form: VideoFormat) -> None:
        self._pixel_bytes = 1 if form.components[0].bits == 8 else 2
        self._mark = np.uint32(_MARK_OF_BYTES if self._pixel_bytes == 1 else _MARK_OF_WORDS)
        # Zeros in both planes of colour are a green that lies outside of what pictures have; in
        # planes of red, green and blue, black.
        self._zeros_tell = len(form.components) == 3 and not form.is_rgb

    def _give_back(self, frame: VideoFrame) -> None:
        address = VideoPlane(frame, 0).buffer_ptr
        frame.make_writable()
        plane = VideoPlane(frame, 0)
        if plane.buffer_ptr != address:  # the decoder still needs the picture, so that this is a copy
            self._num_kept = _MOST_KEPT_FRAMES
            self._marked.discard(address)
        elif (frame.width, frame.height, frame.format.name) == self._form:
            self._samples(plane)[:] = self._mark
            self._marked.add(address)

    def _samples(self, plane: VideoPlane) -> np.ndarray:
        """(rows, columns) uint32 of the plane of brightness: four bytes of each square; a view."""
        lines = np.frombuffer(cast(memoryview, plane), np.uint32).reshape(plane.height, -1)
        first, step = _PLACE * self._pixel_bytes // 4, _SQUARE * self._pixel_bytes // 4
        return lines[_PLACE::_SQUARE, first : plane.width * self._pixel_bytes // 4 : step]


class Waiting:
    """Frames that came out and wait for those decoded before them.

    A B picture comes out before a picture that it refers to. Only when that has come out too is it
    known to be whole.

    Args:
        take: is given frames that are of no more use.
    """

    def __init__(self, take: Callable[[VideoFrame], None] = lambda _: None) -> None:
        self._take = take
        self._unseen: set[int] = set()  # packets of pictures that others may refer to and that have not come out yet
        self._held: list[tuple[int, int, VideoFrame]] = []  # packet, number and frame
        self._ready: dict[int, VideoFrame] = {}

    def __contains__(self, number: int) -> bool:
        return number in self._ready or any(held == number for _, held, _ in self._held)

    @property
    def is_empty(self) -> bool:
        """Whether no frame is kept."""
        return not self._held and not self._ready

    def wait_for(self, packets: Iterable[int]) -> None:
        """The pictures of `packets`, and no others, are still to come out."""
        self._unseen = set(packets)

    def fed(self, packet: int) -> None:
        """The decoder got a picture that others may refer to."""
        self._unseen.add(packet)

    def seen(self, packet: int) -> None:
        """A picture came out, and is whole."""
        self._unseen.discard(packet)

    def hold(self, packet: int, number: int, frame: VideoFrame) -> None:
        """Keep a frame until those decoded before it are seen."""
        self._held.append((packet, number, frame))

    def leave(self, wanted: Set[int]) -> Iterator[tuple[int, VideoFrame]]:
        """Those of the `wanted` frames that need wait no longer."""
        first = min(self._unseen, default=None)
        still_held = []
        for packet, number, frame in self._held:
            if first is not None and packet > first:
                still_held.append((packet, number, frame))
            else:
                self._ready[number] = frame
        self._held = still_held
        for number in sorted(wanted & self._ready.keys()):
            frame = self._ready.pop(number)
            yield number, frame
            self._take(frame)

    def blocked_by(self, most: int) -> int | None:
        """The packet whose picture does not come out although more than `most` frames wait for it."""
        return min(self._unseen) if len(self._held) > most else None

    def drop_before(self, number: int) -> None:
        """Frames before this one are not needed any more."""
        for earlier in [earlier for earlier in self._ready if earlier < number]:
            self._take(self._ready.pop(earlier))

    def clear(self) -> None:
        """Forget all."""
        for frame in [*self._ready.values(), *(frame for _, _, frame in self._held)]:
            self._take(frame)
        self._unseen.clear()
        self._held.clear()
        self._ready.clear()
