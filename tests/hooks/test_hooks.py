import json

import pytest
from toy_run import run_config

from kinema.engine import CheckpointHook, Hook, LoggerHook, Runner
from kinema.errors import ConfigError, RegistryError
from kinema.registry import HOOKS


class Note(Hook):
    """Writes down where it was called."""

    def __init__(self, name="note"):
        self.name = name
        self.calls = []


class Modes(Note):
    def _before_epoch(self, runner, mode="train"):
        self.calls.append(("before_epoch", mode))

    def _after_epoch(self, runner, mode="train"):
        self.calls.append(("after_epoch", mode))

    def _before_iter(self, runner, batch_idx, data_batch=None, mode="train"):
        self.calls.append(("before_iter", mode, batch_idx))

    def _after_iter(self, runner, batch_idx, data_batch=None, outputs=None, mode="train"):
        self.calls.append(("after_iter", mode, batch_idx))


class Runs(Note):
    def before_run(self, runner):
        self.calls.append("before_run")

    def after_run(self, runner):
        self.calls.append("after_run")


class Questions(Note):
    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        answers = {
            "second step": self.every_n_train_iters(runner, 2),
            "third step from 3": self.every_n_train_iters(runner, 3, start=3),
            "third batch": self.every_n_inner_iters(batch_idx, 3),
            "last batch": self.end_of_epoch(runner.train_dataloader, batch_idx),
            "last step": self.is_last_train_iter(runner),
            "never": self.every_n_train_iters(runner, 0),
        }
        self.calls += [(runner.iter, question) for question, answer in answers.items() if answer]

    def after_train_epoch(self, runner):
        answers = {"second epoch": self.every_n_epochs(runner, 2), "last epoch": self.is_last_train_epoch(runner)}
        self.calls += [(runner.epoch, question) for question, answer in answers.items() if answer]


def ready(tmp_path, **changes):
    return Runner.from_cfg(run_config(tmp_path, **changes))


def test_what_all_modes_share_is_written_once(tmp_path):
    hook = Modes()
    ready(tmp_path, epochs=1, custom_hooks=[hook]).train()
    expected = []
    for mode, count in (("train", 4), ("val", 3)):
        expected.append(("before_epoch", mode))
        expected += [(point, mode, i) for i in range(count) for point in ("before_iter", "after_iter")]
        expected.append(("after_epoch", mode))
    assert hook.calls == expected


def test_a_hook_knows_which_step_and_epoch_it_is(tmp_path):
    hook = Questions()
    ready(tmp_path, epochs=2, custom_hooks=[hook]).train()
    assert hook.calls == [
        *[(1, "second step"), (2, "third step from 3"), (2, "third batch"), (3, "second step"), (3, "last batch")],
        *[(5, "second step"), (5, "third step from 3"), (6, "third batch")],
        *[(7, "second step"), (7, "last batch"), (7, "last step"), (1, "second epoch"), (1, "last epoch")],
    ]


def test_hooks_of_the_validation_see_the_number_of_epochs_done(tmp_path):
    seen = []

    class See(Hook):
        def after_train_epoch(self, runner):
            seen.append(("train", runner.epoch))

        def after_val_epoch(self, runner, metrics=None):
            seen.append(("val", runner.epoch))

    ready(tmp_path, epochs=2, custom_hooks=[See()]).train()
    assert seen == [("train", 0), ("val", 1), ("train", 1), ("val", 2)]


def test_an_evaluation_is_a_run_to_its_hooks(tmp_path):
    hook = Runs()
    ready(tmp_path, custom_hooks=[hook]).val()
    assert hook.calls == ["before_run", "after_run"]


def test_a_registered_hook_may_be_given_a_priority(tmp_path):
    runner = ready(tmp_path)
    for name, priority in (("third", None), ("second", "HIGH"), ("first", 1)):
        runner.register_hook(Note(name), priority)
    runner.register_hook(dict(type=Note, name="last", priority="LOWEST"))
    runner.register_hook(dict(type=Note, name="fourth", priority="LOWEST"), "LOW")
    names = [hook.name for hook in runner.hooks if isinstance(hook, Note)]
    assert names == ["first", "second", "third", "fourth", "last"]


