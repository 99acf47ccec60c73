"""What the packets of a video tell without decoding: how many frames there are, and for how long they are shown."""

from dataclasses import dataclass
from typing import NamedTuple

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

# Decoders of these output nothing before the first key frame; others start anywhere.
_STARTS_AT_KEY_FRAME = ("h264", "hevc")


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
    codec = stream.codec_context.codec.canonical_name
    packets: list[_Facts] = []
    try:
        for packet in container.demux(stream):
            if packet.size:  # empty: the mark that flushes the decoder, or a frame that an AVI file dropped
                shown = _is_shown(packet, codec)
                packets.append(_Facts(packet.pts, packet.duration or 0, packet.is_keyframe, shown))
    except av.FFmpegError:
        pass  # the end of what can be read; decoding will say which frame is the first to miss
    if codec in _STARTS_AT_KEY_FRAME:
        packets = _from_first_key_frame(packets)
    packets = [one for one in packets if one.is_shown]  # last, for the first key frame may be a hidden one
    spans = [(one.pts, one.pts + one.duration) for one in packets if one.pts is not None]
    if not spans or stream.time_base is None:
        return PacketIndex(len(packets), None)
    ticks = max(end for _, end in spans) - min(start for start, _ in spans)
    return PacketIndex(len(packets), float(ticks * stream.time_base))


class _Facts(NamedTuple):
    pts: int | None
    duration: int
    is_key: bool
    is_shown: bool


def _is_shown(packet: Packet, codec: str) -> bool:
    if packet.is_discard:  # by an edit list
        return False
    # VP8 stores reference pictures that are never shown in packets of their own. Bit 4 of its frame header is
    # show_frame (RFC 6386, section 9.1).
    return codec != "vp8" or bool(bytes(packet)[0] & 0x10)


def _from_first_key_frame(packets: list[_Facts]) -> list[_Facts]:
    """Leave out what the decoder drops in a stream that was cut: all before the first key frame, in either order."""
    first = next((place for place, one in enumerate(packets) if one.is_key), None)
    if first is None or packets[first].pts is None:
        return packets[first:]
    start = packets[first].pts
    # Frames that follow the key frame in the file but precede it in time refer to what was cut off (open GOP).
    return [one for one in packets[first:] if one.pts is None or start is None or one.pts >= start]
