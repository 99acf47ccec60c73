"""What the first slice of an H.264 or HEVC picture says: its place in the order of output, and whether it is a field.

Containers state times, which may be missing, repeated or wrong. The pictures themselves carry a
count (picture order count) that orders them from one IDR picture to the next. Sources: ITU-T H.264,
7.3.2.1, 7.3.2.2, 7.3.3, 8.2.1; ITU-T H.265, 7.3.1.2, 7.3.2.2, 7.3.2.3, 7.3.6.1, 8.3.1.
"""

from enum import Enum
from typing import Any, NamedTuple

from kinema.video.bitstream import Bits, nal_length_size, nal_units
from kinema.video.headers import headers_in_extradata

# Profiles of H.264 whose headers hold the format of colours.
_PROFILES_WITH_CHROMA = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
# No slice header before the count takes more than so many bytes; no set of parameters before what
# is read here.
_SLICE_BYTES, _SET_BYTES = 48, 1024


class Field(Enum):
    """Which lines of a frame a picture holds."""

    NONE = "frame"  # all of them
    TOP = "top"
    BOTTOM = "bottom"


class SliceHeader(NamedTuple):
    """What distinguishes pictures.

    Attributes:
        sequence: number of the run of pictures that are ordered by their counts; runs follow each
            other.
        place: of the picture in the output within its run.
        field: which lines it holds.
        frame_number: two fields of one frame have the same.
    """

    sequence: int
    place: int
    field: Field
    frame_number: int


class _SequenceSet(NamedTuple):
    """Of an H.264 sequence parameter set."""

    separate_planes: bool
    frame_number_bits: int
    count_type: int
    count_bits: int
    frames_only: bool


class _HevcSequenceSet(NamedTuple):
    separate_planes: bool
    count_bits: int


class _HevcPictureSet(NamedTuple):
    sequence_set: int
    has_output_flag: bool
    num_extra_bits: int


def plain(payload: bytes) -> bytes:
    """Without the bytes that keep start codes from appearing in it."""
    return payload.replace(b"\0\0\3", b"\0\0")


def slice_headers(codec: str, extradata: bytes | None) -> "H264Headers | HevcHeaders | None":
    """A reader of the packets of one stream; None for codecs whose pictures carry no count."""
    if codec not in ("h264", "hevc"):
        return None
    kind = H264Headers if codec == "h264" else HevcHeaders
    return kind(extradata)


