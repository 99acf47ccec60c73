"""Checking labels against the classes, with the line that a wrong one stands in."""

from pathlib import Path

from kinema.datasets.annotations.records import Annotations, ClipRecord
from kinema.errors import AnnotationError


def check_labels(annotations: Annotations, num_classes: int | None, *, lowest: int = 0) -> None:
    """Require every label to be a class index.

    Args:
        annotations: the clips of one split.
        num_classes: number of classes, N; None when it is not known, which leaves only the lower bound.
        lowest: the least label allowed; -1 lets "not labelled" pass.

    Raises:
        AnnotationError: a label is below `lowest` or above N - 1. Names file and line.
    """
    for record in annotations.records:
        for label in record.labels:
            if label < lowest or (num_classes is not None and label >= num_classes):
                allowed = f"0 to {num_classes - 1} ({num_classes} classes)" if num_classes is not None else "0 or above"
                raise AnnotationError(
                    f"{annotations.source}:{line_of(annotations.source, record)}: label {label} of {record.path!r} "
                    f"is out of range: expected {allowed}"
                )


def line_of(source: Path, record: ClipRecord) -> int:
    """Line of a list file that a record came from; looked for only when there is something to complain about."""
    lines = source.read_text(encoding="utf-8-sig").splitlines() if source.is_file() else []
    words = [str(label) for label in record.labels]
    matching = (n for n, line in enumerate(lines, 1) if _holds(line.strip(), record.path, words))
    return next(matching, 1)


def _holds(line: str, path: str, words: list[str]) -> bool:
    return line.startswith(path) and line[len(path) :].replace(",", " ").split() == words
