"""Is a picture behind a gap in a transport stream whole?

FFmpeg marks what lies at a gap in the counters, be a part lost there or the stream only renumbered.
Where a part of an arithmetic code is missing, decoders continue with what follows and mostly find
nothing wrong: they end too early or read too far. A picture that is whole ends where its bytes end.
So it is decoded again, with its last bytes cut off, which must make a difference, and with others
behind its end, which must make none.
"""

import zlib
from collections.abc import Iterator

import av

from kinema.video.bitstream import Bits, nal_length_size
from kinema.video.damage import PacketFailed
from kinema.video.headers import headers_in_extradata, headers_in_packet, is_slice, nal_units
from kinema.video.lasting import replaced
from kinema.video.packets import PacketSource

_CHECKED = ("h264", "hevc")
_CUT_BYTES = 4
_FOREIGN_BYTES = bytes.fromhex("b7e151628aed2a6abf7158809cf4f3c7")
_PPS = 8
_MANY_GAPS = 16
_MAX_SLICES = 8  # of a picture, that are checked

# What a decoder puts out, from the packet in question on; None for an error.
_Result = list[int] | None


class Wholeness:
    """Checks the pictures of one video that lie at a gap, each once, when decoding first comes to it.

    Args:
        packets: of the video.
    """

    def __init__(self, packets: PacketSource) -> None:
        self._packets = packets
        self._context = packets.new_context()
        self._codec = self._context.codec.canonical_name
        index = packets.index
        self._is_whole: dict[int, bool] = {}
        is_checked = self._codec in _CHECKED and not nal_length_size(self._codec, self._context.extradata)
        # A muxer that does not count at all has a gap everywhere.
        is_checked = is_checked and len(index.gaps) <= max(_MANY_GAPS, index.num_packets // 10)
        # The parser cuts the stream into pictures when the next one begins, so that the mark may
        # sit on the one before.
        at_gaps = {int(gap) + step for gap in index.gaps for step in (0, 1)} if is_checked else set()
        self._suspects = frozenset(packet for packet in at_gaps if packet < index.num_packets)

    def check(self, number: int) -> None:
        """Raise PacketFailed where a part of packet `number` is missing."""
        if number not in self._suspects:
            return
        if number not in self._is_whole:
            self._is_whole[number] = self._find(number)
        if not self._is_whole[number]:
            raise PacketFailed(number, "a part of it is missing in the file")

    def _find(self, number: int) -> bool:
        packet = self._packets.packet(number)
        if packet is None or self._packets.index.frame_of_packet[number] < 0:
            return True  # reported elsewhere, or not shown
        content = bytes(packet)
        usual = self._decoded(number, None)
        if usual is None:
            return True  # the decoder says so itself
        ends = list(self._slice_ends(content))[:_MAX_SLICES]
        reads_to_end = self._has_arithmetic_code(content)
        for end in ends:
            if self._decoded(number, content[: end - _CUT_BYTES] + content[end:]) == usual:
                return False
            if reads_to_end and self._decoded(number, content[:end] + _FOREIGN_BYTES + content[end:]) != usual:
                return False
        return True

    def _slice_ends(self, content: bytes) -> Iterator[int]:
        """Where the bytes of each slice end."""
        place = 0
        for unit in nal_units(content, 0):
            place = content.index(unit, place) + len(unit)
            if is_slice(self._codec, unit) and len(unit) > 2 * _CUT_BYTES:
                yield place

    def _has_arithmetic_code(self, content: bytes) -> bool:
        """The other code of H.264 ends with its bytes by definition. Source: ITU-T H.264, 7.3.2.2."""
        if self._codec == "hevc":
            return True
        headers = headers_in_extradata("h264", self._context.extradata)
        headers |= headers_in_packet("h264", content, 0)
        flags = []
        for key, unit in headers.items():
            if key[0] == _PPS:
                bits = Bits(unit[1:32])
                bits.take_exp_golomb()
                bits.take_exp_golomb()
                flags.append(bits.take(1))
        return bool(flags) and all(flags)

    def _decoded(self, number: int, content: bytes | None) -> _Result:
        """Decode packet `number`, with `content` in place of its own, behind those from its entry on."""
        index, context = self._packets.index, self._packets.new_context()
        context.options = {"err_detect": "explode+crccheck"}
        context.thread_count, context.thread_type = 1, "NONE"
        entry = int(index.entry_of_frame[index.frame_of_packet[number]])
        frames: list[av.VideoFrame] = []
        try:
            for place in range(entry, number + 1):
                packet = self._packets.packet(place, starts=place == entry)
                if packet is None:
                    return None
                if place == number:
                    packet = packet if content is None else replaced(packet, content)
                    frames = context.decode(packet) + context.decode(None)
                else:
                    context.decode(packet)
        except (av.FFmpegError, OSError):
            return None
        if any(frame.is_corrupt for frame in frames):
            return None
        return [zlib.crc32(bytes(plane)) for frame in frames for plane in frame.planes]
