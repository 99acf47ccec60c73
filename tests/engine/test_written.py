"""What a run writes of itself: `run.json` when it starts, `summary.json` when it ends, however it does."""

import json
import logging
import os
import re
import signal
import sys

import pytest
from toy_run import Pack, Points, run_config

from kinema.engine import Hook, Runner
from kinema.runs.listing import list_runs
from kinema.runs.settings_file import read_run


class At(Hook):
    """Call a function at a step."""

    def __init__(self, step, call):
        self.step, self.call = step, call

    def at_border(self, runner):
        if runner.progress.step == self.step:
            self.call()


def fail():
    raise RuntimeError("a bug\nof some lines")


def read(folder, name="summary.json"):
    return json.loads((folder / name).read_text())


def train(folder, **changes):
    runner = Runner.from_cfg(run_config(folder, **changes))
    runner.train()
    return runner


def test_the_summary_of_a_finished_run_says_so(tmp_path):
    train(tmp_path, epochs=1)
    summary = read(tmp_path)
    assert (summary["state"], summary["reason"], summary["stopped_early"]) == ("finished", None, False)


def test_a_run_that_ended_early_is_finished_and_says_why(tmp_path):
    train(tmp_path, epochs=30, train_cfg=dict(max_epochs=30, patience=1))
    summary = read(tmp_path)
    assert (summary["state"], summary["stopped_early"]) == ("finished", True)
    assert "has improved for 1 validations" in summary["reason"]
    assert summary["epochs"] < 30


def test_the_summary_of_a_run_that_a_signal_stopped_says_so_and_how_far_it_came(tmp_path):
    stop = At(6, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, custom_hooks=[stop])
    summary = read(tmp_path)
    assert (summary["state"], summary["reason"], summary["stopped_early"]) == ("stopped", "received SIGTERM", False)
    assert (summary["epochs"], summary["steps"]) == (1, 6)
    assert summary["best"]["step"] == 4
    assert list_runs(tmp_path)[0].state == "stopped"


def test_the_summary_of_a_run_that_failed_names_the_error(tmp_path):
    with pytest.raises(RuntimeError, match="a bug"):
        train(tmp_path, custom_hooks=[At(6, fail)])
    summary = read(tmp_path)
    assert (summary["state"], summary["reason"], summary["steps"]) == ("failed", "RuntimeError: a bug", 6)


def test_a_run_that_is_resumed_has_no_summary_until_it_ends(tmp_path):
    train(tmp_path, epochs=1)
    seen = []
    train(
        tmp_path, epochs=2, resume=True, custom_hooks=[At(5, lambda: seen.append((tmp_path / "summary.json").exists()))]
    )
    assert seen == [False]
    assert read(tmp_path)["epochs"] == 2


def test_a_run_that_fails_before_it_begins_leaves_the_earlier_summary(tmp_path):
    train(tmp_path, epochs=1)
    before = read(tmp_path)
    with pytest.raises(Exception, match="SGD"):
        train(tmp_path, optim_wrapper=dict(optimizer=dict(type="SGD", lr=-1)))
    assert read(tmp_path) == before


def test_run_json_says_what_the_run_was_made_of(tmp_path):
    train(tmp_path, epochs=1, experiment_name="first try")
    content = read(tmp_path, "run.json")
    assert content["experiment"] == "first try"
    assert content["command"] == sys.orig_argv
    assert (content["seed"], content["world_size"], content["device"]) == (7, 1, "cpu")
    assert content["num_clips"] == {"train": 24, "val": 13}
    assert all(content["hashes"].values())
    assert content["config"]["train_cfg"] == {"max_epochs": 1}
    assert len(content["sessions"]) == 1


def test_run_json_keeps_each_start_and_a_resumed_run_names_what_changed(tmp_path, caplog):
    train(tmp_path, epochs=1)
    train(tmp_path, epochs=1, resume=True)
    assert not any("changed since" in message for message in caplog.messages)
    loader = dict(batch_size=6, sampler=dict(type="DefaultSampler", shuffle=True))
    changed = dict(**loader, dataset=dict(type=Points, count=30, pipeline=[dict(type=Pack)]))
    with caplog.at_level(logging.INFO, logger="kinema"):
        train(tmp_path, epochs=2, resume=True, train_dataloader=changed)
    assert [message for message in caplog.messages if "changed since" in message] == [
        "changed since the run was started last: train_cfg.max_epochs (1, now 2),"
        " train_dataloader.dataset.count (not there, now 30), training clips (24, now 30)"
    ]
    assert len(read_run(tmp_path)["sessions"]) == 3


def test_a_runner_of_objects_writes_run_json_too(tmp_path):
    config = run_config(tmp_path, epochs=1)
    Runner(**config).train()
    content = read(tmp_path, "run.json")
    assert content["num_clips"]["train"] == 24
    assert not (tmp_path / "config.py").exists()


def test_the_console_says_how_fast_it_goes_and_how_long_it_takes(tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="kinema"):
        train(tmp_path, epochs=1)
    (line, _) = [message for message in caplog.messages if "clips/s" in message]
    figures, pace = r"loss \d\.\d+  lr \d\.\d\de-\d\d", r"[\d.]+ clips/s \(\d+% waiting for data\)  .*\d:\d\d left"
    assert re.fullmatch(rf"epoch 1/1  batch 2/4  {figures}  {pace}", line)
