"""Lists of one line a clip.

Its path and its class indices; or its folder of frames, their number and the class indices.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kinema.datasets.annotations.class_names import read_class_names
from kinema.datasets.annotations.lines import MOST_NUMBERS, line_blocks, read_text_bytes, trailing_numbers
from kinema.datasets.annotations.records import Annotations
from kinema.datasets.storage.columns import LabelColumn, TextColumn
from kinema.errors import AnnotationError


def read_list(
    path: str | os.PathLike,
    *,
    delimiter: str = " ",
    multi_label: bool = False,
    class_names: Sequence[str] | None = None,
) -> Annotations:
    """Read one `path label` line a clip; paths may hold spaces, empty lines and lines that start with # are skipped.

    Args:
        path: the list file, UTF-8.
        delimiter: between path and label, one character; the default stands for any white space.
        multi_label: take all numbers at the end of a line as labels, not only the last.
        class_names: names by class index; default: the lines of a file classes.txt beside the list.

    Returns:
        The clips; all without labels when no line has one. A line that comes twice is two clips.

    Raises:
        AnnotationError: the file cannot be read, is empty, or a line has no label while others
            have. Names file and line.
        ValueError: `delimiter` is not one character.
    """
    source = Path(path)
    lines = _read_lines(source, delimiter, None if multi_label else 1, "one 'path label' line a clip")
    first = _odd_line(lines.counts > 0)
    if first is not None:
        hint = "; is it a header? Remove it, or begin it with '#'" if first == 0 else ""
        raise AnnotationError(
            f"{source}:{lines.numbers[first]}: expected 'path label' with a whole-number label, got"
            f" {lines.paths[first]!r}{hint}"
        )
    names = read_class_names(source.parent / "classes.txt") if class_names is None else tuple(class_names)
    labels = LabelColumn.from_counts(lines.values, lines.counts)
    return Annotations(lines.paths, labels, source, names, lines=lines.numbers)


def read_rawframe_list(
    path: str | os.PathLike,
    *,
    with_offset: bool = False,
    delimiter: str = " ",
    multi_label: bool = False,
    class_names: Sequence[str] | None = None,
) -> Annotations:
    """Read one `folder total_frames label` line a clip, or `folder offset total_frames label`.

    Args:
        path: the list file, UTF-8.
        with_offset: the lines say what to add to the numbers of the frames' files.
        delimiter: between the fields, one character; the default stands for any white space.
        multi_label: a clip may have several labels.
        class_names: names by class index; default: the lines of a file classes.txt beside the list.

    Returns:
        The clips; all without labels when no line has one.

    Raises:
        AnnotationError: the file cannot be read, is empty, or a line has too few numbers, or a
            length below 1. Names file and line.
        ValueError: `delimiter` is not one character.
    """
    source = Path(path)
    form = "folder offset total_frames label" if with_offset else "folder total_frames label"
    fixed = 2 if with_offset else 1
    lines = _read_lines(source, delimiter, None if multi_label else fixed + 1, f"one '{form}' line a clip")
    short = np.flatnonzero(lines.counts < fixed)
    first = int(short[0]) if len(short) else _odd_line(lines.counts > fixed)
    if first is not None:
        raise AnnotationError(
            f"{source}:{lines.numbers[first]}: expected '{form}' with whole numbers, got {lines.text_of(first)!r}"
        )
    begins = np.cumsum(lines.counts) - lines.counts
    frames = lines.values[begins + fixed - 1]
    if len(empty := np.flatnonzero(frames < 1)):
        raise AnnotationError(
            f"{source}:{lines.numbers[empty[0]]}: {lines.paths[int(empty[0])]!r} has {frames[empty[0]]} frames: "
            f"expected at least 1 ('{form}')"
        )
    is_label = np.ones(len(lines.values), dtype=bool)
    for field in range(fixed):
        is_label[begins + field] = False
    names = read_class_names(source.parent / "classes.txt") if class_names is None else tuple(class_names)
    return Annotations(
        lines.paths,
        LabelColumn.from_counts(lines.values[is_label], lines.counts - fixed),
        source,
        names,
        format="rawframes",
        lines=lines.numbers,
        total_frames=frames,
        frame_offsets=lines.values[begins] if with_offset else None,
    )


class _Lines:
    """Lines split into a path and the numbers behind it."""

    def __init__(self, paths: TextColumn, values: np.ndarray, counts: np.ndarray, numbers: np.ndarray) -> None:
        self.paths = paths
        self.values = values  # (total,) numbers, line after line
        self.counts = counts  # (N,) how many each line has
        self.numbers = numbers  # (N,) line numbers

    def text_of(self, place: int) -> str:
        """About the line as it was written."""
        begin = int(self.counts[:place].sum())
        return " ".join([self.paths[place], *map(str, self.values[begin : begin + self.counts[place]])])


def _read_lines(source: Path, delimiter: str, most: int | None, expected: str) -> _Lines:
    if len(delimiter) != 1 or not delimiter.isascii():
        raise ValueError(f"the delimiter of a list must be one ASCII character, got {delimiter!r}")
    byte = ord(delimiter) if delimiter.strip() else None
    content = read_text_bytes(source, expected)
    columns: list[list[np.ndarray]] = [[], [], [], [], []]
    for starts, ends, numbers in line_blocks(content, source, expected):
        values, counts, path_ends = trailing_numbers(content, starts, ends, byte, most)
        if most is None and len(counts) and counts.max() >= MOST_NUMBERS:
            line = numbers[int(counts.argmax())]
            raise AnnotationError(f"{source}:{line}: expected {expected}, got {MOST_NUMBERS:,} numbers or more")
        small = values.astype(np.int32) if not len(values) or values.max() < 2**31 else values
        lengths = (path_ends - starts).astype(np.int32)
        block = (starts, lengths, small, counts.astype(np.int32), numbers.astype(np.int32))
        for column, part in zip(columns, block, strict=True):
            column.append(part)
    if not sum(map(len, columns[0])):
        raise AnnotationError(f"{source}: the list is empty: expected {expected}")
    # One column after the other, so that never more than one of them is held twice.
    starts, lengths, values, counts, numbers = (np.concatenate(columns.pop(0)) for _ in range(5))
    return _Lines(TextColumn(content, starts, lengths), values, counts, numbers)


def _odd_line(good: np.ndarray) -> int | None:
    """The first line that is not good, when others are."""
    return int(np.argmin(good)) if good.any() and not good.all() else None
