"""Lines of a text file and the numbers at their ends, on arrays of bytes: no Python object a line."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from kinema.datasets.annotations.layout import root_candidates
from kinema.errors import AnnotationError
from kinema.files import open_regular

LARGEST_TEXT = 1 << 32  # bytes of a file; a million clips need a few hundred MB at most
BLOCK_BYTES = 1 << 22  # masks and positions of one block lie in memory at a time
_WINDOW_BYTES = 4096  # how far from the end of a block its last newline is looked for at a time
_USUAL_SPACES = 32  # are looked for in all lines at once, one a turn; more of them line by line
MOST_NUMBERS = 1000  # at the end of a line
MAX_DIGITS = 18  # what fits 64 bits

NEWLINE, RETURN, COMMENT, MINUS = b"\n\r#-"
_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_IS_SPACE = np.zeros(256, dtype=bool)
_IS_SPACE[list(b" \t\r\v\f")] = True


def read_text_bytes(path: Path, expected: str) -> np.ndarray:
    """A text file as (bytes,) uint8; line ends of old Macs become newlines.

    Args:
        path: the file.
        expected: what the file should hold, for messages.

    Raises:
        AnnotationError: it cannot be read, or is no UTF-8 text. Names file and line.
    """
    try:
        with open_regular(path) as file:
            num_bytes = os.fstat(file.fileno()).st_size
            if num_bytes > LARGEST_TEXT:
                raise AnnotationError(
                    f"{path}: has {num_bytes:,} bytes, expected {expected} of at most {LARGEST_TEXT:,}: divide it"
                )
            content = np.fromfile(file, dtype=np.uint8)
    except OSError as error:
        raise AnnotationError(f"{path}: the annotation file cannot be read: {error.strerror or error}") from error
    head = content[:3].tobytes()
    if head.startswith(_UTF16_MARKS):
        raise AnnotationError(f"{path}: expected {expected} in UTF-8, got UTF-16 text: save it as UTF-8")
    if head == _UTF8_MARK:
        content = content[3:]
    if not (content[:BLOCK_BYTES] == NEWLINE).any() and (content[:BLOCK_BYTES] == RETURN).any():
        content[content == RETURN] = NEWLINE
    return content


def line_blocks(content: np.ndarray, path: Path, expected: str) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The lines that hold something, some thousands at a time.

    Args:
        content: (bytes,) uint8, the text.
        path: the file, for messages.
        expected: what the file should hold, for messages.

    Yields:
        (n,) first bytes, (n,) bytes behind the last, white space at both ends left out; (n,) line
        numbers from 1. Empty lines and those that begin with # are left out.

    Raises:
        AnnotationError: the text is no UTF-8. Names file and line.
    """
    position, number = 0, 1
    while position < len(content):
        stop = _end_of_block(content, position)
        block = content[position:stop]
        newlines = np.flatnonzero(block == NEWLINE)
        _check_encoding(block, newlines, number, path, expected)
        starts = np.concatenate([[0], newlines + 1]) + position
        ends = np.concatenate([newlines, [len(block)]]) + position
        numbers = np.arange(number, number + len(starts))
        position, number = stop, number + len(newlines)
        starts, ends = strip(content, starts, ends)
        keep = (ends > starts) & (content[np.minimum(starts, len(content) - 1)] != COMMENT)
        yield starts[keep], ends[keep], numbers[keep]


def check_utf8(content: np.ndarray, path: Path, expected: str) -> None:
    """Require the text to be UTF-8.

    Raises:
        AnnotationError: it is not. Names file and line.
    """
    position, number = 0, 1
    while position < len(content):
        stop = _end_of_block(content, position)
        newlines = np.flatnonzero(content[position:stop] == NEWLINE)
        _check_encoding(content[position:stop], newlines, number, path, expected)
        position, number = stop, number + len(newlines)


def _end_of_block(content: np.ndarray, position: int) -> int:
    """Behind the last newline of the block that begins at `position`."""
    stop = position + BLOCK_BYTES
    while stop < len(content):
        begin = max(position, stop - _WINDOW_BYTES)
        newlines = np.flatnonzero(content[begin:stop] == NEWLINE)
        if len(newlines):
            return int(begin + newlines[-1] + 1)
        stop += _WINDOW_BYTES
    return len(content)


def _check_encoding(block: np.ndarray, newlines: np.ndarray, number: int, path: Path, expected: str) -> None:
    if not len(block) or (block.max() < 128 and block.min() > 0):
        return
    try:
        text = block.tobytes().decode("utf-8")
        if "\0" not in text:
            return
        place, problem = text.index("\0"), "a zero byte: is it a binary file?"
        line = number + text.count("\n", 0, place)
    except UnicodeDecodeError as error:
        place = int(np.searchsorted(newlines, error.start))
        line = number + place
        start = newlines[place - 1] + 1 if place else 0
        end = newlines[place] if place < len(newlines) else len(block)
        if b"\0" not in block.tobytes() and _names_a_file(path, block[start:end].tobytes()):
            return  # the bytes are those of its name
        problem = "bytes that are no UTF-8 text: save it as UTF-8"
    raise AnnotationError(f"{path}:{line}: expected a text file with {expected}, got {problem}")


