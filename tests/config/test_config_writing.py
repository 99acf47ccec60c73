"""Configs written as text and read back."""

import math
from pathlib import Path

import pytest

from kinema.config import Config
from kinema.errors import ConfigError
from kinema.structures import LabelData

PLAIN = {
    "model": {
        "type": "TSN",
        "depth": 50,
        "scale": (1, 2.5),
        "one": (1,),
        "empty": {},
        "none": [],
        "inner": {"lr": 1e-05},
    },
    "pipeline": [
        {"type": "OpenVideo"},
        {"type": "SampleFrames", "clip_len": 16, "frame_interval": 2, "num_clips": 10, "x": "y" * 60},
    ],
    "quotes": 'it\'s "so"\nand so',
    "looks_like_a_number": "1e-3",
    "yes": True,
    "infinite": math.inf,
    "unicode": "Äpfel",
}


@pytest.mark.parametrize("name", ["out.py", "out.yaml", "out.yml", "out.json"])
def test_a_written_config_reads_back_equal(tmp_path: Path, name: str) -> None:
    cfg = Config(PLAIN)
    if name.endswith("json"):
        cfg.merge_from_dict({"model.scale": [1, 2.5], "model.one": [1]})  # JSON has no tuples
    assert cfg.dump(tmp_path / name) is None
    assert Config.fromfile(tmp_path / name).to_dict() == cfg.to_dict()


def test_keys_that_are_no_names_are_written_too(tmp_path: Path) -> None:
    cfg = Config({"my-key": {1: "a", "b c": 2, "class": 3}, "for": 1})
    for name in ("out.py", "out.yaml"):
        cfg.dump(tmp_path / name)
        assert Config.fromfile(tmp_path / name) == cfg


def test_python_text_is_readable() -> None:
    text = Config(
        {"lr": 0.1, "model": {"type": "A", "size": (1, 2)}, "pipeline": [{"type": "X" * 50}, {"type": "Y" * 60}]}
    ).pretty_text
    assert text == (
        "lr = 0.1\n"
        "model = dict(type='A', size=(1, 2))\n"
        "pipeline = [\n"
        f"    dict(type='{'X' * 50}'),\n"
        f"    dict(type='{'Y' * 60}'),\n"
        "]\n"
    )
    assert Config({"lr": 0.1}).dump() == "lr = 0.1\n"


def test_classes_and_functions_are_imported_by_the_written_file(tmp_path: Path) -> None:
    cfg = Config({"head": {"type": LabelData, "norm": math.sqrt}})
    cfg.dump(tmp_path / "out.py")
    assert Config.fromfile(tmp_path / "out.py") == cfg
    assert (
        (tmp_path / "out.py")
        .read_text()
        .startswith("import kinema.structures.label\nimport math\n\nhead = dict(type=kinema.")
    )


def test_paths_become_strings() -> None:
    assert Config({"work_dir": Path("a/b")}).pretty_text == "work_dir = 'a/b'\n"


def test_what_a_file_cannot_hold_is_named(tmp_path: Path) -> None:
    class Local:
        pass

    with pytest.raises(ConfigError, match=r"model\.0\.type is a object, which a config file cannot hold: <object"):
        _ = Config({"model": [{"type": object()}]}).pretty_text
    with pytest.raises(ConfigError, match=r"type is .*<locals>\.Local, which no other program can import: register it"):
        _ = Config({"type": Local}).pretty_text
    with pytest.raises(ConfigError, match=r"hook is list\.append, which no other program can import"):
        _ = Config({"hook": [].append}).pretty_text
    with pytest.raises(ConfigError, match="kind is a type, which YAML cannot hold"):
        Config({"kind": LabelData}).dump(tmp_path / "a.yaml")
    with pytest.raises(ConfigError, match="kind is a type, which JSON cannot hold"):
        Config({"kind": LabelData}).dump(tmp_path / "a.json")
    with pytest.raises(ConfigError, match=r"names\.0 has the key 1, but keys of JSON are strings; \.py and"):
        Config({"names": [{1: "a"}]}).dump(tmp_path / "a.json")
    with pytest.raises(ConfigError, match=r"a\.txt: a config is written as \.py, \.yaml, \.yml, \.json, not \.txt"):
        Config().dump(tmp_path / "a.txt")


@pytest.mark.parametrize("suffix", [".yaml", ".json"])
def test_the_class_of_a_part_is_written_by_name_where_a_language_has_no_imports(tmp_path: Path, suffix: str) -> None:
    Config({"head": {"type": LabelData}}).dump(tmp_path / f"a{suffix}")
    assert Config.fromfile(tmp_path / f"a{suffix}") == {"head": {"type": "kinema.structures.label.LabelData"}}


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.json", '{\n  "a": {\n    "b": 1\n  }\n}\n'), ("a.yaml", "a:\n  b: 1\n"), ("a.py", "a = dict(b=1)\n")],
)
def test_the_text_of_a_config_is_in_the_language_that_it_was_read_from(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert Config.fromfile(tmp_path / name).dump() == text
    assert Config({"a": {"b": 1}}).dump() == "a = dict(b=1)\n"


def test_a_text_with_an_odd_line_break_reads_back_from_yaml(tmp_path: Path) -> None:
    config = Config({"words": ["\x85", "a\x85 b", "\u2028"]})
    config.dump(tmp_path / "a.yaml")
    assert Config.fromfile(tmp_path / "a.yaml").to_dict() == config.to_dict()
