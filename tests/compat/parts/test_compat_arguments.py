import argparse

import pytest

from kinema.compat.parts.arguments import DictAction
from kinema.config import Config
from kinema.errors import ConfigError


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cfg-options", nargs="+", action=DictAction)
    return parser


def test_options_are_parsed_add_up_and_change_a_config(parser: argparse.ArgumentParser) -> None:
    line = [
        "--cfg-options",
        "model.depth=50",
        "lr=1e-3",
        "--cfg-options",
        "sizes=(1,2)",
        "names=a,b",
        "model.depth=101",
    ]
    options = parser.parse_args(line).cfg_options
    assert options == {"model.depth": 101, "lr": 1e-3, "sizes": (1, 2), "names": ["a", "b"]}
    cfg = Config({"model": {"depth": 18, "width": 64}})
    cfg.merge_from_dict(options)
    assert cfg.model == {"depth": 101, "width": 64}
    assert parser.parse_args([]).cfg_options is None


def test_quotes_around_a_whole_value_mean_nothing(parser: argparse.ArgumentParser) -> None:
    line = ["--cfg-options", 'a="[(1,2),x]"', "b='3'", "c=none", "d=None", "e='x','y'", 'f="True"']
    options = parser.parse_args(line).cfg_options
    assert options == {"a": [(1, 2), "x"], "b": 3, "c": "none", "d": None, "e": ["x", "y"], "f": True}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("NONE", "NONE"),
        ("(true,none)", (True, "none")),
        ("[None,FALSE]", [None, False]),
        ("1_000", 1000),
        ("[1_0,.5,1e3]", [10, 0.5, 1000.0]),
        ("1__0", "1__0"),
    ],
)
def test_numbers_and_none_are_read_as_in_openmmlab_tools(
    parser: argparse.ArgumentParser, text: str, value: object
) -> None:
    assert parser.parse_args(["--cfg-options", f"a={text}"]).cfg_options == {"a": value}


def test_what_is_no_override_is_an_error(parser: argparse.ArgumentParser) -> None:
    with pytest.raises(ConfigError, match="argument --cfg-options: an override must be KEY=VALUE"):
        parser.parse_args(["--cfg-options", "depth"])


def test_the_parsers_of_single_values_can_be_called() -> None:
    texts = ["3", "2.5", "true", "None", "fast"]
    assert [DictAction._parse_int_float_bool(text) for text in texts] == [3, 2.5, True, None, "fast"]
    assert DictAction._parse_iterable("(1,2)") == (1, 2)
    assert DictAction._parse_iterable("[a,[b,c]]") == ["a", ["b", "c"]]
    assert DictAction._parse_iterable("1,2,3") == [1, 2, 3]
