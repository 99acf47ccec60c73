"""`FileClient`: the older way to the backends, with a register of its own."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from kinema.compat.parts.fileio.backends import (
    FilePath,
    HTTPBackend,
    LocalBackend,
    Suffix,
)
from kinema.compat.parts.fileio.choosing import parse_uri_prefix
from kinema.compat.parts.fileio.register import Backend, add_backend
from kinema.compat.parts.fileio.remote_backends import LmdbBackend, MemcachedBackend, PetrelBackend


class HardDiskBackend(LocalBackend):
    """Files of this machine, by their older name."""


class FileClient:
    """Reads and writes files through the backend of a name or a prefix; equal arguments give the same object.

    Args:
        backend: "disk", "http" or a registered name.
        prefix: what stands before `://` in addresses, instead of `backend`.
        kwargs: of the backend.

    Raises:
        ValueError: there is no such backend.
    """

    _backends: ClassVar[dict[str, Any]] = {
        "disk": HardDiskBackend,
        "local": LocalBackend,
        "memcached": MemcachedBackend,
        "lmdb": LmdbBackend,
        "petrel": PetrelBackend,
        "http": HTTPBackend,
    }
    _prefix_to_backends: ClassVar[dict[str, Any]] = {
        "": HardDiskBackend,
        "petrel": PetrelBackend,
        "s3": PetrelBackend,
        "http": HTTPBackend,
        "https": HTTPBackend,
    }
    _instances: ClassVar[dict[str, "FileClient"]] = {}

    client: Any

    def __new__(cls, backend: str | None = None, prefix: str | None = None, **kwargs: Any) -> "FileClient":
        if backend is None and prefix is None:
            backend = "disk"
        known, chosen = (cls._backends, backend) if prefix is None else (cls._prefix_to_backends, prefix)
        if chosen not in known or (backend is not None and backend not in cls._backends):
            raise ValueError(f"there is no file backend {chosen!r}: known are {', '.join(cls._backends)}")
        key = f"{backend}:{prefix}:{sorted(kwargs.items(), key=str)}"
        if key not in cls._instances:
            instance = super().__new__(cls)
            instance.client = known[str(chosen)](**kwargs)
            cls._instances[key] = instance
        return cls._instances[key]

    @property
    def name(self) -> str:
        """Of the backend's class."""
        return str(self.client.name)

    @property
    def allow_symlink(self) -> bool:
        """Whether the backend can make symbolic links."""
        return bool(self.client.allow_symlink)

    @staticmethod
    def parse_uri_prefix(uri: FilePath) -> str | None:
        """What stands before `://`; None for a path."""
        return parse_uri_prefix(uri) or None

    @classmethod
    def infer_client(
        cls, file_client_args: Mapping[str, Any] | None = None, uri: FilePath | None = None
    ) -> "FileClient":
        """The client of those arguments, or of an address.

        Raises:
            ValueError: neither is given, or there is no such backend.
        """
        if file_client_args is not None:
            return cls(**file_client_args)
        if uri is None:
            raise ValueError("need file_client_args or uri: which backend is it?")
        return cls(prefix=parse_uri_prefix(uri))

    @classmethod
    def register_backend(
        cls,
        name: str,
        backend: Backend | None = None,
        force: bool = False,
        prefixes: str | Sequence[str] | None = None,
    ) -> Callable[[Backend], Backend] | None:
        """Make a backend known to clients; see `kinema.compat.parts.fileio.backends.register_backend`."""

        def register(chosen: Any) -> Any:
            add_backend(cls._backends, cls._prefix_to_backends, name, chosen, force, prefixes)
            for key, instance in list(cls._instances.items()):  # those of a replaced backend
                if type(instance.client) not in cls._backends.values():
                    del cls._instances[key]
            return chosen

        if backend is None:
            return register
        register(backend)
        return None

    # ---- what the backend does

    def get(self, filepath: FilePath) -> bytes | memoryview:
        """The content of a file."""
        content: bytes | memoryview = self.client.get(filepath)
        return content

    def get_text(self, filepath: FilePath, encoding: str = "utf-8") -> str:
        """The content of a file as text."""
        return str(self.client.get_text(filepath, encoding))

    def put(self, obj: bytes, filepath: FilePath) -> None:
        """Write bytes to a file."""
        self.client.put(obj, filepath)

    def put_text(self, obj: str, filepath: FilePath) -> None:
        """Write text to a file."""
        self.client.put_text(obj, filepath)

    def remove(self, filepath: FilePath) -> None:
        """Delete a file."""
        self.client.remove(filepath)

    def exists(self, filepath: FilePath) -> bool:
        """Whether there is such a file or folder."""
        return bool(self.client.exists(filepath))

    def isdir(self, filepath: FilePath) -> bool:
        """Whether there is such a folder."""
        return bool(self.client.isdir(filepath))

    def isfile(self, filepath: FilePath) -> bool:
        """Whether there is such a file."""
        return bool(self.client.isfile(filepath))

    def join_path(self, filepath: FilePath, *filepaths: FilePath) -> str:
        """Join parts of a path."""
        return str(self.client.join_path(filepath, *filepaths))

    def get_local_path(self, filepath: FilePath) -> AbstractContextManager[FilePath]:
        """A `with` block's path of the file on this machine."""
        path: AbstractContextManager[FilePath] = self.client.get_local_path(filepath)
        return path

    def list_dir_or_file(
        self,
        dir_path: FilePath,
        list_dir: bool = True,
        list_file: bool = True,
        suffix: Suffix = None,
        recursive: bool = False,
    ) -> Iterator[str]:
        """Paths below `dir_path`; see `LocalBackend.list_dir_or_file`."""
        names: Iterator[str] = self.client.list_dir_or_file(dir_path, list_dir, list_file, suffix, recursive)
        return names
