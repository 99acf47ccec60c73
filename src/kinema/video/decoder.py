"""Decode chosen frames of one video stream, exactly, with as little decoding as that allows.

Three things save work. Decoding starts at the last key picture from which a frame comes out
exactly. Pictures that no other refers to are left undecoded when nobody asked for them
(`skip_frame = NONREF`, set packet by packet); what the decoder puts out is the same without them.
And nothing behind the last frame asked for is decoded: for the decoder the stream ends there.
"""

import os
from collections.abc import Callable, Sequence

import av
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from kinema.video.bitstream import is_intra, is_unreferenced, nal_length_size, slice_finder
from kinema.video.contexts import let_go, set_up
from kinema.video.coverage import UNCOVERED_IN_SILENCE, Coverage, Waiting
from kinema.video.damage import DamagedVideo, FrameLost, OrderDiffers, PacketFailed, check, tag, tag_of
from kinema.video.frame_table import FrameTable
from kinema.video.headers import CODECS_WITH_HEADERS
from kinema.video.index import PacketIndex
from kinema.video.limits import Watch
from kinema.video.order import Order, settle_order
from kinema.video.packets import PacketSource
from kinema.video.source import VideoSource, reason_of
from kinema.video.watching import watch_decoder
from kinema.video.wholeness import Wholeness

# Their decoders leave out just the pictures that no other refers to.
_SKIPPABLE = frozenset({"h264", "hevc", "mpeg4", "mpeg1video", "mpeg2video"})

# A decoder holds back fewer pictures.
_LONGEST_REORDERING = 17

# All pictures of these have the size that the container says.
_CANNOT_CHANGE_SIZE = frozenset(
    {"theora", "ffv1", "gif", "msmpeg4v1", "msmpeg4v2", "msmpeg4v3", "wmv1", "wmv2", "dvvideo"}
)

OnFrame = Callable[[int, VideoFrame], None]

# What forked processes inherited: freeing a decoder there would wait for threads that only the
# parent has.
_inherited: list[object] = []


