"""The packets of a video by number: from memory when they fit there, else from their place in the file."""

from bisect import bisect_right
from collections.abc import Generator, Iterator
from operator import attrgetter
from typing import cast

import av
from av.container import Flags, InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from kinema.errors import VideoError
from kinema.video.clock import NO_TIME
from kinema.video.contexts import new_context
from kinema.video.index import PacketIndex
from kinema.video.index_cache import cache_index, cache_key, cached_index
from kinema.video.index_cache import (
    forget_indices as forget_indices,
)  # beside `_KEPT_BYTES`, for measuring first openings
from kinema.video.lasting import Lasting
from kinema.video.limits import Watch
from kinema.video.order import Order
from kinema.video.scan import scan_packets
from kinema.video.slice_headers import SliceHeader, slice_headers
from kinema.video.source import VideoSource, open_video, over_network, packets_of, source_name, watch_of

# Packets of a video up to this size stay in memory, so that going back needs no seeking in the
# file.
_KEPT_BYTES = 32 * 2**20
# Formats whose packets carry stream and time, so that sound can be left unread: half of a scan's
# time.
_CAN_LEAVE_OUT_STREAMS = frozenset({"mov", "matroska", "avi"})
_DISCARD = getattr(av.stream, "Discard", None)  # PyAV 17 has no such switch and reads all
_NOTHING = Lasting(0)
_first_of = attrgetter("first")


