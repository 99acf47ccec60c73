import copy
import logging
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest

from kinema.config import Config, ConfigDict
from kinema.errors import ConfigError


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def read(folder: Path, name: str, text: str) -> dict[str, Any]:
    return Config.fromfile(write(folder, name, text)).to_dict()


# ---- attribute dicts


def test_keys_are_attributes_at_every_depth() -> None:
    cfg = ConfigDict(model={"backbone": {"depth": 50}}, steps=[{"type": "A"}], pair=({"x": 1}, 2))
    assert cfg.model.backbone.depth == 50
    assert cfg.steps[0].type == "A"
    assert cfg.pair[0].x == 1
    cfg.model.backbone.depth = 101
    cfg.model.neck = {"type": "B"}
    assert cfg["model"]["backbone"] == {"depth": 101}
    assert cfg.model.neck.type == "B"
    del cfg.model.neck
    assert "neck" not in cfg.model
    assert cfg.setdefault("new", {"a": 1}).a == 1
    assert cfg.setdefault("new", 3) == {"a": 1}


def test_a_missing_attribute_names_the_nearest() -> None:
    cfg = ConfigDict(model=1, seed=2, work_dir=3)
    with pytest.raises(AttributeError, match=r"the config has no key 'modle' \(did you mean model\?\)"):
        _ = cfg.modle
    with pytest.raises(AttributeError, match=r"no key 'xyz' \(there are: model, seed, work_dir\)"):
        _ = cfg.xyz
    with pytest.raises(AttributeError, match=r"no key 'modle' \(did you mean model"):
        del cfg.modle
    with pytest.raises(KeyError, match="no key 'modle'"):
        _ = cfg["modle"]
    assert not hasattr(cfg, "__wrapped__")


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
@pytest.mark.parametrize("kind", [Config, ConfigDict])
def test_configs_are_copied_and_pickled(kind: Any, copied: Any) -> None:
    cfg = kind({"a": {"b": [{"c": 1}]}})
    other = copied(cfg)
    assert other == cfg
    other.a.b[0].c = 2
    assert cfg.a.b[0].c == 1
    assert type(other) is kind


def test_to_dict_is_plain_all_through() -> None:
    plain = ConfigDict(a={"b": ({"c": 1},)}).to_dict()
    assert type(plain) is type(plain["a"]) is type(plain["a"]["b"][0]) is dict
    shallow = ConfigDict(a={"b": 1}).copy()
    assert type(shallow) is ConfigDict


# ---- the config object


def test_a_config_is_a_mapping_with_attributes() -> None:
    cfg = Config({"model": {"depth": 50}, "seed": 1})
    assert cfg.model.depth == cfg["model"]["depth"] == 50
    assert list(cfg) == ["model", "seed"]
    assert len(cfg) == 2
    assert "seed" in cfg
    assert cfg.get("seed") == 1
    assert cfg.get("none", 5) == 5
    assert dict(cfg) == {"model": {"depth": 50}, "seed": 1} == cfg
    assert cfg.pop("seed") == 1
    cfg.lr = 0.1
    cfg["epochs"] = 3
    del cfg.lr
    del cfg["epochs"]
    assert cfg == Config({"model": {"depth": 50}})
    assert not Config()
    assert cfg.filename is None
    assert repr(cfg) == "Config (path: None): {'model': {'depth': 50}}"


def test_a_config_leaves_what_it_was_made_of_alone() -> None:
    given = ConfigDict(model={"depth": 50})
    Config(given).merge_from_dict({"model.depth": 18})
    assert given.model.depth == 50


def test_reserved_keys_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the key 'text' is reserved"):
        Config({"text": 1})
    with pytest.raises(ConfigError, match="the key 'filename' is reserved"):
        Config().filename = "a.py"
    with pytest.raises(ConfigError, match=r"a\.py: the key 'pretty_text' is reserved"):
        read(tmp_path, "a.py", "pretty_text = 1")


# ---- files


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "a.py",
            "import math\nfrom pathlib import Path\ndef f(): return 3\nn = f()\nmodel = dict(depth=50, s=(1, 2.5))\n",
        ),
        ("a.yaml", "n: 3\nmodel: {depth: 50, s: !!python/tuple [1, 2.5]}\n"),
        ("a.yml", "n: 3\nmodel:\n  depth: 50\n  s: !!python/tuple [1, 2.5]\n"),
    ],
)
def test_every_language_gives_the_same_config(tmp_path: Path, name: str, text: str) -> None:
    cfg = Config.fromfile(write(tmp_path, name, text))
    assert cfg == {"n": 3, "model": {"depth": 50, "s": (1, 2.5)}}
    assert cfg.filename == str(tmp_path / name)
    assert cfg.model.depth == 50


