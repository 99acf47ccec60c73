"""Does a file hold all that its headers announce?

Downloads and recordings break off, and most programs play what is there.

Only what the bytes prove is reported: a file whose headers announce nothing, as those of a live
recording, is taken as it is. Sources: RFC 8794 and 9559 (Matroska), Microsoft's AVI RIFF reference,
Adobe's FLV specification 10.1, ISO/IEC 13818-1 (MPEG-TS), RFC 3533 (Ogg), Microsoft's ASF
specification, the GIF89a specification, ISO/IEC 14496-12 (mp4).
"""

import struct
from typing import NamedTuple

from kinema.video.mp4_tables import ReadAt, read_claims
from kinema.video.source import VideoSource, bytes_of

_EBML, _SEGMENT, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
# Elements of a segment, one of which ends a cluster of unknown size.
_IN_SEGMENT = frozenset(
    {_CLUSTER, 0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367, _EBML, _SEGMENT}
)
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_IS_BROADCAST = 1
_RIFF_SLACK_BYTES = 16  # some programs count headers or padding in
_FLV_SLACK_SECONDS, _FLV_SLACK_SHARE = 1.0, 0.02
_FLV_TAGS = frozenset({8, 9, 18})
_TS_PACKETS = (188, 192, 204)


class _File(NamedTuple):
    read_at: ReadAt
    size: int


def breaks_off(source: VideoSource) -> str | None:
    """Why a file is not whole, in a few words; None when nothing says so, and for addresses.

    Args:
        source: what `VideoReader` takes.
    """
    with bytes_of(source) as opened:
        if opened is None:
            return None
        file = _File(*opened)
        head = file.read_at(0, 1024)
        try:
            return _reason(file, head)
        except struct.error:
            return None  # its headers are cut, or are none


def _reason(file: _File, head: bytes) -> str | None:
    if head[:4] == b"\x1aE\xdf\xa3":
        return _matroska(file)
    if head[:4] == b"RIFF" and head[8:11] == b"AVI":
        return _avi(file)
    if head[:3] == b"FLV":
        return _flv(file, head)
    if head[:4] == b"OggS":
        return _ogg(file)
    if head[:16] == _ASF_HEADER:
        return _asf(file)
    if head[:4] == b"GIF8":
        end = file.read_at(max(0, file.size - 4096), 4096).rstrip(b"\0\r\n")
        return None if end.endswith(b";") else "the mark at its end is missing"
    if _ts_packet(head) is not None:
        return _ts(file, head)
    claims = read_claims(file.read_at, file.size)
    return _cut(file, claims.end) if claims is not None else None


def _cut(file: _File, end: int) -> str | None:
    if end <= file.size:
        return None
    return f"it has {file.size} bytes, its headers announce {end}"


# ---- Matroska and WebM


def _element(file: _File, place: int) -> tuple[int, int, int | None] | None:
    """Name of the element at `place`, where its content starts, and how long it is; None when that is not said."""
    data = file.read_at(place, 12)
    if not data or not data[0]:
        return None
    length = 9 - data[0].bit_length()
    if length > 4 or len(data) <= length:
        return None
    name = int.from_bytes(data[:length], "big")
    size_length = 9 - data[length].bit_length()
    if size_length > 8 or len(data) < length + size_length:
        return None
    size = int.from_bytes(data[length : length + size_length], "big") & ((1 << 7 * size_length) - 1)
    is_unknown = size == (1 << 7 * size_length) - 1
    return name, place + length + size_length, None if is_unknown else size


def _matroska(file: _File) -> str | None:
    place = 0
    in_segment = in_cluster = False
    while place < file.size:
        element = _element(file, place)
        if element is None:
            return None if not in_segment or not _is_cut_element(file, place) else _cut(file, file.size + 1)
        name, content, size = element
        if size is None:
            in_segment, in_cluster = in_segment or name == _SEGMENT, name == _CLUSTER
            if name not in (_SEGMENT, _CLUSTER):
                return None
            place = content
            continue
        if name == _SEGMENT:
            return _cut(file, content + size)
        if in_segment and name not in _IN_SEGMENT and not in_cluster and name != 0xEC and name != 0xBF:
            return None  # what follows is no Matroska
        in_cluster = in_cluster and name not in _IN_SEGMENT
        if in_segment and content + size > file.size:
            return _cut(file, content + size)
        place = content + size
    return None


def _is_cut_element(file: _File, place: int) -> bool:
    """Do the last bytes start an element whose header is not whole?"""
    return file.size - place < 12 and file.read_at(place, 1) in (b"\xa3", b"\xa0", b"\xe7", b"\x1f")


