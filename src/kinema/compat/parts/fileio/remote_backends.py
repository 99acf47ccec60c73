"""Files in stores of other makers, through their own client libraries: LMDB, memcached and Petrel (also `s3://`).

A library is imported when its backend is built, and its absence is an error that names it.
"""

import importlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shutil import SameFileError
from typing import Any

from kinema.compat.parts.fileio.backends import BaseStorageBackend, FilePath, Suffix, check_suffix


def _library(name: str, backend: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise ImportError(f"{backend} needs the Python package {package}, which cannot be imported: {error}") from error


class LmdbBackend(BaseStorageBackend):
    """Values of an LMDB database, by their keys.

    Args:
        db_path: folder of the database.
        readonly: refuse to write.
        lock: lock the database.
        readahead: let the system read ahead.
        kwargs: further ones of `lmdb.open`.

    Raises:
        ImportError: the package lmdb is not installed.
    """

    def __init__(
        self, db_path: FilePath, readonly: bool = True, lock: bool = False, readahead: bool = False, **kwargs: Any
    ) -> None:
        self._lmdb = _library("lmdb", "LmdbBackend")
        self.db_path = str(db_path)
        self.readonly, self.lock, self.readahead, self.kwargs = readonly, lock, readahead, kwargs
        self._client: Any = None

    def get(self, filepath: FilePath) -> bytes:
        """The value of a key. Raises a FileNotFoundError when there is none."""
        if self._client is None:  # in the process that reads: an open database must not be forked
            options = {"readonly": self.readonly, "lock": self.lock, "readahead": self.readahead, **self.kwargs}
            self._client = self._lmdb.open(self.db_path, **options)
        with self._client.begin(write=False) as transaction:
            value: bytes | None = transaction.get(str(filepath).encode())
        if value is None:
            raise FileNotFoundError(f"{self.db_path} has no key {str(filepath)!r}")
        return value

    def get_text(self, filepath: FilePath, encoding: str = "utf-8") -> str:
        """The value of a key as text."""
        return bytes(self.get(filepath)).decode(encoding)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_client": None, "_lmdb": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lmdb=_library("lmdb", "LmdbBackend"))


class MemcachedBackend(BaseStorageBackend):
    """Files through a memcached cluster.

    Args:
        server_list_cfg: the cluster's list of servers, a file.
        client_cfg: the client's settings, a file.
        sys_path: folder of the package mc, where it is not on Python's path.

    Raises:
        ImportError: the package mc is not installed.
    """

    def __init__(self, server_list_cfg: FilePath, client_cfg: FilePath, sys_path: str | None = None) -> None:
        if sys_path is not None:
            sys.path.append(sys_path)
        self._mc = _library("mc", "MemcachedBackend")
        self.server_list_cfg, self.client_cfg = server_list_cfg, client_cfg
        self._client = self._mc.MemcachedClient.GetInstance(server_list_cfg, client_cfg)
        self._mc_buffer = self._mc.pyvector()

    def get(self, filepath: FilePath) -> bytes:
        """The content of a file."""
        self._client.Get(str(filepath), self._mc_buffer)
        content: bytes = self._mc.ConvertBuffer(self._mc_buffer)
        return content

    def get_text(self, filepath: FilePath, encoding: str = "utf-8") -> str:
        """The content of a file as text."""
        return bytes(self.get(filepath)).decode(encoding)


class PetrelBackend(BaseStorageBackend):
    """Objects of a Ceph or S3 store through the Petrel client: addresses `petrel://...`, `s3://...`, `cluster:s3://...`.

    Args:
        path_mapping: beginnings of paths and what stands for them in the store.
        enable_mc: read through memcached.
        conf_path: the client's settings, a file.

    Raises:
        ImportError: the package petrel_client is not installed.
        TypeError: `path_mapping` is no mapping.
    """

    def __init__(
        self, path_mapping: Mapping[str, str] | None = None, enable_mc: bool = True, conf_path: str | None = None
    ) -> None:
        if path_mapping is not None and not isinstance(path_mapping, Mapping):
            raise TypeError(f"path_mapping must be a dict of texts, got {type(path_mapping).__name__}")
        client = _library("petrel_client.client", "PetrelBackend")
        self._client = client.Client(conf_path=conf_path, enable_mc=enable_mc)
        self.path_mapping = path_mapping

    def _map_path(self, filepath: FilePath) -> str:
        path = str(filepath)
        for source, target in (self.path_mapping or {}).items():
            path = path.replace(source, target, 1)
        return path

    def _format_path(self, filepath: str) -> str:
        return re.sub(r"\\+", "/", filepath)

    def _replace_prefix(self, filepath: FilePath) -> str:
        return str(filepath).replace("petrel://", "s3://")

    def _name(self, filepath: FilePath) -> str:
        """The path of an object, without backslashes."""
        return self._format_path(self._map_path(filepath))

    def _need(self, *methods: str) -> None:
        for method in methods:
            if not callable(getattr(self._client, method, None)):
                raise NotImplementedError(
                    f"the installed petrel_client has no {method!r}: update it to a newer release"
                )

    def _ask(self, method: str, filepath: FilePath, *values: Any) -> Any:
        """Call a method of the client, which older clients may not have."""
        self._need(method)
        return getattr(self._client, method)(self._replace_prefix(self._name(filepath)), *values)

    def get(self, filepath: FilePath) -> bytes:
        """The content of an object."""
        content: bytes = self._ask("Get", filepath)
        return content

    def get_text(self, filepath: FilePath, encoding: str = "utf-8") -> str:
        """The content of an object as text."""
        return str(self.get(filepath), encoding=encoding)

    def put(self, obj: bytes, filepath: FilePath) -> None:
        """Write bytes to an object."""
        self._ask("put", filepath, obj)

    def put_text(self, obj: str, filepath: FilePath, encoding: str = "utf-8") -> None:
        """Write text to an object."""
        self.put(obj.encode(encoding), filepath)

    def exists(self, filepath: FilePath) -> bool:
        """Whether there is such an object or folder."""
        self._need("contains", "isdir")
        return self.isfile(filepath) or self.isdir(filepath)

    def isdir(self, filepath: FilePath) -> bool:
        """Whether there is such a folder."""
        return bool(self._ask("isdir", filepath))

    def isfile(self, filepath: FilePath) -> bool:
        """Whether there is such an object."""
        return bool(self._ask("contains", filepath))

    def join_path(self, filepath: FilePath, *filepaths: FilePath) -> str:
        """Join parts of an address."""
        return "/".join([self._name(filepath).removesuffix("/"), *(self._name(part).lstrip("/") for part in filepaths)])

    @contextmanager
    def get_local_path(self, filepath: FilePath) -> Iterator[str]:
        """A `with` block's path of a temporary file with the content."""
        if not self.isfile(filepath):
            raise FileNotFoundError(f"there is no object {filepath}")
        with tempfile.TemporaryDirectory() as folder:
            local = Path(folder) / (self._name(filepath).rpartition("/")[2] or "object")
            local.write_bytes(self.get(filepath))
            yield str(local)

    def copyfile(self, src: FilePath, dst: FilePath) -> str:
        """Copy an object to an object or into a folder; returns where it went."""
        source, target = self._name(src), self._name(dst)
        if self.isdir(target):
            target = self.join_path(target, source.rpartition("/")[2])
        if source == target:
            raise SameFileError(f"{source}: cannot be copied to itself")
        self.put(self.get(source), target)
        return target

    def copytree(self, src: FilePath, dst: FilePath) -> str:
        """Copy a folder with all that is in it; returns where it went."""
        target = self._new_folder(dst)
        for path in self.list_dir_or_file(src, list_dir=False, recursive=True):
            self.put(self.get(self.join_path(src, path)), self.join_path(target, path))
        return target

    def _new_folder(self, dst: FilePath) -> str:
        if self.exists(dst):
            raise FileExistsError(f"{dst} is there already")
        return self._name(dst)

    def copyfile_from_local(self, src: FilePath, dst: FilePath) -> str:
        """Copy a file of this machine to the store; returns where it went."""
        target = self._name(dst)
        if self.isdir(target):
            target = self.join_path(target, Path(src).name)
        self.put(Path(src).read_bytes(), target)
        return target

    def copytree_from_local(self, src: FilePath, dst: FilePath) -> str:
        """Copy a folder of this machine to the store; returns where it went."""
        target = self._new_folder(dst)
        for file in sorted(path for path in Path(src).rglob("*") if path.is_file()):
            self.copyfile_from_local(file, self.join_path(target, file.relative_to(src).as_posix()))
        return target

    def copyfile_to_local(self, src: FilePath, dst: FilePath) -> FilePath:
        """Copy an object to a file or a folder of this machine; returns where it went, in the type of `dst`."""
        path = Path(dst) / Path(src).name if Path(dst).is_dir() else Path(dst)
        path.write_bytes(self.get(src))
        return str(path) if isinstance(dst, str) else path

    def copytree_to_local(self, src: FilePath, dst: FilePath) -> FilePath:
        """Copy a folder of the store to this machine; returns where it went."""
        for path in self.list_dir_or_file(src, list_dir=False, recursive=True):
            file = Path(dst) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(self.get(self.join_path(src, path)))
        return dst

    def remove(self, filepath: FilePath) -> None:
        """Delete an object."""
        self._need("delete")
        if self.isdir(filepath):
            raise IsADirectoryError(f"{filepath} is a folder: rmtree deletes it")
        if not self.isfile(filepath):
            raise FileNotFoundError(f"there is no object {filepath}")
        self._ask("delete", filepath)

    def rmtree(self, dir_path: FilePath) -> None:
        """Delete a folder with all that is in it."""
        for path in list(self.list_dir_or_file(dir_path, list_dir=False, recursive=True)):
            self.remove(self.join_path(dir_path, path))

    def copy_if_symlink_fails(self, src: FilePath, dst: FilePath) -> bool:
        """Copy: the store has no symbolic links, so it returns False."""
        (self.copyfile if self.isfile(src) else self.copytree)(src, dst)
        return False

    def list_dir_or_file(
        self,
        dir_path: FilePath,
        list_dir: bool = True,
        list_file: bool = True,
        suffix: Suffix = None,
        recursive: bool = False,
    ) -> Iterator[str]:
        """Paths below `dir_path`, relative to it; see `LocalBackend.list_dir_or_file`."""
        check_suffix(suffix, list_dir)
        self._need("list")

        def below(folder: str) -> Iterator[str]:
            for entry in self._ask("list", f"{self.join_path(dir_path, folder)}/" if folder else _as_folder(dir_path)):
                relative = os.path.join(folder, entry)  # noqa: PTH118 - entries of folders end with a slash
                if entry.endswith("/"):
                    if list_dir:
                        yield relative.removesuffix("/")
                    if recursive:
                        yield from below(relative.removesuffix("/"))
                elif list_file and (suffix is None or entry.endswith(suffix)):
                    yield relative

        return below("")

    def generate_presigned_url(self, url: str, client_method: str = "get_object", expires_in: int = 3600) -> str:
        """An address that gives an object without a login for a time.

        Args:
            url: the object's.
            client_method: what may be done with it.
            expires_in: seconds.
        """
        return str(self._client.generate_presigned_url(url, client_method, expires_in))


def _as_folder(path: FilePath) -> str:
    return f"{str(path).removesuffix('/')}/"
