"""Decode chosen frames of one video stream, exactly, with as little decoding as that allows.

Three things save work. Decoding starts at the last key picture from which a frame comes out exactly. Pictures that no other
refers to are left undecoded when nobody asked for them (`skip_frame = NONREF`, set packet by packet); what the decoder puts out
is the same without them. And nothing behind the last frame asked for is decoded: the decoder is told that the stream ends.
"""

import os
from collections.abc import Callable, Sequence
from typing import Literal

import av
import numpy as np
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame

from kinema.video.bitstream import Mpeg4Pictures
from kinema.video.frame_table import FrameTable
from kinema.video.index import PacketIndex
from kinema.video.packets import PacketSource
from kinema.video.source import VideoSource, reason_of

# Their decoders leave out just the pictures that no other refers to.
_SKIPPABLE = frozenset({"h264", "hevc", "mpeg4", "mpeg1video", "mpeg2video"})

OnFrame = Callable[[int, VideoFrame], None]

# What forked processes inherited: freeing a decoder there would wait for threads that only the parent has.
_inherited: list[object] = []


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


class _PacketFailed(Exception):  # noqa: N818 - never leaves this file
    def __init__(self, packet: int, reason: str, as_reference: bool) -> None:
        super().__init__(reason)
        self.packet = packet
        self.reason = reason
        self.as_reference = as_reference


class _OrderDiffers(Exception):  # noqa: N818 - never leaves this file
    """The decoder put frames out in another order than the index says, or none for a packet."""

    def __init__(self, packet: int) -> None:
        super().__init__(packet)
        self.packet = packet


def _tag(packet: Packet, number: int) -> None:
    # PyAV keeps such objects by their identity, which small integers share.
    packet.opaque = (number,)


def _tag_of(frame: VideoFrame) -> int | None:
    tag = frame.opaque
    return None if tag is None else int(tag[0])  # type: ignore[index]


