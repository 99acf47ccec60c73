"""Do the pictures of a whole H.264 or HEVC stream come out in the order of their times?

Each picture carries a count (picture order count) by which decoders order them, whatever the
container's times say. Here the counts of all pictures are computed at once: `slice_headers.py`
reads one after the other, which takes ten times as long. Sources: ITU-T H.264, 7.3.3, 8.2.1,
9.1; ITU-T H.265, 7.3.6.1, 8.3.1.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from av.packet import Packet

from kinema.video.bitstream import SLICE_KINDS, SLICE_START, nal_units
from kinema.video.slice_headers import H264Headers, HevcHeaders

# Of the first slice in a packet, with the header of its NAL unit. The count ends in the eighth byte
# behind that at the latest, but where an encoder numbers key pictures without need.
HEAD_BYTES = 12
_COUNT_BYTES = 8
_ESCAPED_ZEROS = b"\0\0\3"


def head_finder(codec: str, length_size: int) -> Callable[[Packet], bytes] | None:
    """A function that gives `HEAD_BYTES` of a packet's first slice, zeros for one without a slice.

    None for codecs other than H.264 and HEVC.
    """
    if codec not in SLICE_START:
        return None
    kinds, start_code = SLICE_KINDS[codec], SLICE_START[codec]
    end = length_size + HEAD_BYTES

    def find_by_length(packet: Packet) -> bytes:
        head = bytes(memoryview(packet)[length_size:end])
        if not head or head[0] not in kinds:  # so it is in a few packets
            units = nal_units(bytes(packet), length_size, HEAD_BYTES)
            head = next((unit for unit in units if unit and unit[0] in kinds), b"")
        return head if len(head) == HEAD_BYTES else head.ljust(HEAD_BYTES, b"\0")

    def find_by_start_code(packet: Packet) -> bytes:
        content = memoryview(packet)
        match = start_code.search(content)
        head = b"" if match is None else bytes(content[match.end() - 1 : match.end() - 1 + HEAD_BYTES])
        return head if len(head) == HEAD_BYTES else head.ljust(HEAD_BYTES, b"\0")

    return find_by_length if length_size else find_by_start_code


class Heads:
    """The beginnings of the first slices of P packets.

    Args:
        heads: `HEAD_BYTES` for each packet.
        headers: the stream's parameter sets.
    """

    def __init__(self, heads: bytes | bytearray, headers: H264Headers | HevcHeaders) -> None:
        self._bytes = np.frombuffer(heads, np.uint8).reshape(-1, HEAD_BYTES)
        self._headers = headers

    def is_early(self) -> np.ndarray:
        """(P,) bool: should the picture come out before one that precedes it in the file?

        H.264 encoders let B pictures do so and no others, HEVC encoders at least those that no
        other refers to.
        """
        if isinstance(self._headers, HevcHeaders):
            kind = self._bytes[:, 0] >> 1
            return (kind < 16) & (kind & 1 == 0)  # table 7-1
        second = self._bytes[:, 1]
        return (second >> 4 == 0b1010) | (second >> 2 == 0b100111)  # macroblock 0, type 1 or 6: 7.3.3, 7.4.3, 9.1

    def confirm(self, packets: np.ndarray) -> bool | None:
        """Whether the pictures of `packets` come out in this order.

        Returns:
            False also for a stream whose parameter sets change. None where some pictures, or all of
            a kind that is not read here, are not understood, and the others do not contradict.
        """
        if not len(packets):
            return None
        if self._headers.have_changed:
            return False
        counts = self._counts
        if counts is None:
            return None
        known = packets[counts.is_known[packets]]
        steps, sequence_steps = np.diff(counts.place[known]), np.diff(counts.sequence[known])
        if not ((sequence_steps > 0) | ((sequence_steps == 0) & (steps > 0))).all():
            return False
        return True if len(known) == len(packets) else None

    def have_gaps(self) -> bool:
        """Whether an H.264 picture has another number than one that follows, also when others are left out.

        The decoder then makes up the pictures that seem to be missing.
        """
        return self._counts is not None and self._counts.has_gaps

    @cached_property
    def _counts(self) -> "_Counts | None":
        if self._headers.have_changed or not len(self._bytes):
            return None
        if isinstance(self._headers, H264Headers):
            return _h264_counts(self._bytes, self._headers)
        return _hevc_counts(self._bytes, self._headers)


class _Counts(NamedTuple):
    """Of each picture."""

    sequence: np.ndarray  # its run of pictures between which counts compare
    place: np.ndarray  # in the output within its run
    is_known: np.ndarray
    has_gaps: bool = False  # see Heads


class _Rows:
    """Big-endian bits of many slices, which are read side by side."""

    def __init__(self, payload: np.ndarray) -> None:
        content = payload.tobytes()
        if _ESCAPED_ZEROS in content:
            size = payload.shape[1]
            rows = [content[start : start + size] for start in range(0, len(content), size)]
            content = b"".join(row.replace(_ESCAPED_ZEROS, b"\0\0").ljust(size, b"\0") for row in rows)
        columns = np.frombuffer(content, np.uint8).reshape(payload.shape)[:, :_COUNT_BYTES]
        self._left = np.ascontiguousarray(columns).view(">u8").ravel().astype(np.uint64)
        self._num_left: np.ndarray | int = 8 * _COUNT_BYTES

    def take(self, num_bits: int) -> np.ndarray:
        """(P,) int64, so many bits of each row."""
        value = self._left >> np.uint64(64 - num_bits)
        self._left = self._left << np.uint64(num_bits)
        self._num_left -= num_bits
        return value.view(np.int64)

    def take_each(self, num_bits: np.ndarray) -> np.ndarray:
        """(P,) int64, of each row the number of bits (P,) int64 given for it."""
        count = num_bits.view(np.uint64)
        value = self._left >> (np.uint64(64) - count)
        self._left = self._left << count
        self._num_left = self._num_left - num_bits
        return value.view(np.int64)

    def take_exp_golomb(self, where: np.ndarray | None = None) -> np.ndarray:
        """(P,) int64, numbers of variable length; of other rows than `where` none is taken."""
        _, num_bits = np.frexp((self._left >> np.uint64(32)).astype(np.float64))
        size = 65 - 2 * num_bits.astype(np.int64)  # the number, and a zero for each bit of it but one
        return self.take_each(size if where is None else size * where) - 1

    @property
    def are_whole(self) -> np.ndarray:
        """(P,) bool: nothing was taken from behind the bits there are."""
        return np.asarray(self._num_left) >= 0


def _h264_counts(heads: np.ndarray, headers: H264Headers) -> _Counts | None:
    if len(set(headers.sequence_sets.values())) != 1:
        return None
    (sequence_set,) = set(headers.sequence_sets.values())
    if sequence_set.count_type == 1 or not sequence_set.frames_only:
        return None
    kind = heads[:, 0] & 31
    is_idr = kind == 5
    picture_sets = [name for name, parent in headers.set_of_picture_set.items() if parent in headers.sequence_sets]
    rows = _Rows(heads[:, 1:].copy())
    rows.take_exp_golomb()  # first macroblock
    rows.take_exp_golomb()  # type
    is_known = ((kind == 1) | is_idr) & _is_among(rows.take_exp_golomb(), picture_sets)
    rows.take(2 * sequence_set.separate_planes)
    number = rows.take(sequence_set.frame_number_bits)
    rows.take_exp_golomb(is_idr)  # idr_pic_id
    low = rows.take(sequence_set.count_bits)
    is_known &= rows.are_whole
    is_anchor = is_known & (heads[:, 0] & 0x60 > 0)
    has_gaps = False
    for before in (is_known, is_anchor):
        step = (number - number[_last(before)]) % (1 << sequence_set.frame_number_bits)
        has_gaps = has_gaps or bool(((step > 1) & is_known & ~is_idr)[1:].any())
    if sequence_set.count_type == 2:  # output is in the order of decoding
        return _Counts(np.zeros(len(heads), np.int64), np.arange(len(heads)), is_known, has_gaps)
    count = _unwrapped(low * is_known, 1 << sequence_set.count_bits, is_idr, is_anchor)
    return _Counts(np.cumsum(is_idr), count, is_known, has_gaps)


def _hevc_counts(heads: np.ndarray, headers: HevcHeaders) -> _Counts | None:
    forms = {(sets.has_output_flag, sets.num_extra_bits) for sets in headers.picture_sets.values()}
    if len(set(headers.sequence_sets.values())) != 1 or len(forms) != 1:
        return None
    (sequence_set,) = set(headers.sequence_sets.values())
    ((has_output_flag, num_extra_bits),) = forms
    if has_output_flag:
        return None
    kind = heads[:, 0] >> 1
    picture_sets = [name for name, sets in headers.picture_sets.items() if sets.sequence_set in headers.sequence_sets]
    rows = _Rows(heads[:, 2:].copy())
    is_known = rows.take(1) == 1  # the picture's first slice
    rows.take_each(((kind >= 16) & (kind <= 23)).astype(np.int64))
    is_known &= _is_among(rows.take_exp_golomb(), picture_sets)
    rows.take(num_extra_bits)
    rows.take_exp_golomb()  # type
    rows.take(2 * sequence_set.separate_planes)
    low = rows.take_each(sequence_set.count_bits * ((kind < 19) | (kind > 20)))
    is_start = (kind >= 16) & (kind <= 20)  # nothing that follows goes before it
    is_start[0] = True
    is_left_out = ((kind >= 6) & (kind <= 9)) | ((kind < 16) & (kind % 2 == 0))
    is_known &= rows.are_whole
    is_anchor = is_known & (heads[:, 1] & 7 == 1) & ~is_left_out
    count = _unwrapped(low * is_known, 1 << sequence_set.count_bits, is_start, is_anchor)
    return _Counts(np.cumsum(is_start), count, is_known)


def _is_among(values: np.ndarray, names: Sequence[int]) -> np.ndarray:
    """(P,) bool; faster than `np.isin` where names are few, as they mostly are."""
    return values == names[0] if len(names) == 1 else np.isin(values, names)


def _last(flags: np.ndarray) -> np.ndarray:
    """(P,) place of the last true one before each; 0 where there is none."""
    last = np.maximum.accumulate(np.where(flags, np.arange(len(flags)), 0))
    return np.concatenate([[0], last[:-1]])


def _unwrapped(low: np.ndarray, span: int, is_start: np.ndarray, is_anchor: np.ndarray) -> np.ndarray:
    """(P,) counts, of which the stream holds the low bits, in each run relative to its first one.

    Args:
        low: (P,) those bits.
        span: how many values they have.
        is_start: (P,) whether a run starts.
        is_anchor: (P,) whether those that follow, up to the next anchor, are less than half a span away.
    """
    is_anchor = is_anchor | is_start
    step = low - low[_last(is_anchor)]
    step = (step + span // 2 - 1) % span - (span // 2 - 1)
    step[is_start] = 0
    total = np.cumsum(np.where(is_anchor, step, 0))
    return np.where(is_anchor, total, total + step)
