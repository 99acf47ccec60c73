"""Lists: one line a clip, its path and its class indices."""

import os
import re
from pathlib import Path

from kinema.datasets.annotations.records import Annotations, ClipRecord
from kinema.errors import AnnotationError

_NUMBER = re.compile(r"-?\d+")


def read_list(path: str | os.PathLike, *, delimiter: str = " ", multi_label: bool = False) -> Annotations:
    """Read one `path label` line a clip; paths may hold spaces, empty lines and lines that start with # are skipped.

    Args:
        path: the list file.
        delimiter: between path and label; the default stands for any white space.
        multi_label: take all numbers at the end of a line as labels, not only the last.

    Returns:
        The clips; all without labels when no line has one.

    Raises:
        AnnotationError: the file cannot be read, is empty, or a line has no label while others have. Names file and line.
    """
    source = Path(path)
    lines = _read_lines(source)
    records: list[ClipRecord] = []
    numbers: list[int] = []
    for number, line in lines:
        records.append(_parse(line, delimiter, multi_label))
        numbers.append(number)
    labelled = [bool(record.labels) for record in records]
    if any(labelled) and not all(labelled):
        first = labelled.index(False)
        hint = "; is it a header? Remove it, or begin it with '#'" if first == 0 else ""
        raise AnnotationError(
            f"{source}:{numbers[first]}: expected 'path label' with a whole-number label, got {records[first].path!r}{hint}"
        )
    return Annotations(records, source, read_class_names(source.parent / "classes.txt"))


def read_class_names(path: Path) -> tuple[str, ...]:
    """Class names, one a line, in the order of the class indices; empty when there is no such file."""
    if not path.is_file():
        return ()
    return tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())


def _read_lines(source: Path) -> list[tuple[int, str]]:
    try:
        text = source.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise AnnotationError(f"{source}: the annotation file cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise AnnotationError(
            f"{source}: expected a text file with one 'path label' line a clip, got bytes that are no UTF-8 text"
        ) from error
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if not lines:
        raise AnnotationError(f"{source}: the list is empty: expected one 'path label' line a clip")
    return lines


def _parse(line: str, delimiter: str, multi_label: bool) -> ClipRecord:
    """`path label [label ...]` -> record; the path keeps the delimiters it holds."""
    rest = line
    labels: list[int] = []
    while not labels or multi_label:
        head, _, last = rest.rpartition(delimiter) if delimiter.strip() else _split_last(rest)
        if not (head.strip() and _NUMBER.fullmatch(last.strip())):
            break
        labels.append(int(last))
        rest = head.strip()
    return ClipRecord(rest, tuple(reversed(labels)))


def _split_last(text: str) -> tuple[str, str, str]:
    """Like `rpartition`, at the last run of white space."""
    parts = text.rsplit(maxsplit=1)
    return (parts[0], " ", parts[1]) if len(parts) == 2 else ("", "", text)
