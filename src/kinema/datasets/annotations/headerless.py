"""Lists and tables without a header: where the path of a line ends, and what stands behind it."""

import csv
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kinema.datasets.annotations.class_names import read_class_names
from kinema.datasets.annotations.collecting import ClipCollector
from kinema.datasets.annotations.delimited import DELIMITERS
from kinema.datasets.annotations.layout import root_candidates
from kinema.datasets.annotations.lines import check_utf8, read_text_bytes
from kinema.datasets.annotations.records import Annotations
from kinema.datasets.annotations.tables import looks_like_header
from kinema.errors import AnnotationError
from kinema.files import read_bytes
from kinema.video.suffixes import has_video_suffix

_HEAD_BYTES = 1 << 16  # of the file that are looked at
_HEAD_LINES = 200
_LONGEST_LINE = 4096  # a longer one is no list
_NUMBER = re.compile(r"[-+]?\d{1,18}(?:\.\d{0,18})?")
_WHOLE = re.compile(r"-?\d{1,18}")
_WHOLE_AS_FLOAT = re.compile(r"(-?\d{1,18})(?:\.0{0,18})?")
_TOKEN = re.compile(r"\S+")
_LEAST_FRAMES = 8  # the middle one of numbers of frames is at least this
_EXPECTED = "one 'path label' line a clip"
_GIVE_HEADER = "give the file a header line"


@dataclass(frozen=True)
class Layout:
    """How the lines of a file look.

    Attributes:
        delimiter: between the fields; a space stands for any white space.
        columns: what stands behind the path: `label`, `name` (a label as a word), `total_frames`,
            `start_seconds`, `end_seconds`.
        is_plain: `read_list` reads it: whole numbers behind paths without quotes.
        problem: why the columns cannot be named.
    """

    delimiter: str
    columns: tuple[str, ...]
    is_plain: bool = False
    problem: str | None = None


def find_layout(path: Path) -> Layout | None:
    """How the first lines of a file look; None when they are no list of paths with something behind them."""
    try:
        head = read_bytes(path, _HEAD_BYTES)
    except OSError:
        return None  # whoever reads it says so
    lines = _first_lines(head)
    if not lines or max(map(len, lines)) > _LONGEST_LINE:
        return None
    for delimiter in (*DELIMITERS, " "):
        rows = [_split(line, delimiter) for line in lines]
        counts = [_num_numbers(row) for row in rows]
        if min(counts) > 0:
            return _numbered_layout(path, delimiter, rows, min(counts))
    for delimiter in (*DELIMITERS, " "):
        named = [_split_name(line, delimiter) for line in lines]
        if all(named):
            return Layout(delimiter, ("name",))
    return None


def has_header(path: Path) -> bool:
    """Is the first line of a file names of columns, with a delimiter of tables between them?"""
    try:
        lines = _first_lines(read_bytes(path, _HEAD_BYTES))
    except OSError:
        return False
    if not lines or len(lines[0]) > _LONGEST_LINE:
        return False
    fields = _split(lines[0], max(DELIMITERS, key=lines[0].count))
    return len(fields) > 1 and looks_like_header(fields)


def lists_frame_folders(path: Path) -> bool:
    """Does the first line name a folder that is there, and two or more numbers? A list of videos names files."""
    try:
        lines = _first_lines(read_bytes(path, _HEAD_BYTES))
    except OSError:
        return False  # whoever reads it says so
    if not lines or len(lines[0]) > _LONGEST_LINE:
        return False
    for delimiter in (*DELIMITERS, " "):
        fields = _split(lines[0], delimiter)
        count = _num_numbers(fields)
        if count > 1:
            spans = [match.span() for match in _TOKEN.finditer(lines[0])]
            name = delimiter.join(fields[:-count]) if delimiter != " " else lines[0][: spans[-count - 1][1]]
            return any((folder / name).is_dir() for folder in root_candidates(path))
    return False


def _first_lines(head: bytes) -> list[str]:
    text = head.decode("utf-8-sig", "surrogateescape")
    text = text.replace("\r\n", "\n") if "\n" in text else text.replace("\r", "\n")
    lines = text.split("\n")
    if len(head) == _HEAD_BYTES:
        lines.pop()  # is cut off
    return [stripped for line in lines if (stripped := line.strip()) and not stripped.startswith("#")][:_HEAD_LINES]


def _split(line: str, delimiter: str) -> list[str]:
    """All fields of a line; the first ones may be pieces of a path that holds the delimiter."""
    if delimiter == " ":
        return line.split()
    if '"' in line:
        return [field.strip() for field in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True))]
    return [field.strip() for field in line.split(delimiter)]


def _num_numbers(fields: Sequence[str]) -> int:
    """How many fields at the end are numbers; the first field is none."""
    count = 0
    while count < len(fields) - 1 and _NUMBER.fullmatch(fields[-1 - count]):
        count += 1
    return count


def _numbered_layout(path: Path, delimiter: str, rows: Sequence[Sequence[str]], most: int) -> Layout:
    """The columns of lines that end in at least `most` numbers."""
    counts = (
        count for count in range(1, most + 1) if all(has_video_suffix(row[-1 - count].strip("\"'")) for row in rows)
    )
    count = next(counts, 1)
    numbers = [[float(field) for field in row[-count:]] for row in rows]
    if count == 1:
        fields = [row[-1] for row in rows]
        problem = None if all(map(_WHOLE_AS_FLOAT.fullmatch, fields)) else "the number behind the path is not whole"
        is_plain = all(map(_WHOLE.fullmatch, fields)) and not _has_quotes(path, delimiter, rows)
        return Layout(delimiter, ("label",), is_plain, problem)
    has_fraction = any(not number.is_integer() for row in numbers for number in row[:2])
    if count == 2 and not has_fraction and _are_lengths(numbers):
        return Layout(delimiter, ("total_frames", "label"))
    if count == 3 and has_fraction and all(end > start and label.is_integer() for start, end, label in numbers):
        return Layout(delimiter, ("start_seconds", "end_seconds", "label"))
    return Layout(delimiter, (), problem=_PROBLEMS.get(count, f"{count} numbers stand behind each path"))