class H264Headers:
    """Read the packets of an H.264 stream in order.

    Attributes:
        sequence_sets: those valid now, by their numbers.
        set_of_picture_set: number of a picture set -> that of its sequence set.
        have_changed: whether they did so far.
    """

    def __init__(self, extradata: bytes | None) -> None:
        self.sequence_sets: dict[int, _SequenceSet] = {}
        self.set_of_picture_set: dict[int, int] = {}
        self._sequence = self._last_count = self._last_low = self._last_high = 0
        self.have_changed = False
        self._length_size = -1
        self.take_extradata(extradata)

    def take_extradata(self, extradata: bytes | None) -> None:
        """Take the header of the stream, or one that replaces it from here on."""
        length_size = nal_length_size("h264", extradata)
        self.have_changed |= self._length_size not in (-1, length_size)
        self._length_size = length_size
        for unit in headers_in_extradata("h264", extradata).values():
            self._take_set(unit)

    @property
    def may_hold_fields(self) -> bool:
        """Whether a header so far allows pictures that are fields."""
        return any(not sequence_set.frames_only for sequence_set in self.sequence_sets.values())

    def look(self, packet: bytes) -> None:
        """Take the headers of the stream that `packet` holds before its picture."""
        for unit in nal_units(packet, self._length_size, _SET_BYTES):
            if unit and unit[0] & 31 in (1, 5):
                return
            self._take_set(unit)

    def read(self, packet: bytes) -> SliceHeader | None:
        """What the first slice says; None where there is none, or one that cannot be understood."""
        for unit in nal_units(packet, self._length_size, _SET_BYTES):
            kind = unit[0] & 31 if unit else 0
            if kind in (1, 5):
                return self._slice(unit, is_idr=kind == 5)
            if kind in (7, 8):
                self._take_set(unit)
        return None

    def _slice(self, unit: bytes, *, is_idr: bool) -> SliceHeader | None:
        bits = Bits(plain(unit[1:_SLICE_BYTES]))
        bits.take_exp_golomb()  # first macroblock
        bits.take_exp_golomb()  # type
        sequence_set = self.sequence_sets.get(self.set_of_picture_set.get(bits.take_exp_golomb(), -1))
        if sequence_set is None:
            return None
        if sequence_set.separate_planes:
            bits.take(2)
        frame_number = bits.take(sequence_set.frame_number_bits)
        field = Field.NONE
        if not sequence_set.frames_only and bits.take(1):
            field = Field.BOTTOM if bits.take(1) else Field.TOP
        if is_idr:
            bits.take_exp_golomb()  # idr_pic_id
            self._sequence += 1
            self._last_low = self._last_high = self._last_count = 0
        if sequence_set.count_type == 0:
            count = self._count(
                bits.take(sequence_set.count_bits), sequence_set.count_bits, is_reference=bool(unit[0] & 0x60)
            )
        elif sequence_set.count_type == 2:  # output is in the order of decoding
            self._last_count += 1
            count = self._last_count
        else:
            return None
        return SliceHeader(self._sequence, count, field, frame_number)

    def _count(self, low: int, num_bits: int, *, is_reference: bool) -> int:
        high = _high_part(low, num_bits, self._last_low, self._last_high)
        if is_reference:
            self._last_low, self._last_high = low, high
        return high + low

    def _take_set(self, unit: bytes) -> None:
        bits = Bits(plain(unit[1:]))
        if unit and unit[0] & 31 == 7:
            profile = bits.take(8)
            bits.take(16)  # constraints, level
            name = bits.take_exp_golomb()
            separate_planes = False
            if profile in _PROFILES_WITH_CHROMA:
                chroma = bits.take_exp_golomb()
                separate_planes = bool(chroma == 3 and bits.take(1))
                bits.take_exp_golomb(), bits.take_exp_golomb(), bits.take(1)  # depths, a lossless mode
                if bits.take(1):
                    for place in range(12 if chroma == 3 else 8):
                        if bits.take(1):
                            _skip_scaling_list(bits, 16 if place < 6 else 64)
            frame_number_bits = bits.take_exp_golomb() + 4
            count_type, count_bits = bits.take_exp_golomb(), 0
            if count_type == 0:
                count_bits = bits.take_exp_golomb() + 4
            elif count_type == 1:
                bits.take(1), bits.take_exp_golomb(), bits.take_exp_golomb()
                for _ in range(min(bits.take_exp_golomb(), 255)):
                    bits.take_exp_golomb()
            (
                bits.take_exp_golomb(),
                bits.take(1),
                bits.take_exp_golomb(),
                bits.take_exp_golomb(),
            )  # references, gaps, width, height
            sequence_set = _SequenceSet(
                separate_planes, min(frame_number_bits, 16), count_type, min(count_bits, 16), bool(bits.take(1))
            )
            self.have_changed |= _replace(self.sequence_sets, name, sequence_set)
        elif unit and unit[0] & 31 == 8:
            name = bits.take_exp_golomb()
            self.have_changed |= _replace(self.set_of_picture_set, name, bits.take_exp_golomb())


