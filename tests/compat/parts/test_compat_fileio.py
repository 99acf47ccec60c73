import functools
import http.server
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from kinema.compat.parts.fileio import functions, handlers, lists
from kinema.errors import KinemaError


class _SilentHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def web_address(tmp_path: Path) -> Iterator[str]:
    """Address under which the files of `tmp_path` are served."""
    handler = functools.partial(_SilentHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_lines_come_without_their_ends_and_may_be_cut_out(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_bytes("a 0\r\nb 1\n\nü 2\n".encode())
    assert lists.list_from_file(file) == ["a 0", "b 1", "", "ü 2"]
    assert lists.list_from_file(str(file), prefix="x/", offset=1, max_num=1) == ["x/b 1"]
    file.write_text("")
    assert lists.list_from_file(file) == []


def test_dict_from_file_keeps_one_value_and_lists_several(tmp_path: Path) -> None:
    file = tmp_path / "map.txt"
    file.write_text("1 cat\n2 dog cow\n")
    assert lists.dict_from_file(file, key_type=int) == {1: "cat", 2: ["dog", "cow"]}
    file.write_text("1 cat\n2\n")
    with pytest.raises(KinemaError, match=r"map\.txt:2: expected 'key value', got '2'"):
        lists.dict_from_file(file)
    file.write_text("\n")
    with pytest.raises(KinemaError, match=r"map\.txt:1: expected 'key value', got ''"):
        lists.dict_from_file(file)


@pytest.mark.parametrize("suffix", ["json", "yaml", "yml", "pkl", "pickle"])
def test_what_is_dumped_loads_again(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / "new" / f"data.{suffix}"
    data = {"names": ["a", "b"], "number": 1.5}
    handlers.dump(data, file)
    assert handlers.load(file) == handlers.load(str(file)) == data


def test_yaml_keeps_tuples_and_small_numbers(tmp_path: Path) -> None:
    handlers.dump({"scale": (1, 2), "lr": 1e-05}, tmp_path / "a.yaml")
    assert handlers.load(tmp_path / "a.yaml") == {"scale": (1, 2), "lr": 1e-05}


def test_dump_without_a_file_returns_the_text_and_json_takes_arrays() -> None:
    data = {"scores": np.array([0.5, 1.0]), "top": np.int64(3), "range": range(2)}
    text = handlers.dump(data, file_format="json", sort_keys=True)
    assert text == '{"range": [0, 1], "scores": [0.5, 1.0], "top": 3}'
    stream = io.StringIO()
    handlers.dump([1], stream, file_format="json")
    assert json.loads(stream.getvalue()) == handlers.load(io.StringIO("[1]"), file_format="json") == [1]
    with pytest.raises(TypeError, match="is unsupported for json dump"):
        handlers.dump(object(), file_format="json")


def test_an_unknown_format_is_named_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"Unsupported format: csv; expected one of json, yaml, .*a\.csv"):
        handlers.load(tmp_path / "a.csv")


def test_files_on_the_web_can_be_read_but_not_written(tmp_path: Path, web_address: str) -> None:
    (tmp_path / "a.json").write_text("[1, 2]")
    assert handlers.load(f"{web_address}/a.json?version=2") == [1, 2]
    assert functions.get_text(f"{web_address}/a.json", backend_args={"backend": "http"}) == "[1, 2]"
    with functions.get_local_path(f"{web_address}/a.json") as local:
        assert Path(local).read_text() == "[1, 2]"
    assert not Path(local).exists()
    with pytest.raises(
        KinemaError, match=r"http://.*/b\.json: HTTPBackend has no put_text; files on the web can only be read"
    ):
        handlers.dump([1], f"{web_address}/b.json")


def test_questions_and_changes_of_files(tmp_path: Path) -> None:
    path = functions.join_path(tmp_path, "sub", "a.txt")
    assert functions.join_path("http://host/x/", "sub", "a.txt") == "http://host/x/sub/a.txt"
    assert not functions.exists(path)
    functions.put_text("é", path)
    assert functions.get(path) == "é".encode()
    assert functions.exists(path)
    assert functions.isfile(path)
    assert functions.isdir(tmp_path / "sub")
    assert functions.copyfile(path, tmp_path / "b.txt") == tmp_path / "b.txt"
    with functions.get_local_path(path) as local:
        assert local == path
    functions.remove(path)
    assert not functions.isfile(path)


def test_list_dir_or_file_names_what_is_asked_for_in_order(tmp_path: Path) -> None:
    for name in ("b.txt", "sub/a.mp4", ".hidden", "a.mp4"):
        functions.put(b"", tmp_path / name)
    assert list(functions.list_dir_or_file(tmp_path)) == ["a.mp4", "b.txt", "sub"]
    assert list(functions.list_dir_or_file(tmp_path, list_file=False)) == ["sub"]
    videos = functions.list_dir_or_file(str(tmp_path), list_dir=False, suffix=".mp4", recursive=True)
    assert list(videos) == ["a.mp4", "sub/a.mp4"]
    with pytest.raises(TypeError, match="`list_dir` should be False when `suffix` is not None"):
        functions.list_dir_or_file(tmp_path, suffix=".mp4")


def test_settings_are_written_as_json(tmp_path: Path) -> None:
    handlers.write_to_json({"rates": (1, 2)}, str(tmp_path / "settings.txt"))
    assert json.loads((tmp_path / "settings.txt").read_text()) == {"rates": [1, 2]}
