"""Where the library's log goes: the console (stderr) and a file in the work folder."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from kinema.printable import PrintableFormatter

_FORMAT = PrintableFormatter("%(asctime)s - %(name)s - %(levelname)s - %(message)s", datefmt="%m/%d %H:%M:%S")
_logger = logging.getLogger("kinema")
_quiet: list[bool] = []  # an entry for each `only_to_files` that has not ended


class _ConsoleHandler(logging.StreamHandler):
    """Writes to whatever `sys.stderr` is when a record comes, so that redirections work.

    Of several processes the first one writes; the others write errors only.
    """

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self.setFormatter(_FORMAT)

    def filter(self, record: logging.LogRecord) -> Any:
        """Is this record for the console?"""
        if _quiet:
            return False
        is_first = os.environ.get("RANK", "0") == "0"  # which torchrun sets, or joining the run
        return (is_first or record.levelno >= logging.ERROR) and super().filter(record)

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, value: Any) -> None:
        raise AttributeError("the console handler always writes to sys.stderr")


def show_on_console(level: int | str = logging.INFO) -> None:
    """Show the library's records of `level` and above on stderr; calling it again only changes the level."""
    _logger.setLevel(level)
    if not any(isinstance(handler, _ConsoleHandler) for handler in _logger.handlers):
        _logger.addHandler(_ConsoleHandler())


class _FileHandler(logging.FileHandler):
    """A file that cannot be written ends the run; `logging` would print a traceback for each record instead."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            raise error
        super().handleError(record)


@contextmanager
def only_to_files() -> Iterator[None]:
    """Keep records from the console for a while: details that a file may hold, but nobody wants to scroll past."""
    _quiet.append(True)
    try:
        yield
    finally:
        _quiet.pop()


def log_to_file(path: Path) -> logging.Handler:
    """Append the library's records to the file `path`, too.

    Returns the handler, for `stop_logging`.
    """
    handler = _FileHandler(path, encoding="utf-8", delay=True)
    handler.setFormatter(_FORMAT)
    if _logger.level == logging.NOTSET:
        _logger.setLevel(logging.INFO)
    _logger.addHandler(handler)
    return handler


def stop_logging(handler: logging.Handler) -> None:
    """End what `log_to_file` began."""
    _logger.removeHandler(handler)
    with suppress(OSError):  # what a full disk did not take; the run has said so
        handler.close()
