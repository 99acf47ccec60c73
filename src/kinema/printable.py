"""Text of others made safe to show: names of files and classes, keys of checkpoints, answers of servers.

Such text may hold characters that act on a terminal (colours, titles, the cursor), turn the
direction of a line, or begin a new line of a log. They are shown as escapes, never sent.
"""

import logging
import re
from os import PathLike, fspath
from typing import Any

# Control characters, separators of lines and paragraphs, marks that turn the direction of text or
# that nobody sees, lone halves of surrogate pairs (bytes of a file name that are no UTF-8). The
# joiners U+200C and U+200D stay: Persian and emoji need them.
_UNSHOWN = (
    "\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e0fff\ud800-\udfff"
)
# With these a spreadsheet takes the text of a cell for a formula, which may run programs.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - their wide forms too
_UNSHOWN_CHARACTER = re.compile(f"[{_UNSHOWN}]")


def printable(text: object, *, keep: str = "") -> str:
    r"""`text` as it can be shown on one line of a terminal: `\x1b` for the escape character, `\n` for a line break.

    Args:
        text: what to show; its `str()` is taken.
        keep: characters that stay, such as line breaks of a text that has several lines.
    """
    return _UNSHOWN_CHARACTER.sub(lambda match: match[0] if match[0] in keep else _escape(match[0]), str(text))


def first_line(error: BaseException) -> str:
    """The part of another library's error that fits into a message of one line."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


def plural(count: int, noun: str) -> str:
    """Such as "1 clip", "2 clips"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}{'es' if noun.endswith('s') else 's'}"


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # what Python makes of a byte that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    named = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
    if character in named:
        return named[character]
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def breaks_lines(name: str) -> bool:
    """Does a name hold a character that ends a line for some program? No list of names can hold it."""
    return name.splitlines() not in ([name], [])


def is_formula(text: str) -> bool:
    """Would a spreadsheet take a cell with this text for a formula?"""
    return text.lstrip(" ").startswith(_FORMULA_STARTS)


class PrintableFormatter(logging.Formatter):
    """A formatter whose messages cannot act on a terminal or forge lines of a log.

    Texts that are filled into a message are shown on one line; line breaks that the message itself
    has stay.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        if isinstance(record.args, tuple) and record.args:
            message = str(record.msg) % tuple(map(_shown, record.args))
        elif isinstance(record.args, dict) and record.args:
            message = str(record.msg) % {key: _shown(value) for key, value in record.args.items()}
        else:
            message = record.message
        shown = logging.makeLogRecord(record.__dict__ | {"message": printable(message, keep="\n\t")})
        return super().formatMessage(shown)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        return printable(super().formatException(ei), keep="\n\t")


def _shown(value: Any) -> Any:
    """A value to be filled into a message: numbers stay, for `%d` and `%.3f`."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, PathLike):
        return printable(fspath(value))
    return printable(value) if isinstance(value, BaseException) else value
