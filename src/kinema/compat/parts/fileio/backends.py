"""Where files may be, local or on the web, and the register of users' own places: `mmengine.fileio.backends`."""

import os
import shutil
import tempfile
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

FilePath = str | os.PathLike[str]
Suffix = str | tuple[str, ...] | None


class BaseStorageBackend(ABC):
    """Reads files from one kind of place. A subclass may write and list them as well, as `LocalBackend` does."""

    _allow_symlink = False

    @property
    def allow_symlink(self) -> bool:
        """Whether it can make symbolic links."""
        return self._allow_symlink

    @property
    def name(self) -> str:
        """Of its class."""
        return type(self).__name__

    @abstractmethod
    def get(self, filepath: Any) -> bytes:
        """The content of a file."""

    @abstractmethod
    def get_text(self, filepath: Any, encoding: str = "utf-8") -> str:
        """The content of a file as text."""


class LocalBackend(BaseStorageBackend):
    """Files of this machine."""

    _allow_symlink = True

    def get(self, filepath: FilePath) -> bytes:
        """The content of a file."""
        return Path(filepath).read_bytes()

    def get_text(self, filepath: FilePath, encoding: str = "utf-8") -> str:
        """The content of a file as text, its line ends as Python reads them."""
        return Path(filepath).read_text(encoding=encoding)

    def put(self, obj: bytes, filepath: FilePath) -> None:
        """Write bytes to a file; its folder is made."""
        _make_folder_of(filepath).write_bytes(obj)

    def put_text(self, obj: str, filepath: FilePath, encoding: str = "utf-8") -> None:
        """Write text to a file; its folder is made."""
        _make_folder_of(filepath).write_text(obj, encoding=encoding)

    def exists(self, filepath: FilePath) -> bool:
        """Whether there is such a file or folder."""
        return Path(filepath).exists()

    def isdir(self, filepath: FilePath) -> bool:
        """Whether there is such a folder."""
        return Path(filepath).is_dir()

    def isfile(self, filepath: FilePath) -> bool:
        """Whether there is such a file."""
        return Path(filepath).is_file()

    def join_path(self, filepath: FilePath, *filepaths: FilePath) -> str:
        """Join parts of a path."""
        return os.path.join(filepath, *filepaths)  # noqa: PTH118 - "./a" and "a/" stay as they are

    def get_local_path(self, filepath: FilePath) -> AbstractContextManager[FilePath]:
        """A `with` block's path of the file on this machine: `filepath` itself."""

        @contextmanager
        def same() -> Iterator[FilePath]:
            yield filepath

        return same()

    def copyfile(self, src: FilePath, dst: FilePath) -> FilePath:
        """Copy a file to a file or into a folder; returns where it went."""
        return shutil.copy(src, dst)

    def copytree(self, src: FilePath, dst: FilePath) -> FilePath:
        """Copy a folder with all that is in it; returns where it went.

        Raises:
            FileExistsError: `dst` is there already.
        """
        return shutil.copytree(src, dst)

    def copyfile_from_local(self, src: FilePath, dst: FilePath) -> FilePath:
        """As `copyfile`."""
        return self.copyfile(src, dst)

    def copytree_from_local(self, src: FilePath, dst: FilePath) -> FilePath:
        """As `copytree`."""
        return self.copytree(src, dst)

    def copyfile_to_local(self, src: FilePath, dst: FilePath) -> FilePath:
        """As `copyfile`."""
        return self.copyfile(src, dst)

    def copytree_to_local(self, src: FilePath, dst: FilePath) -> FilePath:
        """As `copytree`."""
        return self.copytree(src, dst)

    def remove(self, filepath: FilePath) -> None:
        """Delete a file."""
        Path(filepath).unlink()

    def rmtree(self, dir_path: FilePath) -> None:
        """Delete a folder with all that is in it."""
        shutil.rmtree(dir_path)

    def copy_if_symlink_fails(self, src: FilePath, dst: FilePath) -> bool:
        """Make the symbolic link `dst` to `src`, or where that fails, a copy; returns whether it is a link."""
        with suppress(OSError):
            Path(dst).symlink_to(src)
            return True
        (self.copyfile if Path(src).is_file() else self.copytree)(src, dst)
        return False

    def list_dir_or_file(
        self,
        dir_path: FilePath,
        list_dir: bool = True,
        list_file: bool = True,
        suffix: Suffix = None,
        recursive: bool = False,
    ) -> Iterator[str]:
        """Paths below `dir_path`, relative to it, in alphabetical order; names that start with a dot are left out.

        Args:
            dir_path: the folder.
            list_dir: name folders.
            list_file: name files.
            suffix: only files that end so; needs `list_dir=False`.
            recursive: go into subfolders.

        Raises:
            TypeError: `suffix` together with `list_dir`, or of another type.
        """
        check_suffix(suffix, list_dir)
        root = Path(dir_path)

        def below(folder: Path) -> Iterator[str]:
            for entry in sorted(folder.iterdir()):
                if entry.name.startswith("."):
                    continue
                relative = str(entry.relative_to(root))
                if entry.is_dir():
                    if list_dir:
                        yield relative
                    if recursive:
                        yield from below(entry)
                elif list_file and (suffix is None or entry.name.endswith(suffix)):
                    yield relative

        return below(root)


class HTTPBackend(BaseStorageBackend):
    """Files on the web, to read."""

    def get(self, filepath: str) -> bytes:
        """The content at an address.

        Raises:
            OSError: it cannot be read.
        """
        with urllib.request.urlopen(str(filepath), timeout=60) as answer:
            content: bytes = answer.read()
            return content

    def get_text(self, filepath: str, encoding: str = "utf-8") -> str:
        """The content at an address as text."""
        return self.get(filepath).decode(encoding)

    def join_path(self, filepath: str, *filepaths: FilePath) -> str:
        """Join parts of an address."""
        return "/".join([str(filepath).rstrip("/"), *(str(part).strip("/") for part in filepaths)])

    @contextmanager
    def get_local_path(self, filepath: str) -> Iterator[str]:
        """A `with` block's path of a temporary file with the content."""
        with tempfile.TemporaryDirectory() as folder:
            local = Path(folder) / (Path(urlparse(str(filepath)).path).name or "download")
            local.write_bytes(self.get(filepath))
            yield str(local)


def check_suffix(suffix: Suffix, list_dir: bool) -> None:
    """Refuse a suffix of another type, or for folders, with a TypeError."""
    if suffix is not None and list_dir:
        raise TypeError("`list_dir` should be False when `suffix` is not None")
    if suffix is not None and not isinstance(suffix, str | tuple):
        raise TypeError(f"suffix must be a text or a tuple of texts, got {type(suffix).__name__}: {suffix!r}")


def _make_folder_of(filepath: FilePath) -> Path:
    path = Path(filepath)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
