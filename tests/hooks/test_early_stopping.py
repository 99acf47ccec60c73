"""EarlyStoppingHook ends a training by OpenMMLab's rules."""

from types import SimpleNamespace

import pytest

from kinema.errors import ConfigError
from kinema.hooks import EarlyStoppingHook


def ends_at(values, **settings):
    """The number of the validation that ends the training, and the best value by then."""
    loop = SimpleNamespace(stop_training=False)
    runner = SimpleNamespace(is_training=True, train_loop=loop, stop_reason=None)
    hook = EarlyStoppingHook("acc", patience=2, **settings)
    for place, value in enumerate(values):
        hook.after_val_epoch(runner, {"acc": value})
        if loop.stop_training:
            return place, hook.best_score
    return None, hook.best_score


@pytest.mark.parametrize(
    ("values", "settings", "expected"),
    [
        ([0.5, 0.58, 0.66, 0.74, 0.82], {}, (None, 0.82)),  # small steps add up
        ([0.5, 0.58, 0.58, 0.9], {}, (2, 0.5)),
        ([0.5, 0.625, 0.75], dict(min_delta=0.125), (None, 0.75)),  # just enough counts
        ([0.5, 0.45, 0.35, 0.45, 0.45], dict(rule="less"), (4, 0.35)),
        ([0.5, 0.95], dict(stopping_threshold=0.9), (1, 0.95)),
        ([0.5, float("nan")], {}, (1, 0.5)),
    ],
)
def test_a_figure_improves_when_it_is_far_enough_from_the_best(values, settings, expected):
    assert ends_at(values, **settings) == expected


def test_a_run_that_was_killed_before_it_could_end_ends_where_it_is_resumed():
    hook, resumed = EarlyStoppingHook("acc", patience=2), EarlyStoppingHook("acc", patience=2)
    runner = SimpleNamespace(is_training=True, train_loop=SimpleNamespace(stop_training=False), stop_reason=None)
    for value in (0.5, 0.5, 0.5):
        hook.after_val_epoch(runner, {"acc": value})
    runner = SimpleNamespace(train_loop=SimpleNamespace(stop_training=False), stop_reason=None)
    resumed.load_state_dict(hook.state_dict())
    resumed.at_border(runner)
    assert runner.train_loop.stop_training
    assert runner.stop_reason == "acc has not improved by 0.1 for 2 validations"


def test_the_rule_is_in_the_name_of_the_figure_or_has_to_be_given():
    rules = {name: EarlyStoppingHook(name).rule for name in ("acc", "ACC", "mAP_50", "loss", "ABC_Loss")}
    assert rules == {"acc": "greater", "ACC": "greater", "mAP_50": "greater", "loss": "less", "ABC_Loss": "less"}
    assert EarlyStoppingHook("xyz", rule="less").rule == "less"
    with pytest.raises(ConfigError, match="is a greater or a less 'xyz' better"):
        EarlyStoppingHook("xyz")
