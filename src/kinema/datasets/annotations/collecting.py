"""Clips gathered one by one into columns, for formats that have no faster way; labels as numbers or as names."""

import math
import re
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from kinema.datasets.annotations.class_names import check_class_names
from kinema.datasets.annotations.layout import split_of_name
from kinema.datasets.annotations.records import Annotations
from kinema.datasets.storage.columns import LabelColumn, TextColumn
from kinema.errors import AnnotationError
from kinema.printable import breaks_lines

_SHORT_SPLIT_NAMES = {"tr": "train"}  # in the column of a table; a folder of that name may well be a class
_WHOLE = re.compile(r"(-?\d{1,18})(?:\.0{0,18})?")  # pandas writes 1.0 where the column has gaps


class ClipCollector:
    """Gathers clips; `finish()` turns them into `Annotations`.

    Labels may be texts. Where all are whole numbers (also 1.0), they are class indices; else they
    are class names, in the order of `class_names`, or alphabetical where that is not given, numbers
    by value.

    Args:
        source: the file or folder that is read, for messages.
        format: name of its format.
    """

    def __init__(self, source: Path, format: str) -> None:
        self.source = source
        self.format = format
        self._texts = bytearray()
        self._lengths = array("i")
        self._lines = array("i")
        self._codes: dict[str, int] = {}  # label -> its place in the order of appearance
        self._labels = array("i")
        self._counts = array("i")
        self._starts = array("d")
        self._ends = array("d")
        self._frames = array("q")
        self._offsets = array("q")
        self._split_codes: dict[str, int] = {}
        self._splits = array("i")

    def __len__(self) -> int:
        return len(self._lengths)

    @property
    def has_numbers_alone(self) -> bool:
        """Are all labels so far whole numbers, which can be class indices?"""
        return bool(self._codes) and all(_WHOLE.fullmatch(label) for label in self._codes)

    def add(
        self,
        path: str,
        labels: Sequence[Any],
        *,
        line: int | None = None,
        start: float | None = None,
        end: float | None = None,
        total_frames: int | None = None,
        offset: int | None = None,
        split: str | None = None,
    ) -> None:
        """Add a clip.

        Its path, its class indices or names, the line it stands in, its part of the video,
        and its split.
        """
        content = _path_bytes(path, f"{self.source}" if line is None else f"{self.source}:{line}")
        self._texts += content
        self._lengths.append(len(content))
        if line is not None:
            self._lines.append(line)
        for label in labels:
            self._labels.append(self._codes.setdefault(str(label).strip(), len(self._codes)))
        self._counts.append(len(labels))
        self._starts.append(math.nan if start is None else start)
        self._ends.append(math.nan if end is None else end)
        if total_frames is not None:
            self._frames.append(total_frames)
        if offset is not None:
            self._offsets.append(offset)
        if split is not None:
            name = split_of_name(split.strip()) or _SHORT_SPLIT_NAMES.get(split.strip().lower(), split.strip())
            self._splits.append(self._split_codes.setdefault(name, len(self._split_codes)))

    def finish(
        self,
        class_names: Sequence[str] | None = None,
        *,
        labels_are_names: bool = False,
        clip_unit: Literal["seconds", "frames"] = "seconds",
        video_root: Path | None = None,
        notes: Sequence[str] = (),
    ) -> Annotations:
        """The clips as columns.

        Args:
            class_names: names by class index, when known (from the training split).
            labels_are_names: also those that look like numbers.
            clip_unit: what `start` and `end` count.
            video_root: folder that the paths are relative to, where known.
            notes: see `Annotations`.

        Raises:
            AnnotationError: there are no clips, a clip has no label while others have, a name is
                none of `class_names`, or a clip ends before it begins. Names file and line.
        """
        if not len(self):
            raise AnnotationError(f"{self.source}: holds no clips: expected at least one")
        counts = np.array(self._counts)
        lines = np.array(self._lines, dtype=np.int32) if self._lines else None
        names, numbers = self._number_labels(class_names, labels_are_names, counts, lines)
        starts, ends = np.array(self._starts), np.array(self._ends)
        self._check_clips(starts, ends, lines)
        cut = not (np.isnan(starts).all() and np.isnan(ends).all())
        return Annotations(
            TextColumn.from_lengths(self._texts, np.array(self._lengths, dtype=np.int32)),
            LabelColumn.from_counts(numbers, counts),
            self.source,
            names,
            format=self.format,
            lines=lines,
            video_root=video_root,
            total_frames=np.array(self._frames) if self._frames else None,
            frame_offsets=np.array(self._offsets) if self._offsets else None,
            clip_starts=starts if cut else None,
            clip_ends=ends if cut else None,
            clip_unit=clip_unit,
            splits=np.array(self._splits) if self._splits else None,
            split_names=tuple(self._split_codes),
            notes=tuple(notes),
        )

    def _number_labels(
        self, class_names: Sequence[str] | None, labels_are_names: bool, counts: np.ndarray, lines: np.ndarray | None
    ) -> tuple[tuple[str, ...], np.ndarray]:
        """The class names, and the class index of each label."""
        codes = np.array(self._labels, dtype=np.int64)
        if len(codes) and (counts == 0).any():
            first = int(np.argmax(counts == 0))
            raise AnnotationError(f"{self._place(first, lines)}: the clip has no label, others have: give it one")
        if not labels_are_names and all(_WHOLE.fullmatch(label) for label in self._codes):
            numbers = np.array([int(label.partition(".")[0]) for label in self._codes], dtype=np.int64)
            return tuple(class_names or ()), numbers[codes] if len(codes) else codes
        names = tuple(class_names) if class_names else tuple(sorted(self._codes, key=_by_value))
        index: dict[str, int] = {}
        for place, name in enumerate(names):
            if index.setdefault(name.strip(), place) != place:
                raise AnnotationError(
                    f"{self.source}: two classes are called {name.strip()!r}: expected different names"
                )
        for label, code in self._codes.items():
            if label not in index:
                owner = int(np.repeat(np.arange(len(counts)), counts)[np.argmax(codes == code)])
                check_class_names([label], self._place(owner, lines))
                raise AnnotationError(
                    f"{self._place(owner, lines)}: the label {label!r} is none of the {len(names)} classes: "
                    f"{', '.join(names[:10])}{', ...' if len(names) > 10 else ''}"
                )
        check_class_names(names, str(self.source))
        return names, np.array([index[label] for label in self._codes], dtype=np.int64)[codes]

    def _check_clips(self, starts: np.ndarray, ends: np.ndarray, lines: np.ndarray | None) -> None:
        bad = np.flatnonzero((starts < 0) | (ends <= starts) | (ends <= 0))
        if len(bad):
            first = int(bad[0])
            raise AnnotationError(
                f"{self._place(first, lines)}: the clip goes from {starts[first]:g} to {ends[first]:g}: "
                "expected a start of 0 or above, and an end above it"
            )

    def _place(self, index: int, lines: np.ndarray | None) -> str:
        return str(self.source) if lines is None else f"{self.source}:{lines[index]}"


def _by_value(label: str) -> tuple[float, str]:
    """Numbers in the order of their values, before words."""
    try:
        value = float(label)
    except ValueError:
        value = math.nan
    return (math.inf if math.isnan(value) else value), label


def _path_bytes(path: str, place: str) -> bytes:
    """A path as UTF-8; bytes of a file name that are no UTF-8 stay as they are."""
    if breaks_lines(path):
        raise AnnotationError(
            f"{place}: the name {path!r} has a line break, which no list of clips can hold: rename the file"
        )
    try:
        return path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise AnnotationError(f"{place}: the name {path!r} holds half a character: expected text") from None
