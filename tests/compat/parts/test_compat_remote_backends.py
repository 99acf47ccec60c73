"""The stores of other makers, over small client libraries that keep their objects in a dict."""

import pickle
import sys
from pathlib import Path
from shutil import SameFileError
from typing import Any

import pytest

from kinema.compat.parts.fileio import functions
from kinema.compat.parts.fileio.choosing import get_file_backend
from kinema.compat.parts.fileio.client import FileClient
from kinema.compat.parts.fileio.remote_backends import LmdbBackend, MemcachedBackend, PetrelBackend

_PETREL = """
class Client:
    def __init__(self, conf_path=None, enable_mc=True):
        self.objects = {}
    def Get(self, name):
        return self.objects[name]
    def put(self, name, content):
        self.objects[name] = content
    def contains(self, name):
        return name in self.objects
    def isdir(self, name):
        return any(other.startswith(name.rstrip("/") + "/") for other in self.objects)
    def delete(self, name):
        del self.objects[name]
    def list(self, folder):
        below = [name[len(folder):].partition("/") for name in sorted(self.objects) if name.startswith(folder)]
        return list(dict.fromkeys(head + slash for head, slash, _ in below))
    def generate_presigned_url(self, url, method, seconds):
        return f"{url}?{method}&{seconds}"
"""

_LMDB = """
class Transaction:
    def __enter__(self):
        return self
    def __exit__(self, *error):
        pass
    def get(self, key):
        return {b"key": b"value"}.get(key)
class Environment:
    def begin(self, write):
        return Transaction()
def open(path, **options):
    assert options == {"readonly": True, "lock": False, "readahead": False, "max_readers": 3}
    return Environment()
"""

_MEMCACHED = """
class MemcachedClient:
    @staticmethod
    def GetInstance(servers, client):
        return MemcachedClient()
    def Get(self, name, buffer):
        buffer[:] = [f"content of {name}".encode()]
pyvector = list
def ConvertBuffer(buffer):
    return buffer[0]
"""


@pytest.fixture
def libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "petrel_client").mkdir()
    for name, code in {"petrel_client/client": _PETREL, "lmdb": _LMDB, "mc": _MEMCACHED}.items():
        (tmp_path / f"{name}.py").write_text(code)
        monkeypatch.delitem(sys.modules, name.replace("/", "."), raising=False)
    monkeypatch.delitem(sys.modules, "petrel_client", raising=False)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.fixture
def petrel(libraries: None) -> PetrelBackend:
    return PetrelBackend(path_mapping={"data/": "s3://bucket/"})


def test_petrel_maps_paths_to_the_store(petrel: PetrelBackend) -> None:
    petrel.put(b"1", "data/a/x.bin")
    petrel.put_text("two", "petrel://bucket/a/b/y.txt")
    assert sorted(petrel._client.objects) == ["s3://bucket/a/b/y.txt", "s3://bucket/a/x.bin"]
    assert petrel.get("data\\\\a\\x.bin".replace("data\\\\", "data/")) == b"1"
    assert petrel.get_text("data/a/b/y.txt") == "two"
    assert [petrel.exists("data/a"), petrel.isdir("data/a"), petrel.isfile("data/a")] == [True, True, False]
    assert petrel.join_path("data/a/", "/b", "y.txt") == "s3://bucket/a/b/y.txt"
    with petrel.get_local_path("data/a/b/y.txt") as path:
        assert Path(path).read_text() == "two"
    assert petrel.generate_presigned_url("s3://bucket/a") == "s3://bucket/a?get_object&3600"


