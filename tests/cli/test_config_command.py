"""`kinema config`."""

import json
from pathlib import Path

import pytest

from command_line import kinema
from kinema.config import Config

BASE = "rate = 0.1\nmodel = dict(\n    type='Recognizer2D',\n    backbone=dict(type='ResNet', depth=50))\n"
OWN = "_base_ = 'base.py'\nmodel = dict(backbone=dict(depth=101))\nsteps = [dict(a=(1, 2)), None]\n"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "base.py").write_text(BASE)
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "own.py"


def test_the_resolved_config_reads_back_equal(file: Path) -> None:
    shown = kinema("config", file, "--set", "steps.0.a=(3,4)", "--set", "rate=1e-3")
    assert shown.returncode == 0
    (file.parent / "shown.py").write_text(shown.stdout)
    again = Config.fromfile(file.parent / "shown.py").to_dict()
    assert again == {**Config.fromfile(file).to_dict(), "rate": 1e-3, "steps": [{"a": (3, 4)}, None]}


def test_json_is_one_value(file: Path) -> None:
    shown = json.loads(kinema("config", file, "--json").stdout)
    assert shown["model"]["backbone"] == {"type": "ResNet", "depth": 101}
    assert shown["steps"] == [{"a": [1, 2]}, None]


def test_each_value_has_its_origin(file: Path) -> None:
    shown = kinema("config", file, "--origin", "--set", "rate=0.5").stdout.splitlines()
    assert [line.split() for line in shown] == [
        ["rate", "=", "0.5", "command", "line"],
        ["model.type", "=", "'Recognizer2D'", "base.py:3"],
        ["model.backbone.type", "=", "'ResNet'", "base.py:4"],
        ["model.backbone.depth", "=", "101", "own.py:2"],
        ["steps.0.a", "=", "(1,", "2)", "own.py:3"],
        ["steps.1", "=", "None", "own.py:3"],
    ]
    as_json = json.loads(kinema("config", file, "--origin", "--json").stdout)
    assert as_json["model.backbone.depth"] == {"value": 101, "origin": str(file.resolve()) + ":2"}


def test_a_config_is_checked_without_building_it(file: Path) -> None:
    good = kinema("config", file, "--check")
    assert (good.returncode, good.stdout) == (0, "")
    assert "own.py: all parts and keywords are known" in good.stderr
    bad = kinema("config", file, "--check", "--set", "model.backbone.dept=1", "--set", "model.cls_head.type=None1")
    assert bad.returncode == 1
    assert bad.stderr.splitlines()[0] == "error: the config has 2 problems:"
    assert "command line: model.backbone: ResNet has no keyword 'dept' (did you mean depth?)" in bad.stderr
    listed = kinema("config", file, "--check", "--json", "--set", "model.backbone.dept=1")
    assert listed.returncode == 1
    (problem,) = json.loads(listed.stdout)["problems"]
    assert (problem["key"], problem["place"]) == ("model.backbone.dept", "command line")


def test_wrong_questions_are_refused(file: Path) -> None:
    both = kinema("config", file, "--check", "--origin")
    assert both.returncode == 2
    assert "--origin, --check and --as-recipe are three" in " ".join(both.stderr.replace("│", " ").split())
    none = kinema("config", file.parent / "none.py")
    assert none.returncode == 1
    assert "none.py: there is no such config file" in none.stderr
    (file.parent / "config.py").touch()
    folder = kinema("config", file.parent)
    assert f"is a folder, expected a config: name {file.parent / 'config.py'}" in folder.stderr
