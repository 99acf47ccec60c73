import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kinema.compat.parts.fileio import choosing, client, functions, handlers, register
from kinema.compat.parts.fileio.backends import BaseStorageBackend, HTTPBackend, LocalBackend
from kinema.compat.parts.fileio.client import FileClient, HardDiskBackend
from kinema.compat.parts.fileio.handlers import BaseFileHandler, register_handler
from kinema.compat.parts.fileio.register import register_backend


@pytest.fixture(autouse=True)
def _registers() -> Iterator[None]:
    tables: list[dict[str, Any]] = [register.backends, register.prefix_to_backends, handlers.file_handlers]
    tables += [FileClient._backends, FileClient._prefix_to_backends, FileClient._instances, choosing.backend_instances]
    before = [dict(table) for table in tables]
    yield
    for table, content in zip(tables, before, strict=True):
        table.clear()
        table.update(content)


class Memory(BaseStorageBackend):
    def __init__(self, greeting: str = "of") -> None:
        self.greeting = greeting

    def get(self, filepath: str) -> bytes:
        return self.get_text(filepath).encode()

    def get_text(self, filepath: str, encoding: str = "utf-8") -> str:
        return f"{self.greeting} {filepath}"


def test_a_registered_backend_answers_for_its_name_and_prefixes() -> None:
    assert register_backend("memory")(Memory) is Memory
    register_backend("kept", Memory, prefixes=["mem", "memory"])
    assert functions.get_text("a", backend_args=dict(backend="memory", greeting="from")) == "from a"
    assert functions.get("mem://a") == b"of mem://a"
    assert choosing.get_file_backend("cluster:mem://a").name == "Memory"
    once = [choosing.get_file_backend("mem://a", enable_singleton=True) for _ in range(2)]
    assert once[0] is once[1] is not choosing.get_file_backend("mem://a")
    for arguments, error, message in [
        ((1, Memory), TypeError, "the name of a backend must be a text, got int"),
        (("new", int), TypeError, "backend must be a subclass of BaseStorageBackend, got <class 'int'>"),
        (("memory", Memory), ValueError, "memory is the name of a backend already: add force=True"),
        (("new", Memory, False, 3), TypeError, "prefixes must be a text or a list of texts, got int"),
        (("new", Memory, False, "mem"), ValueError, "mem is the prefix of a backend already"),
    ]:
        with pytest.raises(error, match=message):
            register_backend(*arguments)
    register_backend("new", LocalBackend, force=True, prefixes="mem")
    assert isinstance(choosing.get_file_backend("mem://a"), LocalBackend)


def test_a_backend_that_nobody_has_is_an_error() -> None:
    assert isinstance(choosing.get_file_backend(Path("a")), LocalBackend)
    assert isinstance(choosing.get_file_backend("https://host/a"), HTTPBackend)
    with pytest.raises(ValueError, match="there is no file backend 'cloud': known are local, memcached"):
        choosing.get_file_backend(backend_args=dict(backend="cloud"))
    with pytest.raises(ValueError, match=r"need uri or backend_args=dict\(backend=...\)"):
        choosing.get_file_backend(backend_args={})
    with pytest.raises(TypeError, match="uri must be a text or a Path, got int"):
        choosing.get_file_backend(3)  # type: ignore[arg-type]


