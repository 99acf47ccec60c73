"""What is known of clips without training on them: lengths, sizes, rates, a few small pictures of each."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from kinema.cores import available_cores
from kinema.datasets.annotations import Annotations, Split
from kinema.errors import VideoError
from kinema.video import VideoReader

PICTURES = 3  # frames of a clip that are looked at
_FLAT = 3  # grey levels: neighbouring cells that differ by less say nothing


@dataclass(frozen=True)
class Unreadable:
    """A clip that cannot be opened, or of which a frame that was asked for cannot be decoded."""

    place: int
    error: str


@dataclass(frozen=True, eq=False)
class ClipFacts:
    """What was seen of M clips that could be read, a column a fact.

    Attributes:
        places: (M,) of the clips in their annotations, ascending.
        seconds: (M,) durations of the clips, which may be parts of videos.
        fps: (M,) frame rates of their videos.
        widths: (M,) of the videos, pixels.
        heights: (M,) of the videos, pixels.
        num_bytes: (M,) of the files.
        overruns: (M,) seconds by which the end of a clip lies behind that of its video; 0: it does
            not.
        bits: (M, 3) uint64: difference hashes of three frames; empty (M, 0) when none were asked
            for.
        known: (M, 3) uint64: which of these bits say something; of a flat part of a picture none
            do.
        unreadable: those that could not be read.
        num_clips: of the annotations, of which these are a part.
    """

    places: np.ndarray
    seconds: np.ndarray
    fps: np.ndarray
    widths: np.ndarray
    heights: np.ndarray
    num_bytes: np.ndarray
    overruns: np.ndarray
    bits: np.ndarray
    known: np.ndarray
    unreadable: tuple[Unreadable, ...] = ()
    num_clips: int = 0

    def __len__(self) -> int:
        return len(self.places)

    @property
    def num_looked_at(self) -> int:
        """Clips that were opened, or could not be."""
        return len(self) + len(self.unreadable)

    @property
    def short_sides(self) -> np.ndarray:
        """(M,) pixels."""
        return np.minimum(self.widths, self.heights)


class _Row(NamedTuple):
    place: int
    numbers: tuple[float, float, int, int, int, float]
    bits: tuple[int, ...]
    known: tuple[int, ...]


def look_at_clips(
    split: Split,
    places: Sequence[int] | np.ndarray | None = None,
    *,
    most: int = 100,
    pictures: bool = False,
    seconds: float | None = None,
    seen: Callable[[], object] = lambda: None,
) -> ClipFacts:
    """Open clips, evenly spread over a split, several at a time.

    Args:
        split: the clips.
        places: those to choose from; None: all.
        most: open at most so many.
        pictures: also decode three frames of each, for `ClipFacts.bits`.
        seconds: begin no further clip after so long; None: no limit.
        seen: called after each clip.

    Returns:
        What was seen. Folders of frames have no durations: they are left out.
    """
    clips = split.annotations
    chosen = np.arange(len(clips)) if places is None else np.asarray(places)
    total = len(chosen)
    if total > most:
        chosen = chosen[np.linspace(0, total - 1, most).astype(int)]
    if clips.total_frames is not None:
        chosen = chosen[:0]
    began = time.monotonic()

    def look(place: int) -> _Row | Unreadable | None:
        if seconds is not None and time.monotonic() - began > seconds:
            return None
        try:
            return _look(split, place, pictures=pictures)
        except (VideoError, OSError) as error:
            return Unreadable(place, str(error))
        finally:
            seen()

    # What takes the time, opening and decoding, lets other threads work meanwhile. When time is
    # short, the clips that were seen should still be spread over the split.
    order = np.random.default_rng(0).permutation(chosen) if seconds is not None else chosen
    with ThreadPoolExecutor(min(available_cores(), 8)) as pool:
        looks = sorted((look for look in pool.map(look, order.tolist()) if look is not None), key=lambda row: row.place)
    return _columns([row for row in looks if isinstance(row, _Row)], looks, total)


def _columns(rows: Sequence[_Row], looks: Sequence[_Row | Unreadable], total: int) -> ClipFacts:
    numbers = np.array([row.numbers for row in rows], dtype=np.float64).reshape(-1, 6)
    seconds, fps, widths, heights, num_bytes, overruns = numbers.T
    num_pictures = len(rows[0].bits) if rows else 0
    bits, known = (
        np.array([getattr(row, name) for row in rows], dtype=np.uint64).reshape(len(rows), num_pictures)
        for name in ("bits", "known")
    )
    return ClipFacts(
        places=np.array([row.place for row in rows], dtype=np.int64),
        seconds=seconds,
        fps=fps,
        widths=widths,
        heights=heights,
        num_bytes=num_bytes,
        overruns=overruns,
        bits=bits,
        known=known,
        unreadable=tuple(look for look in looks if isinstance(look, Unreadable)),
        num_clips=total,
    )


def _look(split: Split, place: int, *, pictures: bool) -> _Row:
    num_bytes = split.size_of(place)
    with split.open_video(place) as reader:
        first, stop = frames_of_clip(split.annotations, place, reader)
        duration = (stop - first) / (reader.fps or 25.0)
        hashes: list[tuple[int, int]] = []
        if pictures:
            middles = (np.arange(PICTURES) + 0.5) / PICTURES
            wanted = np.minimum(first + (middles * (stop - first)).astype(int), len(reader) - 1)
            hashes = [difference_hash(frame) for frame in reader.get_batch(wanted)]
        overrun = _overrun(split.annotations, place, reader)
        numbers = (duration, reader.fps, reader.width, reader.height, num_bytes, overrun)
    bits, known = zip(*hashes, strict=True) if hashes else ((), ())
    return _Row(place, numbers, bits, known)


def frames_of_clip(clips: Annotations, place: int, reader: VideoReader) -> tuple[int, int]:
    """The first frame of a clip and the one behind its last; of a whole video all, else about its part."""
    total = len(reader)
    if clips.clip_starts is None or clips.clip_ends is None:
        return 0, total
    rate = (reader.fps or 25.0) if clips.clip_unit == "seconds" else 1.0
    start, end = clips.clip_starts[place] * rate, clips.clip_ends[place] * rate
    first = min(0 if np.isnan(start) else int(start), total - 1)
    return first, max(first + 1, total if np.isnan(end) else min(int(end), total))


def _overrun(clips: Annotations, place: int, reader: VideoReader) -> float:
    """Seconds by which a clip's start or end lies behind the end of its video, at least 0."""
    rate = reader.fps or 25.0
    times = (column[place] for column in (clips.clip_starts, clips.clip_ends) if column is not None)
    ends = [time if clips.clip_unit == "seconds" else time / rate for time in times if not np.isnan(time)]
    return max(0.0, max(ends, default=0.0) - len(reader) / rate)


def difference_hash(frame: np.ndarray) -> tuple[int, int]:
    """Where a picture gets brighter from left to right: a hash that size and compression hardly change.

    Args:
        frame: (H, W, 3) uint8.

    Returns:
        64 bits: is each cell of 8 x 8 darker than its right neighbour? And 64 bits: do they differ
        enough to say so?

    Source: the "dHash" of N. Krawetz, "Kind of like that", 2013; that flat places are marked is our own.
    """
    small = cv2.resize(frame, (9, 8), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.int16)
    steps = np.diff(grey, axis=1).ravel()
    return _packed(steps > 0), _packed(np.abs(steps) >= _FLAT)


def _packed(bits: np.ndarray) -> int:
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def iterate_unreadable(split: Split, facts: ClipFacts) -> Iterator[str]:
    """The clips that could not be read, each with its place in the annotations and what is wrong."""
    for clip in facts.unreadable:
        path = split.annotations.paths[clip.place]
        yield clip.error if path in clip.error else f"{path}: {clip.error}"
