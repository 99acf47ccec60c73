"""Small files that would take hours or all memory: each is read fast, or is one clear error with the file's name."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

SIZE = 2_000_000  # bytes; what goes one character a turn would take hours
SCRIPT = """
import resource, sys, time
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
from pathlib import Path
from kinema.datasets.annotations import read_annotations
from kinema.datasets.annotations.formats import find_format
from kinema.datasets.annotations.grouping import source_video_of
from kinema.errors import KinemaError
for name in sys.argv[1:]:
    for several in (False, True):
        try:
            options = {} if find_format(name) == "cvat" else {"multi_label": several}
            found = read_annotations(name, **options)
            print(name, "read", len(found))
            source_video_of(found.paths[0])
        except KinemaError as error:
            assert name in str(error), error
            assert len(str(error).splitlines()) == 1, error
            print(name, "error")
"""

BOMBS = {
    "spaces.txt": b"a.mp4 0\n" + b" " * SIZE + b"\nb.mp4 1\n",
    "inner_spaces.txt": b"a.mp4" + b" " * SIZE + b"0\n",
    "many_spaces.txt": (b"a.mp4" + b" " * 100 + b"0" + b" " * 100 + b"\n") * 50_000,
    "numbers.txt": b"a.mp4" + b" 1" * (SIZE // 2) + b"\n",
    "spaced_numbers.txt": b"a.mp4" + (b" " * 200 + b"1") * 50_000 + b"\n",
    "digits.txt": b"a.mp4 " + b"1" * SIZE + b"\n",
    "tabs.csv": b"\t" * SIZE,
    "commas.csv": b"path,label" + b"," * SIZE + b"\na.mp4,0\n",
    "quotes.csv": b'path,label\n"' + b'""' * (SIZE // 2),
    "words.csv": b"a.mp4 run\n" * 300 + b"a.mp4 " * (SIZE // 6),
    "newlines.txt": b"\n" * SIZE,
    "names.txt": b"v_" + b"_g1" * (SIZE // 3) + b" 0\n",
    "scenes.txt": b"-Scene-1" * (SIZE // 8) + b" 0\n",
    "deep.json": b"[" * SIZE,
    "deep_inside.json": b'[{"path": "a.mp4", "label": ' + b"[" * 100_000 + b"]" * 100_000 + b"}]",
    "deep.jsonl": b'{"a":' * 100_000 + b"\n",
    "digits.json": b'[{"path": "a.mp4", "label": ' + b"1" * 5000 + b"}]",
    "digits.jsonl": b'{"path": "a.mp4", "label": ' + b"1" * 5000 + b"}",
    "surrogate.json": b'[{"path": "a\\ud800.mp4", "label": "\\udfff"}]',
    "surrogate_label.json": b'[{"path": "a.mp4", "label": "\\udfff"}]',
    "zero.json": b'[{"path": "a\\u0000.mp4", "label": 0}]',
    "zero.txt": b"a\0.mp4 0\n",
    "entities.xml": b"<!DOCTYPE a [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;'>]><annotations>&b;</annotations>",
    "entities16.xml": "<?xml version='1.0' encoding='utf-16'?><!DOCTYPE a [<!ENTITY a 'x'>]><annotations/>".encode(
        "utf-16"
    ),
    "deep.xml": b"<a>" * 300_000,
    "frames.xml": (
        b"<annotations><meta><task><id>1</id><source>a.mp4</source></task></meta><image name='"
        + b"1" * SIZE
        + b"x'><tag label='a'/></image></annotations>"
    ),
    "track.xml": b"<annotations><track label='a'><box frame='" + b"1" * 5000 + b"'/></track></annotations>",
    "encoding.xml": b"<?xml version='1.0' encoding='nobody-knows'?><annotations/>",
}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="limits of processes")
def test_wild_files_end_in_time_with_one_line(tmp_path: Path) -> None:
    for name, content in BOMBS.items():
        (tmp_path / name).write_bytes(content)
    shown = subprocess.run(
        [sys.executable, "-c", SCRIPT, *(str(tmp_path / name) for name in BOMBS)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30)),
    )
    assert shown.returncode == 0, shown.stdout + shown.stderr
    read = {line.split()[0].rpartition("/")[2] for line in shown.stdout.splitlines() if line.endswith("error")}
    for name in (
        "deep.json",
        "digits.jsonl",
        "surrogate.json",
        "zero.txt",
        "entities16.xml",
        "deep.xml",
        "encoding.xml",
    ):
        assert name in read


@pytest.mark.parametrize("seed", range(4))
def test_values_of_wild_types_are_one_clear_error(tmp_path: Path, seed: int) -> None:
    """Every place of some JSON files holds every kind of value in turn."""
    from kinema.datasets.annotations import read_annotations
    from kinema.errors import AnnotationError

    studio = {
        "id": 1,
        "data": {"video": "/data/upload/3/1a2b3c4d-clip.mp4"},
        "annotations": [
            {
                "was_cancelled": False,
                "result": [
                    {"type": "choices", "value": {"choices": ["run"]}},
                    {
                        "type": "timelinelabels",
                        "value": {"ranges": [{"start": 1, "end": 5}], "timelinelabels": ["run"]},
                    },
                    {"type": "labels", "value": {"labels": ["run"], "start": 0.5, "end": 2}},
                ],
            }
        ],
    }
    files = [
        [studio],
        [{"path": "a.mp4", "label": ["run"], "start": 0, "end": 2, "split": "train", "total_frames": 3, "offset": 1}],
        {"metainfo": {"classes": ["run"]}, "data_list": [{"path": "a.mp4", "label": 0}]},
        [{"id": "1", "template": "Holding [something]", "placeholders": ["x"]}],
    ]
    wild = [None, True, -1, 1e300, "", "http://[", [], {}, [None], {"a": {}}, "\ud800", 10**30, [[["x"]]], "a\nb"]
    for place in _places(files[seed]):
        for value in wild:
            content = json.loads(json.dumps(files[seed]))
            at = content
            for key in place[:-1]:
                at = at[key]
            at[place[-1]] = value
            (tmp_path / "a.json").write_text(json.dumps(content))
            try:
                list(read_annotations(tmp_path / "a.json"))
                message = "a.json"
            except AnnotationError as error:
                message = str(error)
            assert "a.json" in message
            assert len(message.splitlines()) == 1


def _places(value, before=()):
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in entries:
        yield (*before, key)
        yield from _places(one, (*before, key))