def test_json_and_empty_yaml_are_read(tmp_path: Path) -> None:
    assert read(tmp_path, "a.json", '{"a": [1, null, {"b": true}]}') == {"a": [1, None, {"b": True}]}
    assert read(tmp_path, "a.yaml", "# nothing yet\n") == {}


def test_yaml_reads_exponents_without_a_point_as_numbers(tmp_path: Path) -> None:
    assert read(tmp_path, "a.yaml", "lr: 1e-3\nname: 1e-3x\nquoted: '1e-3'\n") == {
        "lr": 1e-3,
        "name": "1e-3x",
        "quoted": "1e-3",
    }


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.py", "x = 1\ny = (\n", r"a\.py:2: .*"),
        ("a.py", "x = 1\nreturn 3\n", r"a\.py:2: 'return' outside function: return 3"),
        ("a.py", "x = 1\n\ny = x.nothing\n", r"a\.py:3: AttributeError: 'int' object has no attribute 'nothing'"),
        ("a.yaml", "a: 1\nb: [1\n", r"a\.yaml:3: this is no valid YAML: "),
        ("a.json", '{"a": 1,\n b}', r"a\.json:2: this is no valid JSON: "),
        ("a.json", "[1]", r"a\.json: a config must be a mapping of keys to values, got a list"),
        ("a.toml", "a = 1", r"a\.toml: a config is a file of \.py, \.yaml, \.yml, \.json"),
        ("a.py", "_base_ = 3", r"a\.py: _base_ must be a file name or a list of them, got 3"),
        (
            "a.py",
            "x = 'b.py'\n_base_ = x",
            r"a\.py:2: _base_ must be a file name or a list of them: name 'x' is not defined",
        ),
        ("a.py", "_base_ = 'none.py'", r"none\.py: there is no such config file"),
        ("a.py", "_base_ = 'a.py'", r"a\.py inherits from itself: a\.py -> a\.py"),
        (
            "a.py",
            "_base_ = 'no_such_package::b.py'",
            r"names 'no_such_package::b\.py', but there is no package 'no_such_package'",
        ),
        (
            "a.py",
            "x = 1\ny = '{{$NOT_SET_ANYWHERE:}}'",
            r"a\.py:2: the environment has no variable NOT_SET_ANYWHERE: set it, or",
        ),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, name, text)


def test_a_file_that_is_not_there_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.py: there is no such config file"):
        Config.fromfile(tmp_path / "none.py")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9")
    with pytest.raises(ConfigError, match=r"latin\.yaml: a config must be UTF-8 text"):
        Config.fromfile(tmp_path / "latin.yaml")
    (tmp_path / "loop.py").symlink_to(tmp_path / "loop.py")
    with pytest.raises(ConfigError, match=r"loop\.py: is a link that leads back to itself"):
        Config.fromfile(tmp_path / "loop.py")


@pytest.mark.parametrize(("name", "text"), [("a.py", "b = 3\n"), ("a.json", '{"b": 3}'), ("a.yaml", "b: 3\n")])
def test_the_mark_that_windows_programs_write_before_a_text_is_left_out(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8-sig")
    assert Config.fromfile(tmp_path / name).b == 3


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", '{"a": ' + "9" * 5000 + "}"),
        ("a.py", "a = " + "9" * 5000),
        ("a.yaml", "a: " + "9" * 5000),
        ("a.py", "a = 1\0"),
        ("a.json", '{"a": "\0"}'),
        ("a.json", "[" * 100_000),
        ("a.py", "a = " + "-" * 100_000 + "1"),
        ("a.py", "_base_ = 5 * [1]"),
        ("a.py", "_base_ = ''"),
        ("a.py", "_base_ = 'no.such.package::a.py'"),
        ("a.py", "_base_ = '.a::a.py'"),
        ("a.py", "raise SystemExit(3)"),
        ("a.py", "def f(): return f()\nf()"),
    ],
)
def test_an_odd_file_is_named(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ConfigError, match=rf"{name}"):
        Config.fromfile(tmp_path / name)


