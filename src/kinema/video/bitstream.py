"""What a compressed picture says of itself in its first bits.

Its type, whether it is shown, whether decoding can start at it.

Containers say this wrongly or not at all (AVI has no presentation times, a sync table may list
pictures that need others), and numbering frames without decoding them depends on it.
"""

import re
from collections.abc import Callable, Iterator
from enum import Enum

from av.packet import Packet

_START_CODE = re.compile(rb"\x00\x00\x01")
_MPEG4_LAYER = re.compile(rb"\x00\x00\x01[\x20-\x2f]")
_MPEG4_PICTURE = b"\x00\x00\x01\xb6"
_MPEG12_PICTURE = b"\x00\x00\x01\x00"
_MPEG12_GROUP = b"\x00\x00\x01\xb8"


class Picture(Enum):
    """What a packet of an MPEG-1, -2 or -4 stream holds."""

    REFERENCE = "reference"  # I, P or S: shown when the next reference arrives
    BIDIRECTIONAL = "bidirectional"  # B: shown at once
    NONE = "none"  # nothing that is shown


def _short_number(byte: int) -> tuple[int, int]:
    """Size in bits, and value, of the number of variable length that `byte` begins with; size 0 for a longer one."""
    zeros = 8 - byte.bit_length()
    size = 2 * zeros + 1
    return (size, (byte >> (8 - size)) - 1) if size <= 8 else (0, 0)


_SHORT_NUMBERS = [_short_number(byte) for byte in range(256)]


