"""Read regular files alone; write files that are there whole or not at all, also after a crash or a power cut."""

import errno
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO

_KINDS = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


def open_regular(path: str | Path) -> BinaryIO:
    """Open a file for reading bytes, if it is a regular one: reading from a pipe, a socket or a device may never end.

    Raises:
        OSError: there is no such file, it cannot be read, or is no regular file.
    """
    _require_regular(Path(path).stat().st_mode, path)  # opening a device may act on it
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        _require_regular(os.fstat(descriptor).st_mode, path)  # it may have been put in the other's place
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _require_regular(mode: int, path: str | Path) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "no file")
        raise OSError(errno.EINVAL, f"is {kind}, expected a regular file", str(path))


def read_bytes(path: str | Path, limit: int | None = None) -> bytes:
    """The bytes of a regular file, or the first `limit` of them; see `open_regular`."""
    with open_regular(path) as file:
        return file.read(-1 if limit is None else limit)


def read_text(path: str | Path, encoding: str = "utf-8", errors: str = "strict") -> str:
    """The text of a regular file, with line breaks as they are there; see `open_regular`.

    Raises:
        OSError: as `open_regular` does.
        UnicodeDecodeError: it is no such text.
    """
    return read_bytes(path).decode(encoding, errors)


@contextmanager
def written_whole(path: str | Path, mode: str = "w", **options: Any) -> Iterator[IO[Any]]:
    """Open a file for writing that replaces `path` when the block ends without an error.

    Until then, and after an error or a kill, `path` is what it was. The bytes are on the disk
    before the name is. The file's permissions follow the umask.

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
    except BaseException as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and str(error.filename) == str(partial):
            error.filename = str(target)  # the name that the caller knows
        raise
    sync_folder(target.parent)


def write_text(path: str | Path, text: str, **options: Any) -> None:
    """Write a text file whole or not at all; see `written_whole`."""
    with written_whole(path, **options) as file:
        file.write(text)


def partial_path(path: Path, *, keep_suffix: bool = False) -> Path:
    """A new name beside `path` for what is not yet complete: `.NAME.<random>.part`.

    Args:
        path: of the complete file.
        keep_suffix: end in the suffix of `path`, as libraries need it that choose a format by it:
            `.part-<random>-NAME`.
    """
    random = secrets.token_hex(4)
    return path.with_name(f".part-{random}-{path.name}" if keep_suffix else f".{path.name}.{random}.part")


def rename_complete(partial: Path, target: Path) -> None:
    """Give a complete file that another library wrote its name; its bytes are on the disk before the name is."""
    sync_file(partial)
    partial.replace(target)
    sync_folder(target.parent)


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


_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# What is left of these errors where safetensors or torch wrote.
_NO_ROOM_TEXT = re.compile(
    r"No space left on device|Disk quota exceeded|File too large|os error (28|122|27)\b"
    r"|inline_container\.cc.*unexpected pos|PytorchStreamWriter failed writing",
    re.DOTALL,
)


def lacks_room(error: BaseException) -> bool:
    """Does an error, or one that it came from, say that the disk, a quota or a limit of size is exhausted?"""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        if (isinstance(current, OSError) and current.errno in _NO_ROOM) or _NO_ROOM_TEXT.search(str(current)):
            return True
        current = current.__cause__ or current.__context__
    return False


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