class Decoder:
    """A decoder with a position among the packets of one open file.

    Args:
        source: what holds the video.
        num_threads: decoder threads.
        index: of this file; None reads it when it is first needed.
        watch: holds the decoding to its limits; None for the usual ones.
    """

    def __init__(
        self, source: VideoSource, num_threads: int, index: PacketIndex | None = None, *, watch: Watch | None = None
    ) -> None:
        self.owner = os.getpid()
        self._packets = PacketSource(source, index, watch=watch)
        self._known_table: FrameTable | None = None
        self._wholeness: Wholeness | None = None
        self._num_threads = num_threads
        self._knows_start = self._is_cut_open = False
        self._is_isolated = False  # every group of pictures has a decoder of its own
        self._has_failed = False  # this context, in a way that was passed over
        self._has_start: bool | None = None
        self._context = self._make_context()
        self._codec = self._context.codec.canonical_name
        # Its decoder marks pictures of which a part is missing. B pictures that refer to one come out before it.
        self._is_marked_late = self._codec == "h264" and self._context.reorder_depth > 0
        self._can_skip = self._codec in _SKIPPABLE
        self._length_size = nal_length_size(self._codec, self._context.extradata)
        self._has_slice = slice_finder(self._codec, self._length_size)
        self._leaves_out = False
        self._start = 0  # packet at which this run of decoding started
        self._next = 0  # packet that comes next
        self._pending: set[int] = set()  # frames that are decoded, or will be, and have not come out yet
        self._keeps_after: int | None = None  # frames behind this one will be asked for
        self._drained_at: int | None = None
        self._ends_streams = True
        self._watched = False
        self._damaged: DamagedVideo | None = None
        self._num_ordered: int | None = None  # frames whose order is known, where decoding did not show that of all

    def _make_context(self) -> VideoCodecContext:
        context = self._packets.new_context()
        self._num_threads = set_up(
            context, self._num_threads, self._packets.watch.limits, marks_damage=self._is_cut_open
        )
        # Where only pictures that come out show whether they are whole, frames wait for those
        # decoded before them.
        self._coverage = Coverage() if context.codec.canonical_name in UNCOVERED_IN_SILENCE else None
        self._waiting: Waiting | None = None if self._coverage is None else Waiting(self._coverage.take)
        return context

    @property
    def index(self) -> PacketIndex:
        """What the packets say; of some streams only decoding shows it."""
        index = self._packets.index
        if not self._knows_start:
            self._adapt_to_start(index)
        if index.order is not Order.CERTAIN and not self._watched:
            self._watch_order()
            index = self._packets.index
        return index

    def _adapt_to_start(self, index: PacketIndex) -> None:
        """Choose the decoder for a stream that was cut; it has seen nothing so far."""
        self._knows_start = True
        # Motion of pictures that the decoder makes up is that of older ones in the same memory.
        self._is_isolated = index.has_number_gaps
        is_strange = bool(index.is_cut_off.any()) or index.has_number_gaps
        if index.is_cut_open or (is_strange and self._num_threads > 1):
            self._is_cut_open = index.is_cut_open
            self._num_threads = 1  # several report an error when they decode other pictures already
            self._use_new_context()

    @property
    def header_rate(self) -> float:
        """Frames per second as the header says; 0.0 when it does not."""
        return self._packets.header_rate

    @property
    def header_size(self) -> tuple[int, int]:
        """Height and width of a frame as the headers say."""
        return self._packets.header_size

    @property
    def has_one_size(self) -> bool:
        """Is it certain, without decoding, that all frames have the size that the headers say?"""
        may_change = self._codec not in CODECS_WITH_HEADERS and self._codec not in _CANNOT_CHANGE_SIZE
        return not may_change and not self.index.lasting

    @property
    def _table(self) -> FrameTable:
        if self._known_table is None:
            self._known_table = FrameTable.of(self.index)
            if len(self.index.gaps) and self._wholeness is None:
                self._wholeness = Wholeness(self._packets)
        return self._known_table

    def close(self) -> None:
        """Release the file and the decoder."""
        let_go(self._context)
        self._packets.close()

    def __del__(self) -> None:
        # PyAV's containers sit in reference cycles, so that dropping one does not close its file.
        if "_packets" not in self.__dict__:
            return
        if os.getpid() == self.owner:
            self.close()
        else:
            _inherited.append((self._packets, self._context))

    # ---- frames

    def decode(self, frames: Sequence[int], on_frame: OnFrame, *, stays: bool = False) -> None:
        """Hand the chosen frames to `on_frame`, in ascending order.

        Args:
            frames: ascending and distinct.
            on_frame: takes the number and the frame.
            stays: wait for the last frame's turn instead of ending the stream behind it, for
                callers that will want the frames that follow.

        Raises:
            FrameLost: one of them cannot be decoded; those before it have been handed out.
        """
        left, delivered = list(frames), []

        def deliver(number: int, frame: VideoFrame) -> None:
            left.remove(number)
            delivered.append(number)
            on_frame(number, frame)

        table = self._table
        try:
            self._decode_fast(left, deliver, stays=stays)
        except OrderDiffers:
            if self._learns_order():
                return self.decode(frames, on_frame, stays=stays)
        except PacketFailed as failure:
            # What was handed out before is good, if its number is, but for B pictures that came out
            # before the one to which they refer.
            left[:] = sorted(left + [number for number in delivered if table.packet_of[number] > failure.packet])
        if left:
            damaged = self._damaged_video()
            if self._table is not table:  # the search for damage found other numbers
                left[:] = frames
            for number in list(left):
                try:
                    frame = damaged.frame(number)
                except PacketFailed as failure:
                    reason = failure.reason  # what decoded when the damage was looked for does not any more
                else:
                    deliver(number, frame)
                    continue
                raise FrameLost(number, reason)
        return None

    def _decode_fast(self, left: list[int], deliver: OnFrame, *, stays: bool) -> None:
        """Hand the frames `left` out as long as nothing fails."""
        while left and self._damaged is None and left[-1] < len(self._table.packet_of) and self._num_ordered is None:
            self._decode_group(self._table.first_group(left), deliver, stays=stays)

    def one_frame(self, number: int = 0) -> VideoFrame:
        """A frame; the decoder stays behind it.

        Raises:
            FrameLost: it cannot be decoded.
        """
        frames: list[VideoFrame] = []
        self.decode([number], lambda _, frame: frames.append(frame), stays=True)
        return frames[0]

    def lost_frames(self) -> dict[int, str]:
        """Decode everything: number of each frame that cannot be decoded -> why."""
        lost: dict[int, str] = {}
        next_frame = 0
        while next_frame < self.index.num_frames:
            try:
                self.decode(range(next_frame, self.index.num_frames), lambda *_: None)
                break
            except FrameLost as failure:
                lost[failure.frame] = failure.reason
                next_frame = failure.frame + 1
        return lost

    # ---- which packets to decode

    def _decode_group(self, group: list[int], deliver: OnFrame, *, stays: bool) -> None:
        table = self._table
        stays = stays or not self._ends_streams
        if self._is_marked_late:
            self._choose_waiting(stays=stays)
        self._move_to(group)
        packets = [table.packet_of[frame] for frame in group]
        in_full = table.with_chained(packets)
        last_packet, last_frame = table.last_packet_of(max(packets)), group[-1]
        wanted = set(group)
        # Where packets are lost, pictures may be referred to by others that should not: decoding
        # must not depend on what is asked. Of frames in two fields, one left out would leave the
        # other alone.
        index = self._packets.index
        has_all = not (index.has_losses or index.has_number_gaps)
        may_leave_out = self._can_skip and table.is_second_field is None and has_all
        if self._waiting is not None:
            self._keeps_after = last_frame if stays else None
            if not self._waiting.is_empty:
                self._waiting.drop_before(group[0])
                self._deliver_what_waited(self._waiting, wanted, deliver, most=_LONGEST_REORDERING)
        for number in range(self._next, last_packet + 1):
            leave_out = may_leave_out and number not in in_full and (not stays or table.frame_of[number] < last_frame)
            self._feed(number, leave_out, wanted, deliver)
        while wanted and stays and self._next < len(table.frame_of):
            self._feed(self._next, False, wanted, deliver)
        if wanted or (self._is_marked_late and self._waiting is None and self._has_older_pending(max(packets))):
            self._drain(wanted, deliver)
        if wanted:
            raise OrderDiffers

    def _move_to(self, group: list[int]) -> None:
        """Choose the packet to continue with: the next one, or the key picture from which the first frame decodes."""
        table = self._table
        entry = table.entry_of[group[0]]
        if self._is_isolated and self._start != entry:
            self._restart(entry)
            return
        goes_on = self._next > entry or self._is_decoded(group[0])
        if goes_on and all(self._is_ahead(frame) for frame in group):
            return
        if self._drained_at is not None and entry < self._drained_at <= table.packet_of[group[0]]:
            self._ends_streams = False  # the caller reads everything: starting anew each time costs more than it saves
        if entry != self._next or self._drained_at is not None:
            self._restart(entry)

    def _has_older_pending(self, packet: int) -> bool:
        """Whether a picture is still to come out that was decoded before that of `packet`."""
        packet_of = self._table.packet_of
        return any(packet_of[frame] < packet for frame in self._pending)

    def _choose_waiting(self, *, stays: bool) -> None:
        """Where the caller keeps single frames, those that come out wait until all decoded before them have."""
        if stays and self._waiting is None:
            self._waiting = Waiting()
        elif not stays and self._waiting is not None and self._waiting.is_empty:
            self._waiting = None

    def _is_decoded(self, frame: int) -> bool:
        return frame in self._pending or (self._waiting is not None and frame in self._waiting)

    def _is_ahead(self, frame: int) -> bool:
        table = self._table
        if self._is_decoded(frame):
            return True
        fresh = self._drained_at is None and table.packet_of[frame] >= self._next
        return bool(fresh and table.entry_of[frame] >= self._start)

    # ---- the decoder

    def _restart(self, packet: int) -> None:
        if self._context.is_open:
            if self._waiting is not None:
                self._waiting.clear()
            if self._coverage is not None:
                self._take_rest(self._coverage)
            # Flushing does not take away a palette, what damaged slices leave behind, nor the
            # picture to which one refers that has none.
            if (
                self._packets.lasting_at(packet).is_partial
                or self._has_failed
                or self._is_isolated
                or (packet == 0 and self._starts_in_the_middle())
            ):
                self._renew_context()
            else:
                self._context.flush_buffers()
            if self._coverage is not None:
                self._coverage.give_back()
        self._start = self._next = packet
        self._pending.clear()
        self._drained_at = None

    def _starts_in_the_middle(self) -> bool:
        """Whether the first picture refers to one that the file does not hold."""
        if self._has_start is None:
            first = self._packets.packet(0)
            self._has_start = first is None or is_intra(self._codec, bytes(first))
        return not self._has_start

    def _take_rest(self, coverage: Coverage) -> None:
        """Let the pictures out that the decoder holds, so that none of them gets back to it unmarked."""
        try:
            rest = [] if self._drained_at is not None else self._context.decode(None)
        except (av.FFmpegError, OSError):
            self._has_failed = True
            return
        for frame in rest:
            coverage.take(frame)

    def _feed(self, number: int, leave_out: bool, wanted: set[int], deliver: OnFrame) -> None:
        # Runs once a packet: small costs here are a tenth of what a small clip takes.
        table = self._known_table or self._table
        packet = self._packets.packet(number, starts=number == self._start)
        if packet is None:
            raise PacketFailed(number, "the file breaks off there")
        leave_out = leave_out and (self._has_slice is None or self._has_slice(packet))
        if leave_out is not self._leaves_out:
            self._context.skip_frame = "NONREF" if leave_out else "DEFAULT"
            self._leaves_out = leave_out
        tag(packet, number)
        if self._wholeness is not None:
            self._wholeness.check(number)
        try:
            frames = self._context.decode(packet)
        except (av.FFmpegError, OSError) as error:
            if not table.is_cut_off[number]:
                raise PacketFailed(number, reason_of(error)) from error
            self._has_failed = True
            frames = []
        self._next = number + 1
        if not leave_out:
            frame = table.frame_of[number]
            if frame >= 0 and table.entry_of[frame] >= self._start:
                self._pending.add(frame)
        if self._waiting is not None and not self._is_marked_late:
            self._note_fed(self._waiting, number, packet, leave_out=leave_out)
        for decoded in frames:
            self._emit(decoded, wanted, deliver)
        if self._waiting is not None and not self._waiting.is_empty:
            self._deliver_what_waited(self._waiting, wanted, deliver, most=_LONGEST_REORDERING)

    def _drain(self, wanted: set[int], deliver: OnFrame) -> None:
        try:
            frames = self._context.decode(None)
        except (av.FFmpegError, OSError) as error:
            raise PacketFailed(self._next - 1, reason_of(error)) from error
        self._drained_at = self._next
        for frame in frames:
            self._emit(frame, wanted, deliver)
        if self._waiting is not None:
            self._deliver_what_waited(self._waiting, wanted, deliver, most=0)

    def _note_fed(self, waiting: Waiting, number: int, packet: Packet, *, leave_out: bool) -> None:
        table = self._table
        frame = table.frame_of[number]
        comes_out = frame >= 0 and table.entry_of[frame] >= self._start and not table.is_cut_off[number]
        if comes_out and not (leave_out and is_unreferenced(self._codec, bytes(packet), self._length_size)):
            waiting.fed(number)

    def _deliver_what_waited(self, waiting: Waiting, wanted: set[int], deliver: OnFrame, *, most: int) -> None:
        if self._is_marked_late:
            waiting.wait_for(self._table.packet_of[frame] for frame in self._pending)
        for number, frame in waiting.leave(wanted):
            wanted.discard(number)
            deliver(number, frame)
        blocked_by = waiting.blocked_by(most)
        if blocked_by is not None:
            raise PacketFailed(blocked_by, "the decoder puts out no frame for it")

    def _emit(self, frame: VideoFrame, wanted: set[int], deliver: OnFrame) -> None:
        packet = tag_of(frame)
        if packet is None:
            return  # made up by the decoder to stand for pictures before the one it started at
        number = self._table.frame_of[packet]
        check(frame, packet, self._codec, self._coverage)
        is_due = number in self._pending  # else it is cut away by an edit list, or fed only because others refer to it
        if is_due:
            if min(self._pending) < number:
                raise OrderDiffers
            self._pending.discard(number)
        if self._waiting is None:
            if is_due and number in wanted:
                wanted.discard(number)
                deliver(number, frame)
            return
        if not self._is_marked_late:
            self._waiting.seen(packet)
        elif is_due and number in wanted and self._waiting.is_empty and not self._has_older_pending(packet):
            wanted.discard(number)
            deliver(number, frame)
            return
        if is_due and (number in wanted or (self._keeps_after is not None and number > self._keeps_after)):
            self._waiting.hold(packet, number, frame)
        elif self._coverage is not None:
            self._coverage.take(frame)

    # ---- what the packets did not say

    def _renew_context(self) -> None:
        let_go(self._context)
        self._context = self._make_context()
        self._leaves_out = self._has_failed = False

    def _use_new_context(self) -> None:
        self._renew_context()
        self._restart(0)

    def _damaged_video(self) -> DamagedVideo:
        """Made when something fails.

        From then on it gives the frames, so that they do not depend on what was asked before.
        """
        if self._damaged is None:
            self._num_threads = 1
            self._use_new_context()
            try:
                self._damaged = self._make_damaged_video(checks_order=not self._watched)
            except OrderDiffers:
                self._learns_order()
                self._damaged = self._make_damaged_video(checks_order=False)
        return self._damaged

    def _make_damaged_video(self, *, checks_order: bool) -> DamagedVideo:
        return DamagedVideo(
            self._packets,
            self._context,
            self._table,
            can_skip=self._can_skip,
            num_ordered=self._num_ordered,
            checks_order=checks_order,
            check_whole=None if self._wholeness is None else self._wholeness.check,
        )

    def _learns_order(self) -> bool:
        """Watch the decoder when it contradicts the index; whether that gave another order."""
        if self._watched or not self._context.codec.reorder:
            return False
        before = self._table.packet_of
        self._watch_order()
        self._known_table = None
        return self._table.packet_of != before

    def _watch_order(self) -> None:
        """Decode everything once and take the order in which frames come out as the right one, as far as that goes."""
        self._watched = True
        index = self._packets.index
        if self._num_threads > 1:
            self._num_threads = 1
            self._use_new_context()
        self._restart(0)
        self._context.skip_frame = "DEFAULT"
        self._leaves_out = False
        watched = watch_decoder(self._packets, self._context, self._coverage)
        self._has_failed = self._has_failed or watched.has_failed
        self._restart(0)
        expected = index.packet_of_frame
        if watched.num_good is None:
            expected = expected[~index.is_cut_off[expected]]
        has_fields = bool(index.is_second_field.any())
        order, self._num_ordered = settle_order(
            list(watched.packets), expected.tolist(), index.order, num_good=watched.num_good, has_fields=has_fields
        )
        self._packets.replace_index(index.reordered(order), is_kept=self._num_ordered is None)
