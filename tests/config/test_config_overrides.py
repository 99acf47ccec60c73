"""Overrides of single entries of a config."""

import math
from typing import Any

import pytest

from kinema.config import Config, parse_override
from kinema.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-3", -3),
        ("1e-3", 1e-3),
        (".5", 0.5),
        ("inf", math.inf),
        ("true", True),
        ("False", False),
        ("None", None),
        ("SGD", "SGD"),
        ("", ""),
        ("a/b c.mp4", "a/b c.mp4"),
        ("1_000", "1_000"),
        ("don't", "don't"),
        ("'3'", "3"),
        ('"a,b"', "a,b"),
        ("a=b", "a=b"),
        ("1,2.5,x", [1, 2.5, "x"]),
        ("1,", [1]),
        ("[1,2]", [1, 2]),
        ("[]", []),
        ("()", ()),
        ("(1,)", (1,)),
        ("(1,2)", (1, 2)),
        ("[(1,2),[a,None],'b,c']", [(1, 2), ["a", None], "b,c"]),
        ("(a, b), 3", [("a", "b"), 3]),
        ("{'a': [1, 'x,y']}", {"a": [1, "x,y"]}),
        ("[{'a': 1},{'a': 2}]", [{"a": 1}, {"a": 2}]),
        ("dict(a=1, b='x,y', c=dict(d=[1,z]),)", {"a": 1, "b": "x,y", "c": {"d": [1, "z"]}}),
        ("[dict(type=EMAHook),dict()]", [{"type": "EMAHook"}, {}]),
        ("dict(a)b", "dict(a)b"),
    ],
)
def test_an_override_is_parsed(text: str, value: Any) -> None:
    key, parsed = parse_override(f"a.b.c={text}")
    assert key == "a.b.c"
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.b", r"an override must be KEY=VALUE, for instance model\.backbone\.depth=101, got 'a\.b'"),
        ("=3", "an override must be KEY=VALUE"),
        ("a=[1,2", r"the value of a cannot be read: '\]' is missing in '\[1,2'"),
        ("a=1]", r"the value of a cannot be read: '\]' closes nothing in '1\]'"),
        ("a='x", r"the value of a cannot be read: \"'\" is missing"),
        ("a={b: 1}", r"the value of a cannot be read: a dict must be written as in Python"),
        ("a=dict(b)", r"the value of a cannot be read: dict\(\.\.\.\) holds NAME=VALUE, each name once, not 'b', in"),
        ("a=dict(b=1,b=2)", "each name once, not 'b=2', in"),
    ],
)
def test_an_override_that_cannot_be_read_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_override(text)


def example() -> Config:
    return Config({"model": {"backbone": {"depth": 50}, "test_cfg": None}, "steps": [{"type": "A"}, {"type": "B"}]})


def test_overrides_reach_dicts_and_lists() -> None:
    cfg = example()
    cfg.merge_from_dict(
        {
            "model.backbone.depth": 101,
            "model.backbone.new": [1],
            "model.test_cfg.views": 3,
            "steps.0.type": "C",
            "steps.-1": {"type": "D", "size": 1},
            "work_dir": "out",
            "randomness.seed": 3,
        }
    )
    assert cfg == {
        "model": {"backbone": {"depth": 101, "new": [1]}, "test_cfg": {"views": 3}},
        "steps": [{"type": "C"}, {"type": "D", "size": 1}],
        "work_dir": "out",
        "randomness": {"seed": 3},
    }
    assert cfg.steps[1].size == 1


def test_a_dict_as_override_is_merged_or_replaces() -> None:
    cfg = example()
    cfg.merge_from_dict({"model": {"backbone": {"width": 2}}})
    assert cfg.model.backbone == {"depth": 50, "width": 2}
    cfg.merge_from_dict({"model.backbone": {"_delete_": True, "type": "X"}})
    assert cfg.model.backbone == {"type": "X"}
    cfg.merge_from_dict({"model.backbone": 3})
    assert cfg.model.backbone == 3


def test_the_path_of_a_delete_empties_a_dict_before_what_is_set_in_it() -> None:
    cfg = example()
    cfg.merge_from_dict({"model.backbone.type": "X", "model.backbone._delete_": True, "steps.1._delete_": True})
    assert (cfg.model.backbone, cfg.steps[1]) == ({"type": "X"}, {})
    cfg.merge_from_dict({"model.backbone._delete_": False, "model.backbone.depth": 3})
    assert cfg.model.backbone == {"type": "X", "depth": 3}


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (
            "modle.backbone.depth",
            r"cannot set modle\.backbone\.depth: the config has no key 'modle' \(did you mean model\?\)",
        ),
        ("model.backbon.depth", r"no key 'backbon' \(did you mean backbone\?\) under model"),
        ("steps.2.type", r"cannot set steps\.2\.type: '2' is no index of a list of 2"),
        ("steps.first.type", "'first' is no index of a list of 2"),
        ("steps.x", "cannot set steps.x: 'x' is no index of a list of 2"),
        (
            "model.backbone.depth.x",
            r"cannot set model\.backbone\.depth\.x: model\.backbone\.depth is a int, which holds no keys: 50",
        ),
        ("model.backbone.depth.x.y", r"model\.backbone\.depth is a int, which holds no keys: 50"),
    ],
)
def test_an_override_that_leads_nowhere_is_refused(key: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        example().merge_from_dict({key: 1})


def test_a_dict_over_a_list_is_refused() -> None:
    with pytest.raises(ConfigError, match="steps is a dict, but a list in the config it inherits from"):
        example().merge_from_dict({"steps": {"a": 1}})


def test_a_key_of_another_split_is_no_misspelling() -> None:
    config = Config(dict(train_dataloader=dict(batch_size=1), val_dataloader=dict(batch_size=1)))
    config.merge_from_dict({"test_dataloader.batch_size": 2, "val_cfg.x": 1, "train_dataloader.batch_size": 3})
    assert (config.test_dataloader, config.val_cfg) == ({"batch_size": 2}, {"x": 1})
    with pytest.raises(ConfigError, match=r"no key 'tset_dataloader' \(did you mean"):
        config.merge_from_dict({"tset_dataloader.batch_size": 2})


def test_keys_that_a_run_may_have_can_be_added_beside_those_they_resemble() -> None:
    config = Config({"train_dataloader": {"batch_size": 2}, "val_dataloader": {}, "train_cfg": {}})
    config.merge_from_dict({"test_dataloader.batch_size": 4, "test_cfg.x": 1, "test_evaluator.type": "AccMetric"})
    assert config.test_dataloader == {"batch_size": 4}
    with pytest.raises(ConfigError, match="cannot set tset_dataloader.x: .*did you mean"):
        config.merge_from_dict({"tset_dataloader.x": 1})


def test_the_keys_that_a_run_may_have_are_those_of_the_runner() -> None:
    import inspect

    from kinema.engine import Runner
    from kinema.openmmlab.configs import TOP_LEVEL_KEYS
    from kinema.openmmlab.keywords import needless_keywords

    parameters = set(inspect.signature(Runner).parameters) - {"cfg"}
    assert parameters | needless_keywords(Runner).keys() <= set(TOP_LEVEL_KEYS)
    assert len(set(TOP_LEVEL_KEYS)) == len(TOP_LEVEL_KEYS)
