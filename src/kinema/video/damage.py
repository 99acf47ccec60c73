"""Decode a damaged video: what is lost depends neither on what is asked nor on the order."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Literal

import av
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame

from kinema.video.bitstream import is_unreferenced, nal_length_size
from kinema.video.coverage import UNCOVERED_IN_SILENCE, Coverage
from kinema.video.frame_table import FrameTable
from kinema.video.packets import PacketSource
from kinema.video.source import reason_of

# A decoder holds back at most 16 pictures; a field may be a packet.
_LONGEST_REORDERING_PACKETS = 40
# Each failure starts its group anew: a group with more of them ends at the next one.
_MAX_FAILURES_PER_GROUP = 8


class FrameLost(Exception):  # noqa: N818 - never leaves this package
    """A frame cannot be decoded.

    Attributes:
        frame: its number.
        reason: FFmpeg's words.
    """

    def __init__(self, frame: int, reason: str) -> None:
        super().__init__(f"frame {frame}: {reason}")
        self.frame = frame
        self.reason = reason


class PacketFailed(Exception):  # noqa: N818 - never leaves this package
    """The decoder refuses a packet, or says of a picture that it is damaged."""

    def __init__(self, packet: int, reason: str) -> None:
        super().__init__(reason)
        self.packet = packet
        self.reason = reason


class OrderDiffers(Exception):  # noqa: N818 - never leaves this package
    """The decoder put frames out in another order than the index says, or none for a packet."""


def tag(packet: Packet, number: int) -> None:
    """Let the frame that comes of `packet` carry its number, in place of a time: decoders only hand it on."""
    packet.pts = number


def tag_of(frame: VideoFrame) -> int | None:
    """Number of the packet that `frame` comes from; None for one that the decoder made up."""
    return frame.pts


def check(frame: VideoFrame, packet: int, codec: str, coverage: Coverage | None) -> None:
    """Raise PacketFailed for a frame of `packet` that is not what was encoded."""
    if coverage is not None and not coverage.is_whole(frame):
        raise PacketFailed(packet, "parts of the picture are missing")
    if frame.is_corrupt:
        raise PacketFailed(packet, "the decoder says that it is damaged")
    if codec == "mpeg4" and frame.pict_type == PictureType.NONE:
        raise PacketFailed(packet, "it refers to a picture that the file does not hold")


class DamagedVideo:
    """Every group of pictures decoded from its own entry, each picture in full, in file order.

    A picture that fails is left out if no other refers to it; else all that follow it in its group
    are lost.

    Args:
        packets: of the video.
        context: the decoder to be like.
        table: which frame comes of which packet.
        can_skip: whether the decoder can leave out pictures that no other refers to.
        num_ordered: frames from this number on are lost, for their order is unknown; None when all
            is known.
        checks_order: whether to look at the order too.
        check_whole: raises PacketFailed for a packet of which a part is missing.

    Attributes:
        lost: number of each frame that cannot be decoded -> why.

    Raises:
        OrderDiffers: the frames of a group come in another order than the table says.
    """

    def __init__(
        self,
        packets: PacketSource,
        context: VideoCodecContext,
        table: FrameTable,
        *,
        can_skip: bool,
        num_ordered: int | None = None,
        checks_order: bool = True,
        check_whole: Callable[[int], None] | None = None,
    ) -> None:
        self._packets, self._like, self._table, self._can_skip = packets, context, table, can_skip
        self._checks_order, self._check_whole = checks_order, check_whole
        self._codec = context.codec.canonical_name
        self._length_size = nal_length_size(self._codec, context.extradata)
        self._left_out: dict[int, str] = {}  # packet that fails when decoded in full -> why
        self._end_of: dict[int, tuple[int, str]] = {}  # entry -> packet at which its group breaks off, and why
        self._frames_of: dict[int, list[int]] = defaultdict(list)
        for frame, entry in enumerate(table.entry_of):
            self._frames_of[entry].append(frame)
        num_frames = len(table.packet_of)
        self.lost = {num_frames + place: "the file ends before it" for place in range(table.num_missing)}
        for entry in self._frames_of:
            self._find_lost(entry)
        if num_ordered is not None:
            unordered = "the file holds no times, and the decoder fails before it"
            self.lost.update({frame: unordered for frame in range(num_ordered, num_frames) if frame not in self.lost})
        self._entry: int | None = None
        self._left: Iterator[tuple[int, VideoFrame]] = iter(())
        self._passed: set[int] = set()

    def frame(self, number: int) -> VideoFrame:
        """Frame `number`; the next one comes cheaper.

        Raises:
            FrameLost: it cannot be decoded.
        """
        if number in self.lost:
            raise FrameLost(number, self.lost[number])
        entry = self._table.entry_of[number]
        if entry != self._entry or number in self._passed:
            self._entry, self._left, self._passed = entry, self._frames_from(entry), set()
        for passed, frame in self._left:
            self._passed.add(passed)
            if passed == number:
                return frame
        raise AssertionError(f"frame {number} was decoded before")

    def _find_lost(self, entry: int) -> None:
        good: set[int] | None = None
        num_failures = 0
        if entry in self._left_out:  # it failed after the group before: what decodes from it alone is not to be trusted
            self._end_of[entry] = (entry, self._left_out[entry])
        while good is None:
            try:
                good = {number for number, _ in self._frames_from(entry)}
            except PacketFailed as failure:
                num_failures += 1
                packet = self._table.first_packet_of(failure.packet)
                again = packet == entry or packet in self._left_out
                if not again and num_failures < _MAX_FAILURES_PER_GROUP and self._is_dispensable(packet):
                    self._left_out[packet] = failure.reason
                else:
                    self._end_of[entry] = (packet, failure.reason)
        _, reason = self._end_of.get(entry, (0, "the decoder puts out no frame for it"))
        for frame in self._frames_of[entry]:
            if frame not in good:
                self.lost[frame] = self._left_out.get(self._table.packet_of[frame], reason)

    def _is_dispensable(self, number: int) -> bool:
        """Whether the decoder continues rightly without a packet."""
        can_skip = self._can_skip and self._table.is_second_field is None
        packet = self._packets.packet(number) if can_skip else None
        return packet is not None and is_unreferenced(self._codec, bytes(packet), self._length_size)

    def _frames_from(self, entry: int) -> Iterator[tuple[int, VideoFrame]]:
        """The frames of the group at `entry`, as they come out."""
        table = self._table
        self._context = self._new_context()
        self._coverage = Coverage() if self._codec in UNCOVERED_IN_SILENCE else None
        waiting = set(self._frames_of[entry])
        self._last_shown = -1
        end = max(table.packet_of[frame] for frame in waiting) + 1 + _LONGEST_REORDERING_PACKETS
        end, _ = self._end_of.get(entry, (min(end, len(table.frame_of)), ""))
        for number in range(entry, end):
            yield from self._shown(self._decoded(number, starts=number == entry), waiting)
            if not waiting:
                return
        if end == entry:
            return
        try:
            rest = self._context.decode(None)
        except (av.FFmpegError, OSError) as error:
            raise PacketFailed(end - 1, reason_of(error)) from error
        yield from self._shown(rest, waiting)

    def _new_context(self) -> VideoCodecContext:
        """A decoder that has seen nothing: headers that are damaged must not last from one group to the next."""
        fresh = self._packets.new_context()
        fresh.options = self._like.options
        fresh.thread_count, fresh.thread_type = 1, "NONE"
        return fresh

    def _decoded(self, number: int, *, starts: bool) -> list[VideoFrame]:
        packet = self._packets.packet(number, starts=starts)
        if packet is None:
            raise PacketFailed(number, "the file breaks off there")
        skips: Literal["DEFAULT", "NONREF"] = "NONREF" if number in self._left_out else "DEFAULT"
        self._context.skip_frame = skips
        tag(packet, number)
        if self._check_whole is not None:
            self._check_whole(number)
        try:
            return self._context.decode(packet)
        except (av.FFmpegError, OSError) as error:
            if self._table.is_cut_off[number]:
                return []
            raise PacketFailed(number, reason_of(error)) from error

    def _shown(self, frames: list[VideoFrame], waiting: set[int]) -> Iterator[tuple[int, VideoFrame]]:
        for frame in frames:
            packet = tag_of(frame)
            if packet is None:
                continue
            check(frame, packet, self._codec, self._coverage)
            number = self._table.frame_of[packet]
            if number in waiting:
                waiting.discard(number)
                if number < self._last_shown and self._checks_order:
                    raise OrderDiffers
                self._last_shown = number
                yield number, frame
            if self._coverage is not None:
                self._coverage.take(frame)
