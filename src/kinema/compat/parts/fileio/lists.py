"""Text files as lists and dicts, a line an item."""

from collections.abc import Callable
from typing import Any

from kinema.compat.parts.fileio.backends import FilePath
from kinema.compat.parts.fileio.choosing import BackendArgs
from kinema.compat.parts.fileio.handlers import reading
from kinema.errors import KinemaError


def list_from_file(
    filename: FilePath,
    prefix: str = "",
    offset: int = 0,
    max_num: int = 0,
    encoding: str = "utf-8",
    file_client_args: BackendArgs = None,
    backend_args: BackendArgs = None,
) -> list[str]:
    r"""The lines of a text file, without their ends.

    Args:
        filename: path or http(s) address.
        prefix: put before every line.
        offset: number of lines to leave out at the start.
        max_num: at most so many lines; 0 for all.
        encoding: of the file.
        file_client_args: old name of `backend_args`.
        backend_args: see `get`.
    """
    lines = reading(filename, file_client_args, backend_args, "get_text")(filename, encoding).split("\n")
    if lines[-1] == "":  # the end of the last line is no further line
        lines.pop()
    stop = offset + max_num if max_num > 0 else None
    return [prefix + line.rstrip("\r") for line in lines[offset:stop]]


def dict_from_file(
    filename: FilePath,
    key_type: Callable[[str], Any] = str,
    encoding: str = "utf-8",
    file_client_args: BackendArgs = None,
    backend_args: BackendArgs = None,
) -> dict[Any, str | list[str]]:
    """A text file of lines `key value [value ...]` as a dict; several values of a key are a list.

    Raises:
        KinemaError: a line has no value; names file and line.
    """
    mapping: dict[Any, str | list[str]] = {}
    for number, line in enumerate(
        list_from_file(filename, "", 0, 0, encoding, file_client_args, backend_args), start=1
    ):
        key, *values = line.split() if line.strip() else [""]
        if not values:
            raise KinemaError(f"{filename}:{number}: expected 'key value', got {line!r}")
        mapping[key_type(key)] = values[0] if len(values) == 1 else values
    return mapping