# ---- inheritance


def test_dicts_are_merged_and_everything_else_is_replaced(tmp_path: Path) -> None:
    write(
        tmp_path,
        "base.py",
        "model = dict(type='A', backbone=dict(depth=50, stages=[1, 2]))\nseed = 1\nnothing = None\n",
    )
    assert read(
        tmp_path,
        "a.py",
        "_base_ = './base.py'\nmodel = dict(backbone=dict(stages=[3]), neck=dict(x=1))\nnothing = dict(a=1)\n",
    ) == {
        "model": {"type": "A", "backbone": {"depth": 50, "stages": [3]}, "neck": {"x": 1}},
        "seed": 1,
        "nothing": {"a": 1},
    }


def test_delete_replaces_a_dict_as_a_whole(tmp_path: Path) -> None:
    write(tmp_path, "base.py", "optim = dict(type='SGD', momentum=0.9)\n")
    text = (
        "_base_ = ['base.py']\noptim = dict(_delete_=True, type='Adam')\nnew = dict(_delete_=True,"
        " inner=dict(_delete_=True, a=1))\n"
    )
    assert read(tmp_path, "a.py", text) == {"optim": {"type": "Adam"}, "new": {"inner": {"a": 1}}}


def test_a_dict_over_another_value_needs_delete(tmp_path: Path) -> None:
    write(tmp_path, "base.yaml", "model: {head: name}\n")
    with pytest.raises(
        ConfigError,
        match=r"a\.yaml: model\.head is a dict, but a str in the config it inherits from: add _delete_=True",
    ):
        read(tmp_path, "a.yaml", "_base_: base.yaml\nmodel: {head: {type: A}}\n")


def test_several_bases_must_not_share_keys(tmp_path: Path) -> None:
    write(tmp_path, "one.py", "a = 1\nshared = 1\n")
    write(tmp_path, "two.json", '{"b": 2}')
    assert read(tmp_path, "good.py", "_base_ = ['one.py', 'two.json']\nb = 3\n") == {"a": 1, "shared": 1, "b": 3}
    write(tmp_path, "two.json", '{"shared": 2}')
    with pytest.raises(
        ConfigError, match=r"bad\.py: 'shared' is in two of the configs it inherits from, one\.py and two\.json"
    ):
        read(tmp_path, "bad.py", "_base_ = ['one.py', 'two.json']\n")


def test_bases_are_found_relative_to_the_file_and_over_several_steps(tmp_path: Path) -> None:
    write(tmp_path, "base/root.py", "a = dict(x=1)\n")
    write(tmp_path, "base/middle.py", "_base_ = 'root.py'\na = dict(y=2)\n")
    assert read(tmp_path, "task/a.py", "_base_ = '../base/middle.py'\na = dict(z=3)\n") == {
        "a": {"x": 1, "y": 2, "z": 3}
    }


