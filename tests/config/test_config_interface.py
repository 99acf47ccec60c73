from pathlib import Path

import pytest

from kinema.config import Config, ConfigDict
from kinema.errors import ConfigError


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_a_config_keeps_the_texts_that_it_was_read_from(tmp_path: Path) -> None:
    base = write(tmp_path, "base.py", "x = 1\n")
    file = write(tmp_path, "a.py", "_base_ = 'base.py'\ny = 2\n")
    assert Config.fromfile(file).text == f"{base}\nx = 1\n\n{file}\n_base_ = 'base.py'\ny = 2\n"
    assert Config({"x": 1}, filename=base).text == "x = 1\n"
    assert (Config().text, Config({}, "x = 1").text) == ("", "x = 1")


def test_a_config_is_read_from_text() -> None:
    for text, suffix in (("a = dict(b=1)", ".py"), ('{"a": {"b": 1}}', ".json"), ("a: {b: 1}", ".yaml")):
        config = Config.fromstring(text, suffix)
        assert (config, config.text, config.filename) == ({"a": {"b": 1}}, text, None)
    with pytest.raises(ConfigError, match=r"file_format must be one of \.py, \.yaml, \.yml, \.json, got '\.xml'"):
        Config.fromstring("a = 1", ".xml")


def test_what_is_no_dict_is_no_config() -> None:
    with pytest.raises(TypeError, match=r"the entries of a config must be a dict, got list: \[1\]"):
        Config([1])  # type: ignore[arg-type]


def test_two_configs_are_compared_line_by_line(tmp_path: Path) -> None:
    expected = "--- \n\n+++ \n\n@@ -1,3 +1,3 @@\n\n a = 1\n-b = 2\n+b = 3\n \n\n"
    assert Config.diff(Config({"b": 2, "a": 1}), Config({"a": 1, "b": 3})) == expected
    assert Config.diff(write(tmp_path, "a.py", "a = 1\nb = 2\n"), write(tmp_path, "b.py", "b = 3\na = 1\n")) == expected


def test_a_command_line_gets_an_option_for_each_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path, "a.py", "a = 1\nb = dict(c='x', d=[1, 2], e=[])\nf = False\ng = None\nh = 0.5\n")
    monkeypatch.setattr("sys.argv", ["train.py", str(file), "--a", "3", "--b.d", "4", "5", "--f"])
    parser, config = Config.auto_argparser("trains")
    options = vars(parser.parse_args())
    assert config.b.c == "x"
    assert options == {"config": str(file), "a": 3, "b.c": None, "b.d": [4, 5], "f": True, "h": None}


@pytest.mark.parametrize(("suffix", "form"), [(".py", "x = {}"), (".json", '{{"x": {}}}'), (".yaml", "x: {}")])
def test_a_variable_without_quotes_around_it_gives_a_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, form: str
) -> None:
    monkeypatch.setenv("KINEMA_SIZE", "[224, 3.5]")
    file = write(tmp_path, f"a{suffix}", form.format("{{'$KINEMA_SIZE:80'}}"))
    config = Config.fromfile(file)
    assert (config.x, config.env_variables) == ([224, 3.5], {"KINEMA_SIZE": "[224, 3.5]"})
    assert Config.fromfile(write(tmp_path, f"b{suffix}", form.format('{{"$KINEMA_NO:80"}}'))).x == 80
    assert Config.fromfile(write(tmp_path, f"b{suffix}", form.format('{{"$KINEMA_NO:{a"}}'))).x == "{a"
    text = form.format("'{{ fileBasename }}{{$KINEMA_NO:q}}'").replace("'", '"')
    assert Config.fromfile(write(tmp_path, f"c{suffix}", text)).x == f"c{suffix}q"
    as_written = Config.fromfile(tmp_path / f"c{suffix}", False, use_environment_variables=False)
    assert as_written.x == "{{ fileBasename }}{{$KINEMA_NO:q}}"


def test_updates_are_merged_into_the_dicts_that_are_there() -> None:
    config = Config({"a": {"b": {"c": 1, "d": 2}}})
    config.update({"a": {"b": {"c": 3}}}, e=4)
    config.a.update(b={"f": 5})
    assert config == {"a": {"b": {"c": 3, "d": 2, "f": 5}}, "e": 4}
    config.a.merge({"b": {"_delete_": True, "g": 6}})
    assert config.a == {"b": {"g": 6}}


def test_a_copy_is_shallow() -> None:
    config = Config({"a": {"b": 1}}, filename="x.py")
    other = config.copy()
    other.c = 3
    assert (type(other), other.a is config.a, other.filename, "c" in config) == (Config, True, "x.py", False)


def test_entries_are_lists_and_a_missing_one_is_popped_as_none() -> None:
    config = Config({"a": 1, "b": 2})
    assert (config.values()[0], config.items()[1], list(config.keys())) == (1, ("b", 2), ["a", "b"])
    assert (config.pop("c"), config.pop("c", 3), config.pop("a")) == (None, 3, 1)


def test_long_lines_stay_when_the_code_is_not_formatted() -> None:
    values = {"a": ["x" * 50, "y" * 50, "z" * 50]}
    assert len(Config(values).pretty_text.splitlines()) == 5
    assert len(Config(values, format_python_code=False).pretty_text.splitlines()) == 1


def test_overrides_reach_tuples_and_entries_of_lists() -> None:
    config = Config({"size": (1, 2), "steps": [{"a": 1}, {"b": 2}], "pairs": ({"c": 1}, 2)})
    config.merge_from_dict({"size.1": 3, "steps": {"0": {"a": 4}, -1: {"c": 5}}, "pairs.0.c": 6})
    assert config == {"size": (1, 3), "steps": [{"a": 4}, {"b": 2, "c": 5}], "pairs": ({"c": 6}, 2)}
    with pytest.raises(ConfigError, match="cannot set size: '2' is no index of a list of 2"):
        config.merge_from_dict({"size": {"2": 1}})
    with pytest.raises(ConfigError, match=r"cannot set steps\.0\.a: steps is a list, which holds no keys"):
        config.merge_from_dict({"steps.0.a": 1}, allow_list_keys=False)


def test_dicts_of_a_class_of_their_own_stay_what_they_are() -> None:
    class Table(dict):  # type: ignore[type-arg]
        pass

    assert type(ConfigDict(a=Table(b=1)).a) is Table