class Bits:
    """Big-endian bits of a few bytes; reading past the end gives zeros."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data)
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        self._left -= count
        shifted = self._value >> self._left if self._left >= 0 else self._value << -self._left
        return shifted & ((1 << count) - 1)

    def take_exp_golomb(self) -> int:
        """An unsigned number of variable length. Source: ITU-T H.264, 9.1."""
        left = self._left
        if left >= 8:  # most numbers take less than a byte
            size, number = _SHORT_NUMBERS[self._value >> (left - 8) & 255]
            if size:
                self._left = left - size
                return number
        elif left <= 0:
            return 0
        rest = self._value & ((1 << left) - 1)
        zeros = left - rest.bit_length()
        self._left = left - zeros - 1 if rest else 0
        return (1 << zeros) - 1 + self.take(zeros)


# ---- MPEG-4 part 2 (ISO/IEC 14496-2, sections 6.2.3 and 6.2.5)


class Mpeg4Pictures:
    """Read the packets of an MPEG-4 stream in order: which picture each one makes the decoder decode.

    AVI files may be packed: a packet holds a P and the B that follows it, and the next packet
    without a coded picture makes the decoder take the B out of its pocket.

    Args:
        extradata: of the stream; holds the layer header, which a packet may hold as well.
        has_bidirectional: whether the stream has B pictures; without them none is packed.

    Attributes:
        is_packed: whether a packet so far made the decoder do that.
        is_interlaced: whether a layer header so far says that pictures may be interlaced.
    """

    def __init__(self, extradata: bytes | None, *, has_bidirectional: bool = True) -> None:
        self.is_interlaced = False
        self._coded_bit: int | None = None  # where it is in a picture of the same second as the one before
        self._header: bytes | None = None
        self._take_layer(extradata or b"")
        self._num_references = 0
        self._may_be_packed = has_bidirectional
        self._in_pocket = False
        self.is_packed = False

    def read(self, packet: bytes) -> Picture:
        """The picture that the decoder takes up with `packet`."""
        first = packet.find(_MPEG4_PICTURE)
        content = first + 4
        if first < 0 or content >= len(packet):
            return Picture.NONE
        if first > 4:
            self._take_layer(packet[:first])
        if not self._is_coded(packet, content):
            from_pocket, self._in_pocket = self._in_pocket, False
            self.is_packed = self.is_packed or from_pocket
            return Picture.BIDIRECTIONAL if from_pocket else Picture.NONE
        if self._may_be_packed and not self._in_pocket:
            self._in_pocket = packet.find(_MPEG4_PICTURE, content) >= 0
        kind = packet[content] >> 6  # 0 I, 1 P, 2 B, 3 S
        if kind == 2:
            return Picture.BIDIRECTIONAL if self._num_references > 1 else Picture.NONE  # the decoder drops it
        self._num_references += 1 if kind == 0 else 2  # for a P picture without reference it makes one up
        return Picture.REFERENCE

    def _take_layer(self, header: bytes) -> None:
        if header == self._header:
            return  # most files repeat it before every key picture
        self._header = header
        layer = _mpeg4_layer(header)
        if layer is not None:
            time_bits, is_interlaced = layer
            self._coded_bit = 2 + 1 + 1 + time_bits + 1
            self.is_interlaced = self.is_interlaced or is_interlaced

    def _is_coded(self, packet: bytes, content: int) -> bool:
        """The bit behind the type and the time.

        The type has 2 bits, the seconds are ones that a zero ends, and the fraction of a second
        stands between two markers.
        """
        place = self._coded_bit
        if place is None:
            return True
        if packet[content] & 0x20:  # a second or more has gone by
            header = int.from_bytes(packet[content : content + 8].ljust(8, b"\0"))
            zeros = ~header & (1 << 62) - 1  # of the 62 bits behind the type
            if not zeros:
                return True  # a minute between two pictures: damage, which is for the decoder to find
            place += 62 - zeros.bit_length()
        at = content + (place >> 3)
        return at >= len(packet) or bool(packet[at] & 0x80 >> (place & 7))


def _mpeg4_layer(header: bytes) -> tuple[int, bool] | None:
    """Bits of vop_time_increment, and whether the layer is interlaced; None when `header` holds no layer header."""
    match = _MPEG4_LAYER.search(header)
    if match is None:
        return None
    bits = Bits(header[match.end() : match.end() + 32])
    bits.take(1 + 8)  # random access, object type
    if bits.take(1):
        bits.take(4 + 3)  # version, priority
    if bits.take(4) == 15:
        bits.take(8 + 8)  # pixel aspect ratio
    if bits.take(1):
        bits.take(2 + 1)  # chroma format, low delay
        if bits.take(1):
            bits.take(79)  # buffer sizes
    if bits.take(2) != 0 or not bits.take(1):  # another shape than a rectangle, or not what this function takes it for
        return None
    time_bits = max(1, (bits.take(16) - 1).bit_length())
    bits.take(1)
    if bits.take(1):
        bits.take(time_bits)  # fixed rate
    bits.take(1 + 13 + 1 + 13 + 1)  # width and height between markers
    return time_bits, bool(bits.take(1))


# ---- MPEG-1 and -2 (ISO/IEC 13818-2, section 6.2.3)


class Mpeg12Pictures:
    """Read the packets of an MPEG-1 or -2 stream in order: which picture each one makes the decoder decode.

    Of a stream that was cut, the decoder drops what refers to pictures before its first I picture.
    """

    def __init__(self) -> None:
        self._num_references = 0
        self._is_closed = False

    def read(self, packet: bytes) -> Picture:
        """The picture that the decoder takes up with `packet`, by the first picture header."""
        first = packet.find(_MPEG12_PICTURE)
        if first < 0 or first + 6 > len(packet):
            return Picture.NONE
        group = packet.find(_MPEG12_GROUP, 0, first)
        if group >= 0:
            self._is_closed = bool(packet[group + 7] & 0x40)  # after a time code of 25 bits
        kind = packet[first + 5] >> 3 & 7  # after a temporal reference of 10 bits: 1 I, 2 P, 3 B
        if kind == 3:
            return Picture.BIDIRECTIONAL if self._num_references > 1 or self._is_closed else Picture.NONE
        if kind == 2 and not self._num_references:
            return Picture.NONE
        self._num_references += 1
        return Picture.REFERENCE


# ---- VP8 (RFC 6386, section 9.1)


def vp8_picture(packet: bytes) -> Picture:
    """What a VP8 packet holds: some pictures are stored only as references and never shown."""
    return Picture.REFERENCE if packet[0] & 0x10 else Picture.NONE


# ---- which pictures need no other


def is_intra(codec: str, packet: bytes) -> bool:
    """Whether a packet that the container calls a key frame holds a picture that refers to no other.

    Its decoder would take anything for the picture before it. True for codecs whose pictures this
    function does not read. Sources: ISO/IEC 14496-2, 6.2.5; 13818-2, 6.2.3; RFC 6386, 9.1; Theora
    specification, 7.1; ITU-T H.263, 5.1; FFmpeg's decoders of what has no specification.
    """
    if codec == "mpeg4":
        place = packet.find(_MPEG4_PICTURE) + 4
        return place < 4 or place >= len(packet) or packet[place] >> 6 == 0
    if codec in ("mpeg1video", "mpeg2video"):
        place = packet.find(_MPEG12_PICTURE) + 5
        return place < 5 or place >= len(packet) or packet[place] >> 3 & 7 == 1
    return codec not in _IS_INTRA or _IS_INTRA[codec](Bits(packet[:16]))


def _h263_is_intra(bits: Bits) -> bool:
    bits.take(22 + 8 + 5)  # start code, time, flags
    if bits.take(3) < 6:  # size
        return not bits.take(1)
    if bits.take(3) == 1:
        bits.take(18)
    return not bits.take(3)


def _flv1_is_intra(bits: Bits) -> bool:
    bits.take(17 + 5 + 8)  # start code, version, time
    bits.take({0: 16, 1: 32}.get(bits.take(3), 0))  # size
    return not bits.take(2)


def _msmpeg4v1_is_intra(bits: Bits) -> bool:
    bits.take(32 + 5)  # start code, number
    return not bits.take(2)


_IS_INTRA: dict[str, Callable[[Bits], bool]] = {
    "vp8": lambda bits: not bits.take(8) & 1,
    "theora": lambda bits: not bits.take(2) & 1,
    "h263": _h263_is_intra,
    "flv1": _flv1_is_intra,
    "msmpeg4v1": _msmpeg4v1_is_intra,
    "msmpeg4v2": lambda bits: not bits.take(2),
    "msmpeg4v3": lambda bits: not bits.take(2),
    "wmv1": lambda bits: not bits.take(2),
    "wmv2": lambda bits: not bits.take(1),
}


# ---- H.264 and HEVC


def nal_length_size(codec: str, extradata: bytes | None) -> int:
    """Bytes of the length before each NAL unit, as in mp4 and mkv; 0 for start codes, as in ts and raw streams."""
    if not extradata or extradata[0] != 1:
        return 0
    place = 4 if codec == "h264" else 21
    return (extradata[place] & 3) + 1 if len(extradata) > place else 0


def nal_units(packet: bytes, length_size: int, most_bytes: int = 64) -> Iterator[bytes]:
    """The beginnings of the NAL units of a packet."""
    if length_size:
        place = 0
        while place + length_size < len(packet):
            size = int.from_bytes(packet[place : place + length_size])
            place += length_size
            yield packet[place : place + min(size, most_bytes)]
            place += size
    else:
        for match in _START_CODE.finditer(packet):
            yield packet[match.end() : match.end() + most_bytes]


def h264_can_start_at(packet: bytes, length_size: int) -> bool:
    """Whether a packet holds an IDR picture.

    Decoding may start at other pictures with a recovery point too (open groups of pictures), but
    there the decoder misses references that later pictures list without using them, which cannot be
    distinguished from damage. Source: ITU-T H.264, 7.4.1.2.4 and D.2.8.
    """
    for unit in nal_units(packet, length_size):
        kind = unit[0] & 31 if unit else 0
        if kind in (1, 2, 5):
            return kind == 5
    return False


def h264_is_recovered_at(packet: bytes, length_size: int) -> bool:
    """Whether a packet's recovery point message promises right pictures from this one on.

    Source: D.1.8.
    """
    for unit in nal_units(packet, length_size):
        place = 1
        while unit and unit[0] & 31 == 6 and place + 2 < len(unit):
            kind, size = unit[place], unit[place + 1]
            if kind == 255 or size == 255:
                break  # a long message: those of recovery points are short
            if kind == 6:
                return bool(unit[place + 2] & 0x80)  # recovery_frame_cnt is 0
            place += 2 + size
    return False


def _first_hevc_slice(packet: bytes, length_size: int) -> int:
    for unit in nal_units(packet, length_size):
        kind = unit[0] >> 1 & 63 if unit else 63
        if kind < 32:
            return kind
    return 63


def hevc_can_start_at(packet: bytes, length_size: int) -> bool:
    """Whether a packet holds an intra random access picture. Source: ITU-T H.265, 7.4.2.2."""
    return 16 <= _first_hevc_slice(packet, length_size) <= 23


def hevc_needs_what_precedes(packet: bytes, length_size: int) -> bool:
    """Whether a packet is a skipped leading picture (RASL): one that refers to what lies before its key picture."""
    return _first_hevc_slice(packet, length_size) in (8, 9)


# ---- packets that hold no picture, and pictures that no other refers to

# First bytes of NAL units that hold slices: the type is in the five lower bits of H.264's, in six
# bits above the lowest one in HEVC's.
SLICE_KINDS = {
    "h264": frozenset(first for first in range(256) if first & 31 in (1, 2, 5)),
    "hevc": frozenset(first for first in range(128) if first >> 1 < 32),
}
SLICE_START = {
    "h264": re.compile(
        rb"\x00\x00\x01[" + bytes(sorted(SLICE_KINDS["h264"])).replace(b"\\", b"\\\\").replace(b"]", b"\\]") + rb"]"
    ),
    "hevc": re.compile(rb"\x00\x00\x01[\x00-\x3f]"),
}


def slice_finder(codec: str, length_size: int) -> Callable[[Packet], bool] | None:
    """A function that says whether a packet holds a slice; None for codecs that need no such look.

    When these decoders are asked to leave pictures out they say nothing of a packet without any.
    """
    if codec not in SLICE_START:
        return None
    kinds = SLICE_KINDS[codec]

    def find_by_length(packet: Packet) -> bool:
        content = memoryview(packet)
        if len(content) > length_size and content[length_size] in kinds:  # so it is but in a few packets
            return True
        return any(unit[0] in kinds for unit in nal_units(bytes(content), length_size) if unit)

    def find_by_start_code(packet: Packet) -> bool:
        return SLICE_START[codec].search(memoryview(packet)) is not None

    return find_by_length if length_size else find_by_start_code


def is_unreferenced(codec: str, packet: bytes, length_size: int) -> bool:
    """Whether a packet says that no other picture refers to what it holds; False where it does not say so clearly."""
    if codec == "h264":
        slices = [unit[0] for unit in nal_units(packet, length_size, 1) if unit and unit[0] & 31 in (1, 2, 5)]
        return bool(slices) and not any(first & 0x60 for first in slices)  # nal_ref_idc, 7.4.1
    if codec == "hevc":
        kinds = [unit[0] >> 1 & 63 for unit in nal_units(packet, length_size, 1) if unit]
        slices = [kind for kind in kinds if kind < 32]
        return bool(slices) and all(kind < 16 and kind % 2 == 0 for kind in slices)  # table 7-1
    if codec == "mpeg4":
        place = packet.find(_MPEG4_PICTURE) + 4
        return 4 <= place < len(packet) and packet[place] >> 6 == 2
    place = packet.find(_MPEG12_PICTURE) + 5
    return codec in ("mpeg1video", "mpeg2video") and 5 <= place < len(packet) and packet[place] >> 3 & 7 == 3