@pytest.mark.parametrize("place", ["base.py", "configs/base.py", ".mim/configs/base.py"])
def test_bases_are_found_in_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    write(tmp_path, "cfgpackage/__init__.py", "raise AssertionError('must not be imported')")
    write(tmp_path, f"cfgpackage/{place}", "a = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert read(tmp_path, "a.py", "_base_ = 'cfgpackage::base.py'\nb = 2\n") == {"a": 1, "b": 2}


def test_inherited_values_are_used_by_name_in_python(tmp_path: Path) -> None:
    write(tmp_path, "base.py", "model = dict(depth=50, sizes=[dict(w=7)])\nname = 'tsn'\n")
    text = (
        "_base_ = 'base.py'\n"
        "plain = _base_.model.depth * 2\n"
        "braces = {{_base_.model.depth}}\n"
        "spaced = [{{ _base_.name }}, {1}]\n"
        "quoted = '{{_base_.model}}'\n"
        "part = 'out/{{_base_.name}}/{{_base_.model.depth}}'\n"
        "index = '{{_base_.model.sizes.0.w}}'\n"
        "copied = _base_.model\n"
        "copied.depth = 1\n"
    )
    cfg = read(tmp_path, "a.py", text)
    assert cfg["model"] == {"depth": 50, "sizes": [{"w": 7}]}
    assert cfg["plain"] == 100
    assert cfg["copied"]["depth"] == 1
    assert cfg["braces"] == 50
    assert cfg["spaced"] == ["tsn", {1}]
    assert cfg["part"] == "out/tsn/50"
    assert cfg["index"] == 7
    assert "_base_" not in cfg


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "a.yaml",
            (
                "_base_: base.yaml\nn: {{_base_.model.depth}}\nm: '{{ _base_.model }}'\npath:"
                " x-{{_base_.model.depth}}\nl: [a, {{_base_.model.depth}}]\n"
            ),
        ),
        (
            "a.json",
            (
                '{"_base_": "base.yaml", "n": "{{_base_.model.depth}}", "m": {{_base_.model}},\n "path":'
                ' "x-{{_base_.model.depth}}", "l": ["a", {{_base_.model.depth}}]}'
            ),
        ),
    ],
)
def test_inherited_values_are_used_by_name_in_data_files(tmp_path: Path, name: str, text: str) -> None:
    write(tmp_path, "base.yaml", "model: {depth: 50}\n")
    assert read(tmp_path, name, text) == {
        "model": {"depth": 50},
        "n": 50,
        "m": {"depth": 50},
        "path": "x-50",
        "l": ["a", 50],
    }


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "a.py",
            "_base_ = 'base.yaml'\nx = '{{_base_.model.width}}'",
            r"a\.py:2: there is no inherited value _base_\.model\.width",
        ),
        (
            "a.py",
            "_base_ = 'base.yaml'\nx = 'w{{_base_.model.width}}'",
            r"a\.py:2: there is no inherited value _base_\.model\.width",
        ),
        (
            "a.py",
            "_base_ = 'base.yaml'\nx = _base_.modle",
            r"a\.py:2: AttributeError: the config has no key 'modle' \(did you mean model",
        ),
        (
            "a.yaml",
            "_base_: base.yaml\nx: '{{_base_.model.depth.x}}'",
            r"a\.yaml: there is no inherited value _base_\.model\.depth\.x",
        ),
    ],
)
def test_a_reference_to_nothing_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    write(tmp_path, "base.yaml", "model: {depth: 50}\n")
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, name, text)


def test_the_file_and_the_environment_give_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINEMA_TEST_EPOCHS", "7")
    text = (
        "work_dir = '{{ fileDirname }}/{{fileBasenameNoExtension}}'\n"
        "name = '{{ fileBasename }}{{ fileExtname }}'\n"
        "epochs = {{$KINEMA_TEST_EPOCHS:3}}\n"
        "other = '{{ $KINEMA_TEST_NOTHING:a/b }}'\n"
    )
    assert read(tmp_path, "a.py", text) == {
        "work_dir": f"{tmp_path.as_posix()}/a",
        "name": "a.py.py",
        "epochs": 7,
        "other": "a/b",
    }


def test_a_deprecated_file_warns(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.WARNING, logger="kinema"),
        pytest.warns(DeprecationWarning, match="a.py is deprecated"),
    ):
        assert read(tmp_path, "a.py", "_deprecation_ = dict(expected='b.py')\nx = 1\n") == {"x": 1}
    assert "a.py is deprecated: {'expected': 'b.py'}" in caplog.text


# ---- custom imports


def test_custom_imports_are_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "kinema_custom_part.py", "LOADED = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    text = "custom_imports = dict(imports=['kinema_custom_part'], allow_failed_imports=False)\n"
    file = write(tmp_path, "a.py", text)
    Config.fromfile(file, import_custom_modules=False)
    assert "kinema_custom_part" not in sys.modules
    assert Config.fromfile(file).custom_imports.imports == ["kinema_custom_part"]
    assert sys.modules.pop("kinema_custom_part").LOADED


def test_a_custom_import_that_fails_is_an_error_unless_allowed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(
        ConfigError, match=r"a\.py: custom_imports: no_such_part cannot be imported: No module named 'no_such_part'"
    ):
        read(tmp_path, "a.py", "custom_imports = dict(imports='no_such_part')\n")
    with caplog.at_level(logging.WARNING, logger="kinema"), pytest.warns(UserWarning, match="no_such_part cannot"):
        read(tmp_path, "a.py", "custom_imports = dict(imports=['no_such_part'], allow_failed_imports=True)\n")
    assert "no_such_part cannot be imported" in caplog.text
    with pytest.raises(
        ConfigError, match=r"custom_imports must be dict\(imports=\['package\.module', \.\.\.\]\), got \['x'\]"
    ):
        read(tmp_path, "a.py", "custom_imports = ['x']\n")
