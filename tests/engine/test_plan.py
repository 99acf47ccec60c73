"""What a run shall do, read from its config."""

from pathlib import Path

import pytest
from toy_run import run_config

from kinema.engine import CheckpointHook, Until, plan_of
from kinema.errors import ConfigError


def kinds(plan):
    return [hook["type"] if isinstance(hook, dict) else type(hook).__name__ for hook in plan.hooks]


USUAL = [
    *("RuntimeInfoHook", "ParamSchedulerHook", "LoggerHook", "CheckpointHook", "StopSignalHook", "BrokenVideosHook"),
    *("NonFiniteHook", "HangHook", "ValidationHook"),
]


def test_a_plan_is_pure_and_typed(tmp_path) -> None:
    plan = plan_of(run_config(tmp_path / "work"))
    assert plan.until == Until(epochs=3)
    assert (plan.work_dir, plan.experiment_name, plan.seed) == (tmp_path / "work", "work", 7)
    assert kinds(plan) == USUAL
    assert plan.test is None
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    ("train_cfg", "until"),
    [
        (dict(max_iters=9), Until(iterations=9)),
        (dict(by_epoch=False, max_iters=9), Until(iterations=9)),
        (dict(max_steps=9), Until(steps=9)),
        (dict(type="EpochBasedTrainLoop", max_epochs=2), Until(epochs=2)),
    ],
)
def test_a_training_has_a_length(train_cfg, until) -> None:
    assert plan_of(run_config("work", train_cfg=train_cfg)).until == until


def test_default_hooks_are_changed_replaced_removed_and_added() -> None:
    own = CheckpointHook()
    entries = dict(
        logger=dict(interval=3),
        checkpoint=own,
        broken=None,
        timer=dict(type="IterTimerHook"),
        runtime_info=dict(type="RuntimeInfoHook"),
        ema=dict(type="EMAHook"),
    )
    plan = plan_of(run_config("work", default_hooks=entries, custom_hooks=[dict(type="SummaryNotesHook", notes={})]))
    expected = [name for name in USUAL if name not in ("BrokenVideosHook", "ValidationHook")]
    assert kinds(plan) == [*expected, "IterTimerHook", "EMAHook", "ValidationHook", "SummaryNotesHook"]
    assert plan.hooks[2] == {"type": "LoggerHook", "interval": 3}
    assert plan.hooks[3] is own


def test_patience_is_a_hook() -> None:
    assert kinds(plan_of(run_config("work", train_cfg=dict(max_epochs=2, patience=3)))) == [*USUAL, "PatienceHook"]


def test_an_evaluation_needs_no_training() -> None:
    config = run_config(Path("work"), train_cfg=None, train_dataloader=None, optim_wrapper=None)
    plan = plan_of(config)
    assert (plan.train, plan.until) == (None, None)
    assert plan.val.evaluator == config["val_evaluator"]


def test_a_value_of_a_wrong_kind_is_named_with_its_place() -> None:
    with pytest.raises(ConfigError, match=r"train_cfg\.max_epochs must be a number, got 'ten'"):
        plan_of(run_config("work", train_cfg=dict(max_epochs="ten")))
    with pytest.raises(ConfigError, match=r"default_hooks\.logger\.interval must be a number, got 'often'"):
        plan_of(run_config("work", default_hooks=dict(logger=dict(interval="often"))))


def test_a_loader_that_a_comma_made_a_tuple_is_named() -> None:
    config = run_config("work")
    config["train_dataloader"] = (config["train_dataloader"],)
    with pytest.raises(ConfigError, match=r"train_dataloader must be a dict, got a tuple of 1: a comma behind"):
        plan_of(config)
