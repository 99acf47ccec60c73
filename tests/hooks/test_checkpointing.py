"""When checkpoints are written, and that writing them in a thread changes nothing."""

import json
import threading

import pytest
import torch
from safetensors.torch import load_file
from toy_run import run_config

from kinema.checkpoints.saving import check_mark
from kinema.engine import Hook, Runner
from kinema.hooks.checkpointing import Writer, copied


def train(work_dir, **changes):
    runner = Runner.from_cfg(run_config(work_dir, **changes))
    runner.train()
    return runner


def names(work_dir):
    return sorted(entry.name for entry in (work_dir / "checkpoints").iterdir() if entry.is_dir())


def numbers(work_dir):
    return [int(name.removeprefix("step_")) for name in names(work_dir)]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (dict(interval="3steps"), [3, 6, 9, 12]),
        (dict(interval="5iters"), [5, 10, 12]),
        (dict(interval=5, by_epoch=False), [5, 10, 12]),
        (dict(interval=2), [8, 12]),
        (dict(interval="2epochs", save_last=False), [8]),
        (dict(interval=-1), [12]),
        (dict(interval=5, by_epoch=False, max_keep_ckpts=1), [12]),
    ],
)
def test_checkpoints_come_at_the_interval_and_at_the_end(tmp_path, settings, expected) -> None:
    train(tmp_path, default_hooks=dict(checkpoint=dict(max_keep_ckpts=-1, save_best=None) | settings))
    assert numbers(tmp_path) == expected
    assert (tmp_path / "checkpoints" / "last").read_text() == f"step_{expected[-1]:08d}\n"


def test_a_checkpoint_waits_for_the_end_of_its_window(tmp_path) -> None:
    optim = dict(optimizer=dict(type="SGD", lr=0.1), accumulative_counts=3)
    settings = dict(interval=2, by_epoch=False, max_keep_ckpts=-1, save_best=None)
    runner = train(tmp_path, optim_wrapper=optim, default_hooks=dict(checkpoint=settings))
    assert runner.progress.step == 6  # of each epoch's four batches three make an update, and one
    assert numbers(tmp_path) == [1, 2, 3, 4, 5, 6]


def test_a_validation_finds_the_checkpoint_written_and_adds_its_figures(tmp_path) -> None:
    seen = []

    class Look(Hook):
        def after_val_epoch(self, runner, metrics=None):
            config = json.loads((tmp_path / "checkpoints" / names(tmp_path)[-1] / "config.json").read_text())
            seen.append((numbers(tmp_path)[-1], config.get("metrics")))

    train(tmp_path, epochs=2, custom_hooks=[Look()])
    assert [step for step, _ in seen] == [4, 8]
    assert not any(metrics for _, metrics in seen)
    for name in names(tmp_path):
        assert "acc/top1" in json.loads((tmp_path / "checkpoints" / name / "config.json").read_text())["metrics"]
        check_mark(tmp_path / "checkpoints" / name)


def test_checkpoints_of_a_thread_are_those_of_the_moment(tmp_path) -> None:
    settings = dict(interval="2steps", max_keep_ckpts=-1)
    for name, asynchronous in (("plain", False), ("thread", True)):
        train(tmp_path / name, default_hooks=dict(checkpoint=settings | dict(asynchronous=asynchronous)))
    assert names(tmp_path / "plain") == names(tmp_path / "thread")
    for name in names(tmp_path / "plain"):
        plain, thread = (tmp_path / kind / "checkpoints" / name for kind in ("plain", "thread"))
        weights = load_file(thread / "model.safetensors")
        assert all(torch.equal(weights[key], value) for key, value in load_file(plain / "model.safetensors").items())
        check_mark(thread)
    assert not [thread for thread in threading.enumerate() if thread.name == "checkpoint"]


def test_an_error_of_the_thread_ends_the_run(tmp_path) -> None:
    class Spoil(Hook):
        def before_save_checkpoint(self, runner, checkpoint):
            checkpoint["own"] = lambda: None  # which cannot be saved

    with pytest.raises((AttributeError, TypeError, RuntimeError), match="lambda"):
        train(tmp_path, default_hooks=dict(checkpoint=dict(asynchronous=True)), custom_hooks=[Spoil()])
    assert not [thread for thread in threading.enumerate() if thread.name == "checkpoint"]


def test_a_writer_does_one_thing_after_the_other_and_says_what_went_wrong() -> None:
    writer, done = Writer(), []

    def fail() -> None:
        raise OSError("no room")

    for number in range(3):
        writer.start(lambda number=number: done.append(number))
    writer.start(fail)
    with pytest.raises(OSError, match="no room"):
        writer.wait()
    writer.wait()
    assert done == [0, 1, 2]


def test_a_copy_shares_nothing_with_what_training_changes() -> None:
    state = {"a": [torch.ones(2), (torch.zeros(1), 3)], "b": "text"}
    copy = copied(state)
    state["a"][0].add_(1)
    assert copy["a"][0].tolist() == [1, 1]
    assert (copy["a"][1][1], copy["b"]) == (3, "text")
