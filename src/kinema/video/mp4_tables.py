"""What the tables of an mp4 or QuickTime file claim, read before FFmpeg makes entries in memory for all of it.

A table says "thirty million samples of one byte" in twenty bytes, and FFmpeg writes down each.
Source: ISO/IEC 14496-12.
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

# What FFmpeg looks into wherever it stands.
_CONTAINERS = frozenset(
    {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"udta", b"meta", b"edts", b"mvex", b"moof", b"traf"}
) | {b"dinf", b"tref", b"wave"}
_ON_TOP = frozenset({b"ftyp", b"styp", b"mdat", b"wide", b"free", b"skip", b"sidx", b"mfra"})
_SAMPLES_A_CHUNK = 512  # of raw sound; FFmpeg makes an entry of 160 to 1024
_MANY = 100_000  # samples, from which on a look at the kind of track is worth it
_TABLES = frozenset({b"stsd", b"stsz", b"stz2", b"trun"})
_SIZE_TABLE = re.compile(rb"stsz|stz2")
_VIDEO_HANDLER = re.compile(rb"hdlr.{8}vide", re.DOTALL)
_RUN_OR_TRACK = re.compile(rb"trun|tfhd")
_MOST_HEADER_BYTES = 2**29  # of one box; the `moov` of a day of video has a third of it
_MOST_UNPACKED_BYTES = 64 * 2**20  # of a `moov` that QuickTime has packed
_MOST_BOXES = 20_000_000
_MOST_DEPTH = 10

ReadAt = Callable[[int, int], bytes]


@dataclass
class Mp4Claims:
    """What an mp4 file says of itself.

    Attributes:
        num_tracks: streams of any kind, or more: the word is counted.
        num_video_tracks: those of pictures.
        longest: entries of the longest track.
        total: entries of all tracks.
        end: where the last known box ends that starts inside of the file, bytes; beyond the file's
            end, the file was cut short.
    """

    num_tracks: int = 0
    num_video_tracks: int = 0
    longest: int = 0
    total: int = 0
    end: int = 0

    def add_track(self, num_samples: int) -> None:
        """Count the entries of a track."""
        self.longest = max(self.longest, num_samples)
        self.total += num_samples


class _Box(NamedTuple):
    kind: bytes
    start: int  # of the content
    end: int


def read_claims(read_at: ReadAt, num_bytes: int) -> Mp4Claims | None:
    """Read the headers of a file.

    Args:
        read_at: gives up to so many bytes from a place on.
        num_bytes: size of the file.

    Returns:
        None when it is no mp4 file.
    """
    claims = Mp4Claims()
    is_mp4 = False
    in_fragments: dict[int, int] = {}
    place = 0
    for _ in range(_MOST_BOXES):
        box = _first_box(read_at(place, 16), place, num_bytes) if place < num_bytes else None
        if box is None:
            break
        if box.kind in _ON_TOP or box.kind in _CONTAINERS:
            claims.end = box.end  # others may be no boxes
        is_mp4 = is_mp4 or box.kind in _ON_TOP
        if box.kind in _CONTAINERS or box.kind in _TABLES:
            is_mp4 = True
            _read_tables(read_at(place, min(box.end - place, _MOST_HEADER_BYTES)), claims, in_fragments)
        place = box.end
    for num_samples in in_fragments.values():
        claims.add_track(num_samples)
    return claims if is_mp4 else None


def _first_box(header: bytes, place: int, num_bytes: int) -> _Box | None:
    if len(header) < 8:
        return None
    size, kind = struct.unpack_from(">I4s", header)
    content = place + 8
    if size == 1 and len(header) == 16:
        size, content = struct.unpack_from(">Q", header, 8)[0], place + 16
    elif size == 0:
        size = num_bytes - place
    return None if size < content - place else _Box(kind, content, place + size)


def _boxes(data: bytes, start: int, end: int) -> Iterator[_Box]:
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        content = start + 8
        if size == 1 and start + 16 <= end:
            size, content = struct.unpack_from(">Q", data, start + 8)[0], start + 16
        elif size == 0:
            size = end - start
        if size < content - start:
            return
        yield _Box(kind, content, min(start + size, end))
        start += size


def _read_tables(data: bytes, claims: Mp4Claims, in_fragments: dict[int, int]) -> None:
    """Note the tables in a box: wherever their names stand, for FFmpeg reads them in odd places too."""
    claims.num_tracks += data.count(b"trak")
    claims.num_video_tracks += len(_VIDEO_HANDLER.findall(data))
    if b"cmov" in data:
        for box in _below(data, 0, len(data), 0):
            if box.kind == b"cmov":
                _read_tables(_unpacked(data, box), claims, in_fragments)
    tables = [(match.end(), _number(data, match.end() + 8)) for match in _SIZE_TABLE.finditer(data)]
    if any(number > _MANY for _, number in tables):
        raw_sound = _tables_of_raw_sound(data)
        tables = [(at, number // _SAMPLES_A_CHUNK if at in raw_sound else number) for at, number in tables]
    for _, number in tables:
        claims.add_track(number)
    if b"trun" in data:
        track = 0
        for match in _RUN_OR_TRACK.finditer(data):
            number = _number(data, match.end() + 4)
            if match[0] == b"tfhd":
                track = number
            else:
                in_fragments[track] = in_fragments.get(track, 0) + number


def _below(data: bytes, start: int, end: int, depth: int) -> Iterator[_Box]:
    """The boxes in a box, and in those."""
    for box in _boxes(data, start, end):
        yield box
        if box.kind in _CONTAINERS and depth < _MOST_DEPTH:
            yield from _below(data, box.start, box.end, depth + 1)


def _tables_of_raw_sound(data: bytes) -> set[int]:
    """Where the size tables start of tracks of raw sound, of which FFmpeg notes only whole chunks."""
    starts: set[int] = set()
    for track in _below(data, 0, len(data), 0):
        if track.kind != b"trak":
            continue
        inside = list(_below(data, track.start, track.end, 0))
        is_sound = any(box.kind == b"hdlr" and data[box.start + 8 : box.start + 12] == b"soun" for box in inside)
        times = [box.start for box in inside if box.kind == b"stts"]
        is_raw = bool(times) and all((_number(data, at + 4), _number(data, at + 12)) == (1, 1) for at in times)
        if is_sound and is_raw:
            starts |= {box.start for box in inside if box.kind in (b"stsz", b"stz2")}
    return starts


def _unpacked(data: bytes, box: _Box) -> bytes:
    for inner in _boxes(data, box.start, box.end):
        if inner.kind == b"cmvd":
            try:
                return zlib.decompressobj().decompress(data[inner.start + 4 : inner.end], _MOST_UNPACKED_BYTES)
            except zlib.error:
                break
    return b""


def _number(data: bytes, place: int) -> int:
    """A 32-bit number, 0 where the data end before it."""
    return int(struct.unpack_from(">I", data, place)[0]) if place + 4 <= len(data) else 0