# ---- others


def _avi(file: _File) -> str | None:
    place = 0
    while file.size - place >= 12:
        name, size, kind = struct.unpack("<4sI4s", file.read_at(place, 12))
        if name != b"RIFF" or kind[:3] != b"AVI":
            return None
        if size in (0, 0xFFFFFFFF):
            return None  # a recording that was never finished
        end = place + 8 + size
        if end > file.size + _RIFF_SLACK_BYTES:
            return _cut(file, end)
        place = end + size % 2
    return None


def _flv(file: _File, head: bytes) -> str | None:
    if file.size < 13 + 15:
        return "it ends in its header"
    (last,) = struct.unpack(">I", file.read_at(file.size - 4, 4))
    start = file.size - 4 - last
    tag = file.read_at(start, 11) if start >= 9 else b""
    if len(tag) < 11 or tag[0] & 0x1F not in _FLV_TAGS or int.from_bytes(tag[1:4], "big") + 11 != last:
        return _flv_cut(file, head)
    seconds = int.from_bytes(tag[7:8] + tag[4:7], "big") / 1000
    announced = _flv_duration(file, head)
    if announced is not None and seconds + _FLV_SLACK_SECONDS + _FLV_SLACK_SHARE * announced < announced:
        return f"it ends after {seconds:.2f} s, its header announces {announced:.2f} s"
    return None


def _flv_cut(file: _File, head: bytes) -> str | None:
    """Go from tag to tag: does the last one end behind the file?"""
    place = struct.unpack_from(">I", head, 5)[0] + 4
    while place + 11 <= file.size:
        tag = file.read_at(place, 11)
        if tag[0] & 0x1F not in _FLV_TAGS:
            return None  # what follows is no FLV
        end = place + 11 + int.from_bytes(tag[1:4], "big") + 4
        if end > file.size:
            return _cut(file, end)
        place = end
    return _cut(file, place + 11) if place < file.size and file.read_at(place, 1)[0] & 0x1F in _FLV_TAGS else None


def _flv_duration(file: _File, head: bytes) -> float | None:
    """Of the `onMetaData` tag, which comes first; None where it says nothing."""
    place = struct.unpack_from(">I", head, 5)[0] + 4
    tag = file.read_at(place, 11)
    if len(tag) < 11 or tag[0] & 0x1F != 18:
        return None
    content = file.read_at(place + 11, int.from_bytes(tag[1:4], "big"))
    name = content.find(b"\0\x08duration\0")
    if name < 0 or len(content) < name + 19:
        return None
    seconds = float(struct.unpack_from(">d", content, name + 11)[0])
    return seconds if 0 < seconds < float("inf") else None


def _ogg(file: _File) -> str | None:
    """The last page: a page has at most 65307 bytes."""
    start = max(0, file.size - 65307)
    tail = file.read_at(start, file.size - start)
    place = tail.rfind(b"OggS\0")
    if place < 0:
        return None
    header = tail[place : place + 27 + 255]
    if len(header) < 27 or len(header) < 27 + header[26]:
        return _cut(file, file.size + 1)
    return _cut(file, start + place + 27 + header[26] + sum(header[27 : 27 + header[26]]))


def _asf(file: _File) -> str | None:
    header = file.read_at(0, 65536)
    place = header.find(_ASF_FILE_PROPERTIES)
    if place < 0 or len(header) < place + 92:
        return None
    (num_bytes,) = struct.unpack_from("<Q", header, place + 40)
    (flags,) = struct.unpack_from("<I", header, place + 88)
    return None if flags & _ASF_IS_BROADCAST else _cut(file, num_bytes)


def _ts_packet(head: bytes) -> tuple[int, int] | None:
    """Where the first packet starts, and bytes a packet; None when it is no MPEG-TS."""
    for size in _TS_PACKETS:
        for first in (0, 4):
            if len(head) > first + 4 * size and all(head[first + k * size] == 0x47 for k in range(5)):
                return first, size
    return None


def _ts(file: _File, head: bytes) -> str | None:
    packet = _ts_packet(head)
    assert packet is not None
    first, size = packet
    start = 0 if size == 192 else first  # there a time stands before each
    rest = (file.size - start) % size
    if not rest:
        return None
    # Whole files may have something else at their end; a cut one ends within a packet.
    begins = file.read_at(file.size - rest + (first if size == 192 else 0), 1)
    return f"its last packet has {rest} bytes of {size}" if begins in (b"\x47", b"") else None
