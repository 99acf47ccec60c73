"""What the packets of a video tell without decoding: how many frames there are, and for how long they are shown."""

from dataclasses import dataclass

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream


@dataclass(frozen=True)
class PacketIndex:
    """Facts from one walk over the packets.

    Attributes:
        num_frames: frames that a decode of the whole stream outputs.
        shown_seconds: from the start of the first frame to the end of the last one; None when packets carry no times.
    """

    num_frames: int
    shown_seconds: float | None


def scan_packets(container: InputContainer, stream: VideoStream) -> PacketIndex:
    """Read all packets of `stream`, from where `container` stands, without decoding any.

    Headers are not asked: they count the packets that an edit list cuts away, or say nothing. A file that breaks off
    counts as far as its packets go.
    """
    num_frames = 0
    starts: list[int] = []
    ends: list[int] = []
    try:
        for packet in container.demux(stream):
            if not _gives_a_frame(packet, stream):
                continue
            num_frames += 1
            if packet.pts is not None:
                starts.append(packet.pts)
                ends.append(packet.pts + (packet.duration or 0))
    except av.FFmpegError:
        pass  # the end of what can be read; decoding will say which frame is the first to miss
    seconds = float((max(ends) - min(starts)) * stream.time_base) if starts and stream.time_base else None
    return PacketIndex(num_frames, seconds)


def _gives_a_frame(packet: Packet, stream: VideoStream) -> bool:
    # Empty: the mark that flushes the decoder, or a frame that an AVI file dropped. Discarded: by an edit list.
    if packet.size == 0 or packet.is_discard:
        return False
    # VP8 stores reference pictures that are never shown in packets of their own. Bit 4 of its frame header is
    # show_frame (RFC 6386, section 9.1).
    return not (stream.codec_context.codec.canonical_name == "vp8" and not bytes(packet)[0] & 0x10)
