"""The private steps of OpenMMLab's `Config`, which its tests and subclasses call."""

import pytest

from kinema.config import Config
from kinema.errors import ConfigError


def test_a_dict_is_merged_over_another_and_into_lists():
    base = {"a": {"x": 1}, "steps": [{"p": 1}, {"q": 2}]}
    assert Config._merge_a_into_b({"a": {"y": 2}}, base)["a"] == {"x": 1, "y": 2}
    assert Config._merge_a_into_b({"a": {"_delete_": True, "y": 2}}, base)["a"] == {"y": 2}
    assert base["a"] == {"x": 1}
    merged = Config._merge_a_into_b({"steps": {"1": {"r": 3}}}, base, allow_list_keys=True)
    assert merged["steps"] == [{"p": 1}, {"q": 2, "r": 3}]
    with pytest.raises(ConfigError, match="steps is a dict, but a list in the config it inherits from"):
        Config._merge_a_into_b({"steps": {"1": {"r": 3}}}, base)


def test_a_file_is_checked_and_names_its_bases(tmp_path):
    (tmp_path / "own.py").write_text("_base_ = ['a.py', 'b.py']\nx = 1\n")
    (tmp_path / "own.yaml").write_text("_base_: c.yaml\n")
    (tmp_path / "wrong.py").write_text("x = = 1\n")
    Config._validate_py_syntax(tmp_path / "own.py")
    assert Config._get_base_files(tmp_path / "own.py") == ["a.py", "b.py"]
    assert Config._get_base_files(tmp_path / "own.yaml") == ["c.yaml"]
    with pytest.raises(ConfigError, match=r"wrong\.py:1"):
        Config._validate_py_syntax(tmp_path / "wrong.py")


def test_variables_are_filled_in_step_by_step(tmp_path, monkeypatch):
    monkeypatch.setenv("SPEED", "3")
    file, copy = tmp_path / "own.py", tmp_path / "copy.py"
    file.write_text("a = '{{ fileBasename }}'\nb = '{{$SPEED:1}}'\nc = {{_base_.m.n}}\n")
    Config._substitute_predefined_vars(file, copy)
    assert "a = 'own.py'" in copy.read_text()
    assert Config._substitute_env_variables(file, copy) == {"SPEED": "3"}
    assert "b = '3'" in copy.read_text()
    paths = Config._pre_substitute_base_vars(file, copy)
    ((name, dotted),) = paths.items()
    assert dotted == "m.n"
    assert f'c = "{name}"' in copy.read_text()
    filled = Config._substitute_base_vars({"c": [name, "other"]}, paths, {"m": {"n": 5}})
    assert filled == {"c": [5, "other"]}