class HevcHeaders:
    """Read the packets of an HEVC stream in order.

    Attributes:
        sequence_sets: those valid now, by their numbers.
        picture_sets: likewise.
        have_changed: whether they did so far.
    """

    def __init__(self, extradata: bytes | None) -> None:
        self.sequence_sets: dict[int, _HevcSequenceSet] = {}
        self.picture_sets: dict[int, _HevcPictureSet] = {}
        self._sequence = self._last_low = self._last_high = 0
        self._is_first = True
        self.have_changed = False
        self._length_size = -1
        self.take_extradata(extradata)

    def take_extradata(self, extradata: bytes | None) -> None:
        """Take the header of the stream, or one that replaces it from here on."""
        length_size = nal_length_size("hevc", extradata)
        self.have_changed |= self._length_size not in (-1, length_size)
        self._length_size = length_size
        for unit in headers_in_extradata("hevc", extradata).values():
            self._take_set(unit)

    def look(self, packet: bytes) -> None:
        """Take the headers of the stream that `packet` holds before its picture."""
        for unit in nal_units(packet, self._length_size, _SET_BYTES):
            kind = unit[0] >> 1 & 63 if unit else 63
            if kind < 32:
                return
            self._take_set(unit)

    def read(self, packet: bytes) -> SliceHeader | None:
        """What the first slice says; None where there is none, or one that cannot be understood."""
        for unit in nal_units(packet, self._length_size, _SET_BYTES):
            kind = unit[0] >> 1 & 63 if len(unit) > 2 else 63
            if kind < 32:
                return self._slice(unit, kind)
            if kind in (33, 34):
                self._take_set(unit)
        return None

    def _slice(self, unit: bytes, kind: int) -> SliceHeader | None:
        bits = Bits(plain(unit[2:_SLICE_BYTES]))
        if not bits.take(1):
            return None  # the picture's first slice is gone
        if 16 <= kind <= 23:
            bits.take(1)
        picture_set = self.picture_sets.get(bits.take_exp_golomb())
        sequence_set = None if picture_set is None else self.sequence_sets.get(picture_set.sequence_set)
        if picture_set is None or sequence_set is None:
            return None
        bits.take(picture_set.num_extra_bits)
        bits.take_exp_golomb()  # type
        if picture_set.has_output_flag and not bits.take(1):
            return None  # it is not shown
        if sequence_set.separate_planes:
            bits.take(2)
        low = 0 if kind in (19, 20) else bits.take(sequence_set.count_bits)
        if 16 <= kind <= 20 or self._is_first:  # nothing that follows goes before it
            self._sequence += 1
            high = 0
        else:
            high = _high_part(low, sequence_set.count_bits, self._last_low, self._last_high)
        self._is_first = False
        is_leading_or_unreferenced = 6 <= kind <= 9 or (kind < 16 and kind % 2 == 0)
        if unit[1] & 7 == 1 and not is_leading_or_unreferenced:
            self._last_low, self._last_high = low, high
        return SliceHeader(self._sequence, high + low, Field.NONE, 0)

    def _take_set(self, unit: bytes) -> None:
        bits = Bits(plain(unit[2:]))
        kind = unit[0] >> 1 & 63 if unit else 63
        if kind == 33:
            bits.take(4)
            num_layers = bits.take(3)
            bits.take(1 + 88 + 8)  # nesting; profile and level of the whole
            present = [(bits.take(1), bits.take(1)) for _ in range(num_layers)]
            if num_layers:
                bits.take(2 * (8 - num_layers))
            for has_profile, has_level in present:
                bits.take(88 * has_profile + 8 * has_level)
            name, chroma = bits.take_exp_golomb(), bits.take_exp_golomb()
            separate_planes = bool(chroma == 3 and bits.take(1))
            bits.take_exp_golomb(), bits.take_exp_golomb()  # width, height
            if bits.take(1):
                for _ in range(4):
                    bits.take_exp_golomb()  # what is cut off at the edges
            bits.take_exp_golomb(), bits.take_exp_golomb()  # depths
            new = _HevcSequenceSet(separate_planes, min(bits.take_exp_golomb() + 4, 16))
            self.have_changed |= _replace(self.sequence_sets, name, new)
        elif kind == 34:
            name, sequence_set = bits.take_exp_golomb(), bits.take_exp_golomb()
            bits.take(1)
            picture_set = _HevcPictureSet(sequence_set, bool(bits.take(1)), bits.take(3))
            self.have_changed |= _replace(self.picture_sets, name, picture_set)


def _replace(sets: dict[int, Any], name: int, new: object) -> bool:
    """Take a set of parameters; whether another one had its number."""
    is_other = sets.get(name, new) != new
    sets[name] = new
    return is_other


def _high_part(low: int, num_bits: int, last_low: int, last_high: int) -> int:
    """The part of a count that is not stored, from that of the last reference picture."""
    span = 1 << num_bits
    if low < last_low and last_low - low >= span // 2:
        return last_high + span
    if low > last_low and low - last_low > span // 2:
        return last_high - span
    return last_high


def _skip_scaling_list(bits: Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            code = bits.take_exp_golomb()
            change = (code + 1) // 2 if code % 2 else -(code // 2)
            following = (last + change) % 256
        last = following or last