class PacketSource:
    """One open file and its packets.

    PyAV's streams point into their container without keeping it open, so neither leaves this class:
    what others need of them is copied (`header_rate`), or owns its memory (packets, decoders).

    Args:
        source: what holds the video.
        index: of this file; None reads all packets when they are first needed.
        watch: holds the reading to its limits; None for the usual ones.

    Attributes:
        watch: see above.
        header_size: height and width of a frame as FFmpeg finds them in the headers.
        header_rate: frames per second as the header says; 0.0 when it does not.
    """

    def __init__(self, source: VideoSource, index: PacketIndex | None = None, *, watch: Watch | None = None) -> None:
        self._source = source
        self.watch = watch or watch_of(source)
        self._container, self._stream = self._open()
        self.header_size = (self._stream.codec_context.height, self._stream.codec_context.width)
        self.header_rate = float(self._stream.average_rate or self._stream.guessed_rate or 0)
        self._context_is_taken = False
        self._cache_key = cache_key(source)
        self._index = index or cached_index(self._cache_key)
        self._kept: list[Packet] | None = None
        self._sizes: list[int] = []  # those of the index; Python reads lists faster than arrays
        self._demuxer: Generator[Packet, None, None] | None = None
        self._demuxed: Iterator[Packet] = self._sized()
        self._next = 0  # number of the packet that `_demuxed` yields next

    @property
    def index(self) -> PacketIndex:
        """What the packets say."""
        if self._index is None:
            index, self._kept = scan_packets(self._container, self._stream, self.watch, keep=_KEPT_BYTES)
            self._next = index.num_packets
            self._index = index
            if index.order in (Order.PLAUSIBLE, Order.DOUBTFUL):
                index = index.settled(self._slice_headers())
            self.replace_index(index)
            return index
        return self._index

    def _slice_headers(self) -> list[SliceHeader | None]:
        """What each packet's picture says of its place."""
        context = self._stream.codec_context
        reader = slice_headers(context.codec.canonical_name, context.extradata)
        assert reader is not None, "only what has headers is in doubt"
        headers: list[SliceHeader | None] = []
        for number in range(self.index.num_packets):
            packet = self.packet(number)
            if packet is not None and packet.has_sidedata("new_extradata"):
                reader.take_extradata(bytes(packet.get_sidedata("new_extradata")))
            headers.append(None if packet is None else reader.read(bytes(packet)))
        return headers

    def replace_index(self, index: PacketIndex, *, is_kept: bool = True) -> None:
        """Take another order of frames as the right one, and remember it for the next opening."""
        self._index = index
        if self._cache_key is not None and is_kept:
            cache_index(self._cache_key, index)

    def packet(self, number: int, *, starts: bool = False) -> Packet | None:
        """Packet `number`, or None where the file breaks off.

        Args:
            number: from 0 on.
            starts: decoding starts there, so that the packet has to bring what came with earlier
                ones.

        Raises:
            VideoError: the index is another file's.
        """
        self.watch.check_time()
        if self._kept is not None:
            packet: Packet | None = self._kept[number]
            if starts and packet is not None and self.index.lasting:
                return self.lasting_at(number).started(packet)
            return packet
        if not self._sizes:
            self._sizes = self.index.sizes.tolist()
        if number != self._next and not self._seek(number):
            self._restart()
            while self._next < number and self._take() is not None:
                pass
        packet = self._take()
        if packet is None:
            return None
        if packet.size != self._sizes[number]:
            raise VideoError(
                f"{source_name(self._source)}: packet {number} is not the one that the index describes: "
                "the index is another file's, or the file has changed since; leave index= out"
            )
        if self.index.lasting:
            state = self.lasting_at(number)
            if starts:
                return state.started(packet)
            if state.first == number:
                state.attach_side_data(packet)  # after seeking a demuxer may give none, or that of another place
        return packet

    def lasting_at(self, number: int) -> Lasting:
        """What a decoder that starts at packet `number` must know."""
        lasting = self.index.lasting
        place = bisect_right(lasting, number, key=_first_of) - 1
        return lasting[place] if place >= 0 else _NOTHING

    def _sized(self) -> Iterator[Packet]:
        # Empty ones are the mark that flushes the decoder, or a frame that an AVI file dropped.
        self._close_demuxer()
        self._demuxer = packets_of(self._container, self._stream)
        packets = over_network(self._demuxer, self.watch) if self.watch.is_remote else self._demuxer
        return (packet for packet in packets if packet.size)

    def _close_demuxer(self) -> None:
        # PyAV leaves 150 bytes behind for each such generator that is dropped halfway without
        # closing.
        if self._demuxer is not None:
            self._demuxer.close()
        self._demuxer = None

    def _take(self) -> Packet | None:
        try:
            packet = next(self._demuxed, None)
        except av.FFmpegError:
            packet = None
        self._next += 1
        return packet

    def _seek(self, number: int) -> bool:
        """Make packet `number` the next one by the container's own table; False when that does not lead there."""
        index = self.index
        time = int(index.dts[number] if index.dts[number] != NO_TIME else index.pts[number])
        if time == NO_TIME or index.has_jumps:  # a time may occur twice, and be another one in the file
            return False
        try:
            self._container.seek(time, stream=self._stream, backward=True)
            self._demuxed = self._sized()
            for packet in self._demuxed:
                if _fits(packet, index, number):
                    self._demuxed = _with_first(packet, self._demuxed)
                    self._next = number
                    return True
                if packet.dts is None or packet.dts >= time:
                    return False
        except av.FFmpegError:
            pass
        return False

    def _restart(self) -> None:
        self._close_demuxer()
        self._demuxed, self._next = iter(()), -1
        old = self._container
        self._container, self._stream = self._open()  # before the old one goes: when this fails, an open file is left
        self._context_is_taken = False
        old.close()
        self._demuxed, self._next = self._sized(), 0

    def _open(self) -> tuple[InputContainer, VideoStream]:
        container, stream = open_video(self._source, watch=self.watch)
        formats = container.format.name.split(",")
        if "mov" in formats or ("avi" in formats and not stream.codec_context.has_b_frames):
            # Their tables say all that FFmpeg would look for in every packet.
            container.flags |= cast(int, Flags.no_parse.value)
        if _DISCARD is not None and not _CAN_LEAVE_OUT_STREAMS.isdisjoint(formats):
            for other in container.streams:
                if other is not stream:
                    other.discard = _DISCARD.all
        return container, stream

    def new_context(self) -> VideoCodecContext:
        """A decoder that knows the stream's headers and has seen no packet. It outlives the file."""
        if self._context_is_taken:
            return new_context(self._stream)
        self._context_is_taken = True
        return self._stream.codec_context

    def close(self) -> None:
        """Release the file."""
        self._kept = None
        self._close_demuxer()
        self._demuxed = iter(())  # a generator keeps the container alive
        self._container.close()


def _fits(packet: Packet, index: PacketIndex, number: int) -> bool:
    pts = NO_TIME if packet.pts is None else packet.pts
    dts = NO_TIME if packet.dts is None else packet.dts
    return number < index.num_packets and (packet.size, dts, pts) == (
        index.sizes[number],
        index.dts[number],
        index.pts[number],
    )


def _with_first(first: Packet, rest: Iterator[Packet]) -> Iterator[Packet]:
    yield first
    yield from rest