def _names_a_file(source: Path, line: bytes) -> bool:
    """Does a line that is not UTF-8 name a file that is there? The name of a file may be any bytes."""
    if len(line) > _WINDOW_BYTES:
        return False
    text = line.decode("utf-8", "surrogateescape").strip()
    names = [text, *(text.rsplit(None, count)[0] for count in range(1, 5))]
    names += [field.strip(' \t"') for delimiter in ",;\t|" for field in text.split(delimiter)]
    for name in dict.fromkeys(name for name in names if name):
        with suppress(OSError, ValueError):  # too long a name
            if any((folder / name).exists() for folder in root_candidates(source)):
                return True
    return False


def strip(content: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Leave white space out at both ends of the spans."""
    starts, ends = starts.copy(), strip_right(content, starts, ends)
    active = np.flatnonzero(ends > starts)
    for _ in range(_USUAL_SPACES):
        active = active[_IS_SPACE[content[starts[active]]]]
        if not len(active):
            return starts, ends
        starts[active] += 1
        active = active[starts[active] < ends[active]]
    for place in active.tolist():
        starts[place] = _skip_spaces(content, int(starts[place]), int(ends[place]))
    return starts, ends


def strip_right(content: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Ends of the spans without white space before them."""
    ends = ends.copy()
    active = np.flatnonzero(ends > starts)
    for _ in range(_USUAL_SPACES):
        active = active[_IS_SPACE[content[ends[active] - 1]]]
        if not len(active):
            return ends
        ends[active] -= 1
        active = active[ends[active] > starts[active]]
    for place in active.tolist():
        turned = content[starts[place] : ends[place]][::-1]
        ends[place] -= _skip_spaces(turned, 0, len(turned))
    return ends


def _skip_spaces(content: np.ndarray, start: int, end: int) -> int:
    """The first place from `start` on that is no white space; looks at little more than the white space."""
    step = _USUAL_SPACES
    while start < end:
        others = ~_IS_SPACE[content[start : min(start + step, end)]]
        if others.any():
            return start + int(others.argmax())
        start += len(others)
        step *= 2
    return end


def last_numbers(
    content: np.ndarray, starts: np.ndarray, ends: np.ndarray, delimiter: int | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The whole number at the end of each span, where there is one behind a delimiter and something before that.

    Args:
        content: (bytes,) uint8.
        starts: (n,) first bytes of the spans, no white space.
        ends: (n,) bytes behind the last, which are no white space.
        delimiter: the byte before the number; None: any white space.

    Returns:
        (n,) bool whether there is one, (n,) int64 numbers, (n,) ends of what comes before:
        unchanged where there is none.
    """
    values = np.zeros(len(ends), dtype=np.int64)
    places = ends - 1  # the byte that is looked at
    active = np.arange(len(ends))
    power = 1
    for _ in range(MAX_DIGITS):
        digits = content[places[active]].astype(np.int64) - ord("0")
        good = (digits >= 0) & (digits <= 9)
        active, digits = active[good], digits[good]
        values[active] += digits * power
        places[active] -= 1
        active = active[places[active] >= starts[active]]
        power *= 10
        if not len(active):
            break
    has_delimiter = (places < ends - 1) & (places > starts)
    negative = has_delimiter & (content[places] == MINUS)
    values[negative] *= -1
    places[negative] -= 1
    has_delimiter &= places > starts
    if delimiter is None:
        has_delimiter &= _IS_SPACE[content[places]]
    else:
        places = strip_right(content, starts, places + 1) - 1
        has_delimiter &= (content[places] == delimiter) & (places > starts)
    before = strip_right(content, starts, np.where(has_delimiter, places, ends))
    has_delimiter &= before > starts
    return has_delimiter, np.where(has_delimiter, values, 0), np.where(has_delimiter, before, ends)


def trailing_numbers(
    content: np.ndarray, starts: np.ndarray, ends: np.ndarray, delimiter: int | None, most: int | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All whole numbers at the end of each span, at most `most`, and at most `MOST_NUMBERS`.

    Returns:
        (total,) int64 numbers, span after span, each in the order of its line; (n,) how many each
        span has; (n,) ends of what comes before them.
    """
    counts = np.zeros(len(ends), dtype=np.int64)
    active = np.arange(len(ends))
    ends = ends.copy()
    spans: list[np.ndarray] = []
    values: list[np.ndarray] = []
    most = MOST_NUMBERS if most is None else most
    while len(active) and len(spans) < most:
        has_number, numbers, before = last_numbers(content, starts[active], ends[active], delimiter)
        active = active[has_number]
        ends[active] = before[has_number]
        counts[active] += 1
        spans.append(active)
        values.append(numbers[has_number])
    if not spans:
        return np.zeros(0, dtype=np.int64), counts, ends
    if len(spans) == 1:
        return values[0], counts, ends
    rounds = np.concatenate([np.full(len(span), -place) for place, span in enumerate(spans)])
    order = np.lexsort((rounds, np.concatenate(spans)))
    return np.concatenate(values)[order], counts, ends