class Decoder:
    """A decoder with a position among the packets of one open file.

    Args:
        source: what holds the video.
        num_threads: decoder threads.
        index: of this file; None reads it when it is first needed.
    """

    def __init__(self, source: VideoSource, num_threads: int, index: PacketIndex | None = None) -> None:
        self.owner = os.getpid()
        self._packets = PacketSource(source, index)
        self._known_table: FrameTable | None = None
        self.stream = self._packets.stream
        self._num_threads = num_threads
        self._context = self._make_context()
        self._can_skip = self._context.codec.canonical_name in _SKIPPABLE
        self._may_make_up = self._context.codec.canonical_name == "mpeg4"
        self._skips: Literal["DEFAULT", "NONREF"] = "DEFAULT"
        self._start = 0  # packet at which this run of decoding started
        self._next = 0  # packet that comes next
        self._pending: set[int] = set()  # frames that are decoded, or will be, and have not come out yet
        self._drained_at: int | None = None
        self._ends_streams = True
        self._watched = False
        self._lost: dict[int, tuple[str, bool]] = {}  # packet -> reason, and whether others refer to it

    def _make_context(self) -> VideoCodecContext:
        context = self.stream.codec_context
        if context.codec.canonical_name == "mpeg4" and Mpeg4Pictures(context.extradata).is_interlaced:
            self._num_threads = 1  # others do not learn the time between fields that the first thread has found
        context.thread_count = self._num_threads
        context.thread_type = "NONE" if self._num_threads == 1 else "AUTO"
        context.copy_opaque = True  # each frame tells which packet it comes from
        # Without this a damaged picture is patched up from its neighbours and handed out as if it were right.
        context.options = {"err_detect": "explode+crccheck"}
        return context

    @property
    def index(self) -> PacketIndex:
        """What the packets tell; of some streams only decoding tells it."""
        index = self._packets.index
        if not index.is_certain and not self._watched:
            self._watch_order()
            index = self._packets.index
        return index

    @property
    def _table(self) -> FrameTable:
        if self._known_table is None:
            self._known_table = FrameTable.of(self.index)
        return self._known_table

    def close(self) -> None:
        """Release the file and the decoder."""
        self._packets.close()

    def __del__(self) -> None:
        # PyAV's containers sit in reference cycles, so that dropping one does not close its file.
        if "_packets" not in self.__dict__:
            return
        if os.getpid() == self.owner:
            self.close()
        else:
            _inherited.append((self._packets, self.stream, self._context))

    # ---- frames

    def decode(self, frames: Sequence[int], on_frame: OnFrame, *, stays: bool = False) -> None:
        """Hand the chosen frames to `on_frame`, in ascending order.

        Args:
            frames: ascending and distinct.
            on_frame: takes the number and the frame.
            stays: wait for the last frame's turn instead of ending the stream behind it, for callers that will want the
                frames that follow.

        Raises:
            FrameLost: one of them cannot be decoded; those before it have been handed out.
        """
        left = list(frames)

        def deliver(number: int, frame: VideoFrame) -> None:
            left.remove(number)
            on_frame(number, frame)

        while left:
            reason = self._why_lost(left[0])
            if reason is not None:
                raise FrameLost(left[0], reason)
            try:
                self._decode_group(self._first_group(left), deliver, stays=stays)
            except _PacketFailed as failure:
                self._note(failure)
            except _OrderDiffers as found:
                self._on_other_order(found.packet)

    def first_frame(self) -> VideoFrame:
        """Frame 0; the decoder stays behind it.

        Raises:
            FrameLost: it cannot be decoded.
        """
        found: list[VideoFrame] = []
        self.decode([0], lambda _, frame: found.append(frame), stays=True)
        return found[0]

    def lost_frames(self) -> dict[int, str]:
        """Decode everything: number of each frame that cannot be decoded, or has another size than the first -> why."""
        lost: dict[int, str] = {}
        next_frame = 0
        size: tuple[int, int] | None = None

        def compare(number: int, frame: VideoFrame) -> None:
            nonlocal size
            size = size or (frame.width, frame.height)
            if (frame.width, frame.height) != size:
                lost[number] = f"it is {frame.width}x{frame.height}, others are {size[0]}x{size[1]}"

        while next_frame < self.index.num_frames:
            try:
                self.decode(range(next_frame, self.index.num_frames), compare)
                break
            except FrameLost as failure:
                lost[failure.frame] = failure.reason
                next_frame = failure.frame + 1
        return lost

    # ---- which packets to decode

    def _first_group(self, frames: list[int]) -> list[int]:
        """The leading frames of `frames` that are best decoded in one go; none of them is known to be lost."""
        table = self._table
        group = [frames[0]]
        last_packet = table.packet_of[frames[0]]
        for frame in frames[1:]:
            if self._why_lost(frame) is not None or table.entry_of[frame] > last_packet + 1:
                break
            group.append(frame)
            last_packet = max(last_packet, table.packet_of[frame])
        return group

    def _decode_group(self, group: list[int], deliver: OnFrame, *, stays: bool) -> None:
        table = self._table
        stays = stays or not self._ends_streams
        self._move_to(group)
        packets = [table.packet_of[frame] for frame in group]
        in_full = self._with_chained(packets)
        last_packet, last_frame = max(packets), group[-1]
        wanted = set(group)
        while self._next <= last_packet:
            frame = table.frame_of[self._next]
            leave_out = self._next not in in_full and (not stays or frame < last_frame)
            self._feed(leave_out, wanted, deliver)
        while wanted and stays and self._next < len(table.frame_of) and self._next not in self._lost:
            self._feed(False, wanted, deliver)
        if wanted:
            self._drain(wanted, deliver)
        if wanted:
            raise _OrderDiffers(table.packet_of[min(wanted)])

    def _move_to(self, group: list[int]) -> None:
        """Choose the packet to go on with: the next one, or the key picture from which the first frame decodes."""
        table = self._table
        entry = table.entry_of[group[0]]
        goes_on = self._next > entry or group[0] in self._pending
        if goes_on and all(self._is_ahead(frame) for frame in group):
            return
        if self._drained_at is not None and entry < self._drained_at <= table.packet_of[group[0]]:
            self._ends_streams = False  # somebody reads on and on: starting anew each time costs more than it saves
        if entry != self._next or self._drained_at is not None:
            self._restart(entry)

    def _is_ahead(self, frame: int) -> bool:
        table = self._table
        if frame in self._pending:
            return True
        fresh = self._drained_at is None and table.packet_of[frame] >= self._next
        return bool(fresh and table.entry_of[frame] >= self._start)

    def _with_chained(self, packets: list[int]) -> set[int]:
        chained = self._table.is_chained
        in_full = set(packets)
        for packet in packets:
            while chained[packet] and packet > 0:
                packet -= 1
                in_full.add(packet)
        return in_full

    # ---- the decoder

    def _restart(self, packet: int) -> None:
        if self._context.is_open:
            self._context.flush_buffers()
        self._start = self._next = packet
        self._pending.clear()
        self._drained_at = None

    def _feed(self, leave_out: bool, wanted: set[int], deliver: OnFrame) -> None:
        table, number = self._table, self._next
        failed_before = number in self._lost
        leave_out = (leave_out or failed_before) and self._can_skip
        skips: Literal["DEFAULT", "NONREF"] = "NONREF" if leave_out else "DEFAULT"
        if skips != self._skips:
            self._context.skip_frame = self._skips = skips
        packet = self._packets.packet(number)
        if packet is None:
            raise _PacketFailed(number, "the file breaks off there", as_reference=True)
        _tag(packet, number)
        try:
            frames = self._context.decode(packet)
        except (av.FFmpegError, OSError) as error:
            if not table.is_cut_off[number]:
                as_reference = leave_out or not self._can_skip
                raise _PacketFailed(number, reason_of(error), as_reference) from error
            frames = []
        self._next += 1
        frame = table.frame_of[number]
        if frame >= 0 and not leave_out and table.entry_of[frame] >= self._start:
            self._pending.add(frame)
        for one in frames:
            self._emit(one, wanted, deliver)

    def _drain(self, wanted: set[int], deliver: OnFrame) -> None:
        try:
            frames = self._context.decode(None)
        except (av.FFmpegError, OSError) as error:
            raise _PacketFailed(self._next - 1, reason_of(error), as_reference=True) from error
        self._drained_at = self._next
        for frame in frames:
            self._emit(frame, wanted, deliver)

    def _emit(self, frame: VideoFrame, wanted: set[int], deliver: OnFrame) -> None:
        packet = _tag_of(frame)
        if packet is None:
            return  # made up by the decoder to stand for pictures before the one it started at
        number = self._table.frame_of[packet]
        if self._may_make_up and frame.pict_type == PictureType.NONE:
            raise _PacketFailed(packet, "it refers to a picture that the file does not hold", as_reference=True)
        if number not in self._pending:
            return  # cut away by an edit list, or fed only because others refer to it
        if min(self._pending) < number:
            raise _OrderDiffers(self._table.packet_of[min(self._pending)])
        self._pending.discard(number)
        if frame.is_corrupt:
            raise _PacketFailed(packet, "the decoder says that it is damaged", as_reference=True)
        if number in wanted:
            wanted.discard(number)
            deliver(number, frame)

    # ---- what cannot be decoded

    def _why_lost(self, frame: int) -> str | None:
        table = self._table
        if frame >= len(table.packet_of):
            return "the file ends before it" if table.num_missing else "the stream ends before it"
        packet, entry = table.packet_of[frame], table.entry_of[frame]
        for failed, (reason, is_reference) in self._lost.items():
            if packet == failed or (is_reference and entry <= failed < packet):
                return reason
        return None

    def _note(self, failure: _PacketFailed) -> None:
        if self._num_threads > 1:
            # Threads report a failure packets later: decode in one to learn whose it is.
            self._num_threads = 1
            self._use_new_context()
            return
        noted = (failure.reason, failure.as_reference)
        assert self._lost.get(failure.packet) != noted, f"packet {failure.packet} was decoded although it is lost"
        self._lost[failure.packet] = noted
        self._restart(0)  # a decoder that failed has no defined next frame

    def _use_new_context(self) -> None:
        self._packets = self._packets.reopened()
        self.stream = self._packets.stream
        self._context = self._make_context()
        self._skips = "DEFAULT"
        self._restart(0)

    def _on_other_order(self, packet: int) -> None:
        if self._watched or not self._watch_order():
            self._lost[packet] = ("the decoder puts out no frame for it", False)
            self._restart(0)

    def _watch_order(self) -> bool:
        """Decode everything once and take the order in which frames come out as the right one; False if that fails."""
        self._watched = True
        index = self._packets.index
        if self._num_threads > 1:
            self._num_threads = 1
            self._use_new_context()
        self._restart(0)
        self._context.skip_frame = self._skips = "DEFAULT"
        packets: list[int | None] = []
        try:
            for number in range(index.num_packets):
                packet = self._packets.packet(number)
                if packet is None:
                    return False
                _tag(packet, number)
                try:
                    packets += [_tag_of(frame) for frame in self._context.decode(packet)]
                except (av.FFmpegError, OSError):
                    if packets or not index.is_cut_off[number]:
                        return False
            packets += [_tag_of(frame) for frame in self._context.decode(None)]
        except (av.FFmpegError, OSError):
            return False
        finally:
            self._restart(0)
        if not packets or None in packets or len(set(packets)) < len(packets):
            return False
        self._packets.replace_index(index.reordered(np.asarray(packets)))
        self._known_table = None
        return True
