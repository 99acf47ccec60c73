"""Where each value of a config was written."""

from pathlib import Path

import pytest

from kinema.config import Config, parse_override
from kinema.config.origins import merge_places, override_places, uniform_places
from kinema.config.reading import read_places

BASE = """\
depth = 50
model = dict(
    type="Net",
    backbone=dict(
        type="ResNet",
        depth=depth,
        stages=[1, 2,
                3]),
    head=dict(type="Head", classes=400))
common = dict(
    a=1)
steps = [
    dict(type="First", **common),
    dict(type="Second"),
]
"""

OWN = """\
_base_ = "base.py"
model = dict(
    backbone=dict(depth=101),
    head=dict(
        _delete_=True, type="Other"))
steps = _base_.steps
steps.insert(0, dict(
    type="Zeroth"))
steps[1]["b"] = 2
extra = {**_base_.common, "c": [
    {"d": x} for x in range(2)]}
for name in ("p", "q"):
    extra.update({name: 1})
copied = dict(extra)
kind = "{{_base_.model.type}}"
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "base.py").write_text(BASE)
    (tmp_path / "own.py").write_text(OWN)
    return tmp_path


EXPECTED = {
    "depth": "base.py:1",
    "model": "base.py:2",
    "model.type": "base.py:3",
    "model.backbone.type": "base.py:5",
    "model.backbone.depth": "own.py:3",
    "model.backbone.stages": "base.py:7",
    "model.backbone.stages.2": "base.py:8",
    "model.head": "own.py:4",
    "model.head.type": "own.py:5",
    "common.a": "base.py:11",
    "steps.0.type": "own.py:8",
    "steps.1.type": "base.py:13",
    "steps.1.a": "base.py:11",
    "steps.1.b": "own.py:9",
    "steps.2.type": "base.py:14",
    "extra.c.0.d": "own.py:11",
    "extra.q": "own.py:12",
    "copied.c": "own.py:14",
    "kind": "own.py:15",
}


@pytest.mark.parametrize(("path", "where"), EXPECTED.items())
def test_each_value_of_python_files_has_its_file_and_line(files: Path, path: str, where: str) -> None:
    places = read_places(files / "own.py")
    assert places.of(path) == str(files.resolve() / where)


def test_evaluating_for_the_places_leaves_the_values_as_they_are(files: Path) -> None:
    before = Config.fromfile(files / "own.py").to_dict()
    read_places(files / "own.py")
    assert Config.fromfile(files / "own.py").to_dict() == before
    assert before["steps"][1] == {"type": "First", "a": 1, "b": 2}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", "x: 1\ny:\n  - 2\n  - z: [3]\n    w: '{{_base_.depth}}'\n"),
        ("a.json", '{"x": 1,\n"y": [\n\t2,\n\t{"z": [3],\n\t"w": {{_base_.depth}}}]}'),
    ],
)
def test_values_of_yaml_and_json_have_their_lines(files: Path, name: str, text: str) -> None:
    base = "_base_: base.py\n" if name.endswith("yaml") else ""
    text = base + text if base else text.replace("{", '{"_base_": "base.py", ', 1)
    (files / name).write_text(text)
    assert Config.fromfile(files / name)["y"][1]["w"] == 50
    places = read_places(files / name)
    first = 2 if base else 1
    lines = {"x": first, "y": first + 1, "y.0": first + 2, "y.1.z": first + 3, "y.1.w": first + 4}
    assert {key: places.of(key).rpartition(":")[2] for key in lines} == {key: str(n) for key, n in lines.items()}
    assert places.of("model.type").endswith("base.py:3")
    assert "_base_" not in places.entries


def test_overrides_come_from_the_command_line(files: Path) -> None:
    places = read_places(files / "own.py")
    for text in (
        "model.backbone.depth=18",
        "steps.0.type=X",
        "steps.-1.last=1",
        "model.new.key=1",
        "model.head={'_delete_': True, 'k': 1}",
        "common._delete_=True",
    ):
        override_places(places, *parse_override(text))
    assert {places.of(key) for key in ("model.backbone.depth", "steps.0.type", "model.new.key", "model.head.k")} == {
        "command line"
    }
    assert places.of("model.backbone.type").endswith("base.py:5")
    assert places.of("steps.2.last") == "command line"
    assert places.of("model.head.nothing.there") == "command line"  # of what would hold it
    assert not places.entries["common"].entries


def test_a_dict_over_a_value_takes_its_place() -> None:
    base, own = uniform_places({"a": 1, "b": {"c": 2}}, "base"), uniform_places({"a": {"x": 1}, "b": {"d": 1}}, "own")
    both = merge_places(base, own)
    assert [both.of(key) for key in ("a.x", "b.c", "b.d", "b")] == ["own", "base", "own", "base"]


def test_values_that_an_import_inherits_have_the_place_where_they_were_written(files: Path) -> None:
    (files / "lazy.py").write_text("rate = 0.1\nmodel = dict(\n    depth=3,\n    head=dict(a=1))\nsame = 5\n")
    (files / "own_lazy.py").write_text(
        "from mmengine.config import read_base\n"
        "with read_base():\n"
        "    from .lazy import *\n"
        "model.update(\n    dict(depth=4))\n"
        "model['head']['b'] = 2\n"
        "same = 5\n"
    )
    places = read_places(files / "own_lazy.py")
    expected = {
        "rate": "lazy.py:1",
        "model": "lazy.py:2",
        "model.depth": "own_lazy.py:5",
        "model.head.a": "lazy.py:4",
        "model.head.b": "own_lazy.py:6",
        "same": "own_lazy.py:7",
    }
    assert {key: Path(places.of(key)).name for key in expected} == expected


def test_each_value_of_a_dict_or_list_has_its_own_place(files: Path) -> None:
    (files / "values.py").write_text(
        "plain = [1, (2, 3)]\n"
        "spread = [\n    1,\n    2]\n"
        "changed = [1, 2]\n"
        "changed[1] = 5\n"
        "rules = {'a.b': dict(\n    mult=2)}\n"
        "rules.update(\n    c=3,\n    d=dict(\n        e=4))\n"
        "none = []\n"
    )
    values = read_places(files / "values.py").values(Config.fromfile(files / "values.py").to_dict())
    assert [(path, value, place.rpartition(":")[2]) for path, value, place in values] == [
        ("plain", [1, (2, 3)], "1"),
        ("spread.0", 1, "3"),
        ("spread.1", 2, "4"),
        ("changed.0", 1, "5"),
        ("changed.1", 5, "6"),
        ("rules.a.b.mult", 2, "8"),
        ("rules.c", 3, "10"),
        ("rules.d.e", 4, "12"),
        ("none", [], "13"),
    ]