def test_default_hooks_may_hold_hooks_of_the_users_own(tmp_path):
    HOOKS.register_module(module=Note, force=True)
    settings = dict(
        timer=dict(type="IterTimerHook"),
        logger=dict(type="LoggerHook", interval=3, ignore_last=False),
        sync_buffers=None,
        note=dict(type="Note", name="a"),
        checkpoint=dict(type=Note, name="b"),
    )
    runner = ready(tmp_path, default_hooks=settings)
    assert [hook.name for hook in runner.hooks if isinstance(hook, Note)] == ["b", "a"]
    assert [hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook)] == [3]
    assert not any(isinstance(hook, CheckpointHook) for hook in runner.hooks)
    with pytest.raises(RegistryError, match="TextFeaturesHook is not in the hook registry"):
        ready(tmp_path, default_hooks=dict(visualization=dict(type="TextFeaturesHook")))


def test_the_runner_shows_its_loaders_and_its_length(tmp_path):
    runner = ready(tmp_path, epochs=2)
    assert (runner.max_epochs, runner.max_iters) == (2, 0)
    runner.train()
    assert (runner.max_epochs, runner.max_iters) == (2, 8)
    assert (len(runner.train_dataloader), len(runner.val_dataloader), runner.test_dataloader) == (4, 3, None)
    assert runner.logger.name == "kinema"
    assert ready(tmp_path, train_cfg=None, train_dataloader=None, optim_wrapper=None).max_epochs == 1


def test_the_norm_of_clipped_gradients_is_recorded(tmp_path):
    runner = ready(tmp_path, optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.01), clip_grad=dict(max_norm=1e-3)))
    runner.train()
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    norms = [record["grad_norm"] for record in records if record["split"] == "train"]
    assert min(norms) > 1e-3  # before clipping
    assert runner.message_hub.get_scalar("train/grad_norm").current() > 1e-3
    assert "grad_norm" not in (tmp_path / "train.log").read_text()


class Halve(Note):
    """Halves the rate before the second epoch, and writes down the rates of all batches."""

    def before_train_epoch(self, runner):
        if runner.epoch == 1:
            runner.optim_wrapper.param_groups[0]["lr"] *= 0.5

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.calls.append(runner.optim_wrapper.get_lr()["lr"][0])


def test_a_rate_that_a_hook_sets_outlives_the_schedules_and_a_resume(tmp_path):
    schedule = dict(type="MultiStepLR", milestones=[1, 2], gamma=0.1)
    runner = ready(tmp_path, param_scheduler=schedule, custom_hooks=[Halve()])
    rate = runner.cfg["optim_wrapper"]["optimizer"]["lr"]
    runner.train()
    rates = list(dict.fromkeys(next(hook for hook in runner.hooks if isinstance(hook, Halve)).calls))
    assert rates == pytest.approx([rate, 0.05 * rate, 0.005 * rate])
    further = ready(tmp_path, param_scheduler=schedule, custom_hooks=[Halve()], epochs=4, resume=True)
    further.train()
    calls = next(hook for hook in further.hooks if isinstance(hook, Halve)).calls
    assert list(dict.fromkeys(calls)) == pytest.approx([0.005 * rate])


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("EMAHook", r"custom_hooks\.0 must be a dict such as dict\(type='EMAHook'\), got str: 'EMAHook'"),
        (
            {"type": "EMAHook"}.keys(),
            r"default_hooks, custom_hooks: a hook must be a dict with .type. or an object .*, got dict_k",
        ),
        (3, r"custom_hooks\.0 must be a dict .* got int: 3"),
    ],
)
def test_an_entry_that_is_no_hook_is_an_error_that_shows_it(tmp_path, entry, message):
    with pytest.raises(ConfigError, match=message):
        Runner.from_cfg(run_config(tmp_path, custom_hooks=[entry]))


class Validated(Hook):
    """Note after how many epochs, or batches, the run validates."""

    def __init__(self):
        self.seen = []

    def before_val(self, runner):
        self.seen.append((runner.epoch, runner.iter))


@pytest.mark.parametrize(
    ("loop", "expected"),
    [
        (dict(max_epochs=6, val_interval=5, dynamic_intervals=[(4, 1)]), [(3, 12), (4, 16), (5, 20), (6, 24)]),
        (dict(max_epochs=6, val_interval=5, dynamic_intervals=[(4, 2)]), [(4, 16), (6, 24)]),
        (dict(max_iters=8, val_interval=8, dynamic_intervals=[(5, 2)]), [(1, 4), (1, 6), (2, 8)]),
    ],
)
def test_another_interval_of_validations_decides_where_its_epoch_begins(tmp_path, loop, expected):
    hook = Validated()
    ready(tmp_path, train_cfg=loop, custom_hooks=[hook]).train()
    assert hook.seen == expected