def test_folders_are_copied_linked_and_removed(tmp_path: Path) -> None:
    functions.put_text("x", tmp_path / "a" / "b.txt")
    assert functions.copytree(tmp_path / "a", tmp_path / "c") == tmp_path / "c"
    with pytest.raises(FileExistsError):
        functions.copytree_from_local(tmp_path / "a", tmp_path / "c")
    functions.copytree_to_local(tmp_path / "a", tmp_path / "d")
    functions.rmtree(tmp_path / "d")
    assert functions.copyfile_from_local(tmp_path / "a" / "b.txt", tmp_path / "c") == str(tmp_path / "c" / "b.txt")
    assert functions.copyfile_to_local(tmp_path / "a" / "b.txt", tmp_path / "e.txt") == tmp_path / "e.txt"
    assert functions.copy_if_symlink_fails(tmp_path / "a", tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert not functions.copy_if_symlink_fails(tmp_path / "a" / "b.txt", tmp_path / "c" / "b.txt")
    with functions.get_local_path(tmp_path / "e.txt") as path:
        assert path == str(tmp_path / "e.txt")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a", "c", "e.txt", "link"]
    with pytest.raises(TypeError, match=r"suffix must be a text or a tuple of texts, got list: \['.txt'\]"):
        LocalBackend().list_dir_or_file(tmp_path, list_dir=False, suffix=[".txt"])  # type: ignore[arg-type]


def test_a_client_is_the_backend_of_a_name_or_address(tmp_path: Path) -> None:
    files = FileClient("disk")
    assert FileClient() is files is FileClient.infer_client(dict(backend="disk"))
    assert (files.name, files.allow_symlink, type(files.client)) == ("HardDiskBackend", True, HardDiskBackend)
    assert FileClient.infer_client(uri="http://host/a").name == "HTTPBackend"
    assert [FileClient.parse_uri_prefix(uri) for uri in ("s3://a", "cluster:s3://b", "/a")] == ["s3", "s3", None]
    path = files.join_path(tmp_path, "a.txt")
    files.put(b"1", path)
    files.put_text("2", os.fspath(tmp_path / "b.txt"))
    assert (files.get(path), files.get_text(path), list(files.list_dir_or_file(tmp_path))) == (
        b"1",
        "1",
        ["a.txt", "b.txt"],
    )
    assert (files.exists(path), files.isfile(path), files.isdir(tmp_path)) == (True, True, True)
    with files.get_local_path(path) as local:
        assert local == path
    files.remove(path)
    assert not files.exists(path)
    with pytest.raises(
        ValueError, match="there is no file backend 'cloud': known are disk, local, memcached, lmdb, petrel, http"
    ):
        FileClient("cloud")
    with pytest.raises(ValueError, match="need file_client_args or uri: which backend is it"):
        FileClient.infer_client()


def test_a_client_takes_registered_backends() -> None:
    FileClient.register_backend("memory", Memory)
    first = FileClient("memory", greeting="from")
    assert first.get_text("a") == "from a"

    @FileClient.register_backend("memory", force=True, prefixes="mem")  # type: ignore[misc]
    class Other(Memory):
        pass

    assert FileClient("memory", greeting="from").name == "Other"
    assert FileClient.infer_client(uri="mem://a").get("a") == b"of a"
    assert client.FileClient._backends["memory"] is Other


def test_a_registered_handler_reads_and_writes_its_suffixes(tmp_path: Path) -> None:
    @register_handler(["txt", "text"], mark="!")
    class TextHandler(BaseFileHandler):
        def __init__(self, mark: str) -> None:
            self.mark = mark

        def load_from_fileobj(self, file: Any, **kwargs: Any) -> Any:
            return file.read() + self.mark

        def dump_to_fileobj(self, obj: Any, file: Any, **kwargs: Any) -> None:
            file.write(str(obj))

        def dump_to_str(self, obj: Any, **kwargs: Any) -> str:
            return str(obj)

    handlers.dump(5, tmp_path / "a.txt")
    assert handlers.load(tmp_path / "a.txt") == handlers.load(io.StringIO("5"), file_format="text") == "5!"
    assert handlers.dump(5, file_format="text") == "5"
    with pytest.raises(TypeError, match="file_formats must be a text or a list of texts, got 3"):
        register_handler(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="int must be a subclass of BaseFileHandler"):
        register_handler("x")(int)


@pytest.mark.parametrize("suffix", ["json", "yaml", "pkl"])
def test_a_handler_works_on_paths_by_itself(tmp_path: Path, suffix: str) -> None:
    handler = handlers.file_handlers[suffix]
    handler.dump_to_path({"a": [1]}, tmp_path / "file")
    assert handler.load_from_path(tmp_path / "file") == {"a": [1]}
    content = handler.dump_to_str({"a": [1]})
    assert handler.load_from_fileobj(io.StringIO(content) if handler.str_like else io.BytesIO(content)) == {"a": [1]}


def test_what_is_no_file_and_two_ways_to_choose_a_backend_are_errors() -> None:
    with pytest.raises(TypeError, match="file must be a path or an open file, got int"):
        handlers.load(3, file_format="json")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="file must be a path or an open file, got int"):
        handlers.dump([], 3, file_format="json")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="give backend_args or file_client_args, its older name, not both"):
        handlers.load("a.json", file_client_args={}, backend_args={})


def test_the_old_name_of_backend_args_gives_a_warning(tmp_path: Path) -> None:
    with pytest.warns(DeprecationWarning, match='"file_client_args" will be deprecated in future'):
        handlers.dump([1], tmp_path / "a.json", file_client_args={"backend": "disk"})
    assert handlers.load(tmp_path / "a.json") == [1]