_PROBLEMS = {
    2: (
        "two numbers stand behind each path: are they 'start end', 'num_frames label', or two labels"
        " (multi_label=True)?"
    ),
    3: "three numbers stand behind each path: are they 'start end label', in seconds or in frames?",
}


def _are_lengths(numbers: Sequence[Sequence[float]]) -> bool:
    """Is the first of two numbers a number of frames and the second a class index?

    Of starts and ends the second is greater.
    """
    frames = sorted(row[0] for row in numbers)
    greater = sum(row[0] > row[1] for row in numbers)
    return (
        frames[len(frames) // 2] >= _LEAST_FRAMES and 2 * greater > len(numbers) and all(row[1] >= 0 for row in numbers)
    )


def _has_quotes(path: Path, delimiter: str, rows: Sequence[Sequence[str]]) -> bool:
    if delimiter == " ":
        return all(row[0][:1] in "\"'" and row[-2][-1:] == row[0][:1] for row in rows)
    try:
        return b'"' in read_bytes(path)  # only the paths that hold the delimiter may be quoted
    except OSError:
        return False


def _split_name(line: str, delimiter: str) -> tuple[str, str] | None:
    """The path of a video and the word or words behind it."""
    if delimiter != " ":
        fields = _split(line, delimiter)
        return (fields[0], fields[1]) if len(fields) == 2 and fields[1] and has_video_suffix(fields[0]) else None
    tokens = [match.span() for match in _TOKEN.finditer(line)]
    for begin, end in reversed(tokens[:-1]):
        if has_video_suffix(line[begin:end].strip("\"'")):
            return _unquoted(line[:end]), line[end:].strip()
    return None


def _unquoted(path: str) -> str:
    return path[1:-1] if len(path) > 1 and path[0] == path[-1] and path[0] in "\"'" else path


def read_headerless(
    path: str | os.PathLike,
    *,
    class_names: Sequence[str] | None = None,
) -> Annotations:
    """Read lines of a path and what stands behind it.

    Lists with a whole number behind it `read_list` reads faster.

    The lines are of one of these forms, with white space, tabs, commas, semicolons or | between the
    fields: `path label` with a label such as `1.0`, a word, or a path in quotes;
    `path num_frames label`; `path start end label` in seconds. A file of which this cannot be
    decided needs a header.

    Args:
        path: the file, UTF-8.
        class_names: names by class index; default: for numbers the lines of a file classes.txt
            beside the list, for words these in alphabetical order.

    Raises:
        AnnotationError: the file cannot be read, its columns cannot be named, or a line differs
            from the first ones. Names file and line.
    """
    source = Path(path)
    layout = find_layout(source)
    if layout is None or layout.problem is not None:
        problem = "the lines are no paths with something behind them" if layout is None else layout.problem
        raise AnnotationError(
            f"{source}: expected 'path label' lines; {problem}: {_GIVE_HEADER}, such as path,label or"
            " path,start,end,label"
        )
    clips = ClipCollector(source, "headerless")
    for number, line in _lines(source):
        fields = _read_line(line, layout)
        if fields is None:
            form = " ".join(("path", *layout.columns)).replace("name", "label").replace("total_frames", "num_frames")
            raise AnnotationError(f"{source}:{number}: expected '{form}' as in the first lines, got {line[:200]!r}")
        name, values = fields
        label = values[-1]
        match = None if layout.columns[-1] == "name" else _WHOLE_AS_FLOAT.fullmatch(label)
        start, end = (float(values[0]), float(values[1])) if len(values) == 3 else (None, None)
        clips.add(name, (label if match is None else match[1],), line=number, start=start, end=end)
    by_word = layout.columns[-1] == "name"
    names = class_names or (None if by_word else read_class_names(source.parent / "classes.txt")) or None
    note = f"no header: read as path, {', '.join(layout.columns)}"
    return clips.finish(names, labels_are_names=by_word, notes=(note.replace("name", "label"),))


def _lines(source: Path) -> Iterator[tuple[int, str]]:
    content = read_text_bytes(source, _EXPECTED)
    check_utf8(content, source, _EXPECTED)
    for number, line in enumerate(content.tobytes().split(b"\n"), start=1):
        text = line.decode("utf-8", "surrogateescape").strip()
        if text and not text.startswith("#"):
            yield number, text


def _read_line(line: str, layout: Layout) -> tuple[str, list[str]] | None:
    """The path and the fields behind it; None when the line does not have them."""
    if len(line) > _LONGEST_LINE:
        return None
    if layout.columns == ("name",):
        named = _split_name(line, layout.delimiter)
        return None if named is None else (named[0], [named[1]])
    count = len(layout.columns)
    if layout.delimiter == " ":
        fields = line.rsplit(None, count)
    elif '"' in line:
        fields = _split(line, layout.delimiter)
    else:
        fields = [field.strip() for field in line.rsplit(layout.delimiter, count)]
    if len(fields) != count + 1 or not all(map(_NUMBER.fullmatch, fields[1:])):
        return None
    if _WHOLE_AS_FLOAT.fullmatch(fields[-1]) is None:
        return None
    return _unquoted(fields[0]), fields[1:]
