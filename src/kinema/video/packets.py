"""The packets of a video by number: from memory when they fit there, else from their place in the file."""

from collections.abc import Iterator

import av
from av.packet import Packet
from av.video.stream import VideoStream

from kinema.errors import VideoError
from kinema.video.index import NO_TIME, PacketIndex, scan_packets
from kinema.video.source import VideoSource, open_video, source_name

# Packets of a video up to this size stay in memory, so that going back needs no seeking in the file.
_KEPT_BYTES = 32 * 2**20


class PacketSource:
    """One open file and its packets.

    Args:
        source: what holds the video.
        index: of this file; None reads all packets when they are first needed.
    """

    def __init__(self, source: VideoSource, index: PacketIndex | None = None) -> None:
        self._source = source
        self._container, self.stream = open_video(source)
        self._index = index
        self._kept: list[Packet] | None = None
        self._demuxed: Iterator[Packet] = self._sized()
        self._next = 0  # number of the packet that `_demuxed` yields next

    @property
    def index(self) -> PacketIndex:
        """What the packets tell."""
        if self._index is None:
            self._index, self._kept = scan_packets(self._container, self.stream, keep=_KEPT_BYTES)
            self._next = self._index.num_packets
        return self._index

    def replace_index(self, index: PacketIndex) -> None:
        """Take another order of frames as the right one."""
        self._index = index

    def packet(self, number: int) -> Packet | None:
        """Packet `number`, or None where the file breaks off.

        Raises:
            VideoError: the index is another file's.
        """
        index = self.index
        if self._kept is not None:
            return self._kept[number]
        if number != self._next and not self._seek(number):
            self._restart()
            while self._next < number and self._take() is not None:
                pass
        packet = self._take()
        if packet is not None and not _fits(packet, index, number):
            raise VideoError(
                f"{source_name(self._source)}: packet {number} is not the one that the index describes: "
                "the index is another file's, or the file has changed since; leave index= out"
            )
        return packet

    def _sized(self) -> Iterator[Packet]:
        # Empty ones are the mark that flushes the decoder, or a frame that an AVI file dropped.
        return (packet for packet in self._container.demux(self.stream) if packet.size)

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
        if time == NO_TIME:
            return False
        try:
            self._container.seek(time, stream=self.stream, backward=True)
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
        self._container.close()
        self._container, self.stream = open_video(self._source)
        self._demuxed = self._sized()
        self._next = 0

    def reopened(self) -> "PacketSource":
        """The same file opened anew, with a decoder of its own; this one is closed."""
        index = self.index
        kept = self._kept
        self.close()
        fresh = PacketSource(self._source, index)
        fresh._kept = kept
        return fresh

    def close(self) -> None:
        """Release the file."""
        self._kept = None
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
