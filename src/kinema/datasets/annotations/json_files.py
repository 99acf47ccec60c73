"""JSON: a list of objects, one a clip; JSON lines: one object a line."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kinema.datasets.annotations.lines import check_utf8, read_text_bytes
from kinema.datasets.annotations.records import Annotations
from kinema.datasets.annotations.tables import collect_rows, find_columns
from kinema.errors import AnnotationError

LIST_KEYS = ("data_list", "annotations", "clips", "videos", "samples", "data", "items")


def read_json(
    path: str | os.PathLike,
    *,
    multi_label: bool = False,
    columns: Mapping[str, str] | None = None,
    class_names: Sequence[str] | None = None,
) -> Annotations:
    """Read `[{"path": ..., "label": ...}, ...]`, or an object that holds such a list.

    Its `metainfo.classes` name the classes.

    Args:
        path: the file, UTF-8.
        multi_label: a label text holds several, separated by | ; or , (a list of labels is always
            taken as several).
        columns: keys where they cannot be found out, e.g. `dict(path="clip", label="verb")`; see
            `COLUMN_NAMES`.
        class_names: names by class index, when known.

    Raises:
        AnnotationError: the file cannot be read, is no JSON or holds no such list, or a value is
            wrong. Names the file, and the line or the number of the object.
    """
    source = Path(path)
    content = load_json(source)
    objects: Any = content
    if isinstance(content, Mapping):
        objects = next((content[key] for key in LIST_KEYS if isinstance(content.get(key), list)), None)
        classes = content.get("metainfo", {}).get("classes") if isinstance(content.get("metainfo"), Mapping) else None
        class_names = class_names or _names(classes or content.get("classes") or [], source)
    if not isinstance(objects, list) or not all(isinstance(entry, Mapping) for entry in objects):
        raise AnnotationError(
            f'{source}: expected a list of objects such as {{"path": "a.mp4", "label": 0}}, or an object with such a'
            " list "
            f"under {', '.join(map(repr, LIST_KEYS))}"
        )
    return _collect(source, "json", list(enumerate(objects, start=1)), multi_label, columns, class_names)


def read_jsonl(
    path: str | os.PathLike,
    *,
    multi_label: bool = False,
    columns: Mapping[str, str] | None = None,
    class_names: Sequence[str] | None = None,
) -> Annotations:
    """Read one JSON object a line, such as `{"path": "a.mp4", "label": "waving"}`.

    Args:
        path: the file, UTF-8.
        multi_label: see `read_json`.
        columns: see `read_json`.
        class_names: names by class index, when known.

    Raises:
        AnnotationError: the file cannot be read, a line is no JSON object, or a value is wrong.
            Names file and line.
    """
    source = Path(path)
    return _collect(source, "jsonl", list(_objects(source)), multi_label, columns, class_names)


def holds_clips(path: Path) -> bool:
    """Is this JSON file annotations, not a config? It is a list, or an object with a list of clips and no model."""
    try:
        content = load_json(path)
    except AnnotationError:
        return False  # whoever reads it says it
    if isinstance(content, Mapping):
        return "model" not in content and any(isinstance(content.get(key), list) for key in LIST_KEYS)
    return isinstance(content, list)


def load_json(source: Path) -> Any:
    """What a JSON file holds.

    Raises:
        AnnotationError: it cannot be read, is empty or no JSON. Names file and line.
    """
    content = read_text_bytes(source, "JSON")
    check_utf8(content, source, "JSON")
    if not len(content):
        raise AnnotationError(f"{source}: the file is empty: expected JSON")
    return parse_json(content.tobytes(), source, "JSON")


def parse_json(content: bytes, source: Path, expected: str, line: int | None = None) -> Any:
    """The value that JSON text holds.

    Args:
        content: UTF-8.
        source: its file, for messages.
        expected: what it should be, for messages.
        line: where in the file it stands, if it is one line of it.

    Raises:
        AnnotationError: it is no JSON, is nested too deep, or holds a number of thousands of
            digits. Names file and line.
    """
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        raise AnnotationError(f"{source}:{line or error.lineno}: expected {expected}: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        place = source if line is None else f"{source}:{line}"
        what = (
            "lists or objects nested too deep" if isinstance(error, RecursionError) else "a number of too many digits"
        )
        raise AnnotationError(f"{place}: expected {expected}, got {what}") from None


def _names(classes: Any, source: Path) -> Sequence[str]:
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise AnnotationError(f"{source}: 'classes' must be a list of names, in the order of the class indices")
    return [name.strip() for name in classes]


def _objects(source: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    content = read_text_bytes(source, "one JSON object a line")
    check_utf8(content, source, "one JSON object a line")
    for line, text in enumerate(content.tobytes().split(b"\n"), start=1):
        if not text.strip():
            continue
        entry = parse_json(text, source, "one JSON object a line", line)
        if not isinstance(entry, Mapping):
            raise AnnotationError(f"{source}:{line}: expected one JSON object a line, got {type(entry).__name__}")
        yield line, entry


def _collect(
    source: Path,
    format: str,
    rows: Sequence[tuple[int, Mapping[str, Any]]],
    multi_label: bool,
    columns: Mapping[str, str] | None,
    class_names: Sequence[str] | None,
) -> Annotations:
    if not rows:
        raise AnnotationError(f"{source}: holds no clips: expected at least one object")
    keys = list(dict.fromkeys(key for _, row in rows for key in row))  # rows may leave keys out
    by_role = find_columns(keys, columns, f"{source}:{rows[0][0]}")
    return collect_rows(source, format, rows, by_role, multi_label=multi_label, class_names=class_names)