def test_petrel_lists_copies_and_deletes(petrel: PetrelBackend, tmp_path: Path) -> None:
    source = tmp_path / "here"
    (source / "b").mkdir(parents=True)
    (source / "x.bin").write_bytes(b"1")
    (source / "b" / "y.txt").write_bytes(b"2")
    assert petrel.copytree_from_local(source, "data/a") == "s3://bucket/a"
    assert list(petrel.list_dir_or_file("data/a")) == ["b", "x.bin"]
    assert list(petrel.list_dir_or_file("data/a", recursive=True)) == ["b", "b/y.txt", "x.bin"]
    assert list(petrel.list_dir_or_file("data/a", list_dir=False, suffix=".txt", recursive=True)) == ["b/y.txt"]
    assert petrel.copyfile("data/a/x.bin", "data/a/b") == "s3://bucket/a/b/x.bin"
    assert petrel.copytree("data/a/b", "data/c") == "s3://bucket/c"
    assert petrel.copyfile_to_local("data/c/y.txt", str(tmp_path)) == str(tmp_path / "y.txt")
    petrel.copytree_to_local("data/a", tmp_path / "back")
    assert (tmp_path / "back" / "b" / "x.bin").read_bytes() == b"1"
    assert petrel.copy_if_symlink_fails("data/a/x.bin", "data/z.bin") is False
    petrel.remove("data/z.bin")
    petrel.rmtree("data/a")
    assert sorted(petrel._client.objects) == ["s3://bucket/c/x.bin", "s3://bucket/c/y.txt"]


def test_petrel_says_what_cannot_be_done(petrel: PetrelBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    petrel.put(b"1", "data/a/x")
    with pytest.raises(SameFileError, match="s3://bucket/a/x: cannot be copied to itself"):
        petrel.copyfile("data/a/x", "data/a/x")
    with pytest.raises(FileExistsError, match="data/a is there already"):
        petrel.copytree("data/a", "data/a")
    with pytest.raises(FileNotFoundError, match="there is no object data/b"):
        petrel.remove("data/b")
    with pytest.raises(IsADirectoryError, match="data/a is a folder"):
        petrel.remove("data/a")
    with pytest.raises(FileNotFoundError, match="there is no object data/b"), petrel.get_local_path("data/b"):
        pass
    with pytest.raises(TypeError, match="`list_dir` should be False"):
        petrel.list_dir_or_file("data/a", suffix=".txt")
    with pytest.raises(TypeError, match="path_mapping must be a dict of texts, got str"):
        PetrelBackend(path_mapping="data")  # type: ignore[arg-type]
    monkeypatch.delattr(type(petrel._client), "delete")
    with pytest.raises(NotImplementedError, match="the installed petrel_client has no 'delete'"):
        petrel.remove("data/a/x")


def test_lmdb_and_memcached_give_values_by_key(libraries: None) -> None:
    lmdb = LmdbBackend("folder", max_readers=3)
    assert lmdb.get("key") == b"value"
    assert pickle.loads(pickle.dumps(lmdb)).get_text("key") == "value"
    with pytest.raises(FileNotFoundError, match="folder has no key 'other'"):
        lmdb.get("other")
    memcached = MemcachedBackend("servers.conf", "client.conf", sys_path="elsewhere")
    sys.path.remove("elsewhere")
    assert (memcached.get("a"), memcached.get_text("b")) == (b"content of a", "content of b")


def test_stores_are_reached_by_name_and_by_prefix(libraries: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FileClient, "_instances", {})
    assert isinstance(get_file_backend("cluster:s3://bucket/a"), PetrelBackend)
    assert isinstance(get_file_backend(backend_args=dict(backend="petrel")), PetrelBackend)
    assert isinstance(FileClient("lmdb", db_path="folder").client, LmdbBackend)
    assert isinstance(FileClient(prefix="petrel").client, PetrelBackend)
    arguments: dict[str, Any] = dict(backend="memcached", server_list_cfg="a", client_cfg="b")
    assert functions.get("x", backend_args=arguments) == b"content of x"


def test_a_store_names_the_library_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("lmdb", "mc", "petrel_client", "petrel_client.client"):
        monkeypatch.setitem(sys.modules, name, None)
    for build, message in [
        (lambda: LmdbBackend("a"), "LmdbBackend needs the Python package lmdb"),
        (lambda: MemcachedBackend("a", "b"), "MemcachedBackend needs the Python package mc"),
        (PetrelBackend, "PetrelBackend needs the Python package petrel_client"),
    ]:
        with pytest.raises(ImportError, match=message):
            build()
