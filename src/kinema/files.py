"""Write files that are there whole or not at all, also after a crash or a power cut."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any


@contextmanager
def written_whole(path: str | Path, mode: str = "w", **options: Any) -> Iterator[IO[Any]]:
    """Open a file for writing that replaces `path` when the block ends without an error.

    Until then, and after an error or a kill, `path` is what it was. The bytes are on the disk before the name is. The file's
    permissions follow the umask.

    Args:
        path: of the file to write; its folder must exist.
        mode: "w" (text, UTF-8 unless `options` name another encoding) or "wb".
        options: further arguments of `open`.

    Raises:
        ValueError: `mode` is none of the two.
        OSError: the file cannot be written.
    """
    if mode not in ("w", "wb"):
        raise ValueError(f"mode must be 'w' or 'wb', got {mode!r}")
    target = Path(path)
    if mode == "w":
        options.setdefault("encoding", "utf-8")
    partial = partial_path(target)
    try:
        with partial.open(mode.replace("w", "x"), **options) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def write_text(path: str | Path, text: str, **options: Any) -> None:
    """Write a text file whole or not at all; see `written_whole`."""
    with written_whole(path, **options) as file:
        file.write(text)


def partial_path(path: Path) -> Path:
    """A new name beside `path` for what is not yet complete: `.NAME.<random>.part`."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")


def sync_file(path: str | Path) -> None:
    """Wait until the bytes of a file that another library wrote are on the disk."""
    with Path(path).open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: str | Path) -> None:
    """Wait until the names in a folder are on the disk; does nothing where the system cannot."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folders
        return
    try:
        with suppress(OSError):  # some network file systems refuse
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
