"""What the files of a work folder say of a run: made by hand, damaged, and those of a real run."""

import json
import os
import re

import pytest
from toy_run import run_config

from kinema.engine import Runner
from kinema.errors import ConfigError
from kinema.runs.listing import is_held, list_runs, sort_rows
from kinema.runs.work_folder import hold

CONFIG = {
    "model": {"type": "Recognizer3D", "backbone": {"type": "C3D"}},
    "train_cfg": {"max_epochs": 12},
    "train_dataloader": {
        "dataset": {"type": "RepeatDataset", "dataset": {"ann_file": "list.txt", "data_root": "clips"}}
    },
}


def train_line(step, epoch, **figures):
    return {"step": step, "epoch": epoch, "split": "train", "loss": 0.5, "seconds": 60.5, **figures}


def val_line(step, epoch, **figures):
    return {**train_line(step, epoch, **figures), "split": "val"}


def make_run(folder, *, started=None, lines=(), summary=None, contract=None, config=CONFIG):
    folder.mkdir(parents=True)
    said = {"format": 1, "config": config} | ({} if started is None else {"sessions": [{"started": started}, {}]})
    (folder / "run.json").write_text(json.dumps(said))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if summary is not None:
        (folder / "summary.json").write_text(json.dumps(summary))
    if contract is not None:
        (folder / "checkpoints" / "epoch_0002").mkdir(parents=True)
        (folder / "checkpoints" / "best").write_text("epoch_0002\n")
        (folder / "checkpoints" / "epoch_0002" / "config.json").write_text(json.dumps(contract))
    return folder


SUMMARY = {
    "state": "finished",
    "epochs": 3,
    "steps": 30,
    "train_seconds": 61.5,
    "best": {
        "metric": "acc/top1",
        "value": 0.75,
        "epoch": 2,
        "interval": [0.5, 0.9],
        "metrics": {"acc/top1": 0.75, "loss": 0.4, "num_clips": 20.0},
    },
    "final": {"metric": "acc/top1", "value": 0.7, "epoch": 3},
}


def test_a_run_that_ended_is_what_its_summary_says(tmp_path):
    make_run(tmp_path / "set" / "a", started="2026-05-04T10:00:00+00:00", summary=SUMMARY)
    (row,) = list_runs(tmp_path)
    assert row.as_dict() == {
        "folder": str(tmp_path / "set" / "a"),
        "name": "set/a",
        "state": "finished",
        "started": "2026-05-04T10:00:00+00:00",
        "epochs": 3,
        "max_epochs": 12,
        "steps": 30,
        "max_steps": None,
        "metric": "acc/top1",
        "best": 0.75,
        "interval": [0.5, 0.9],
        "last": 0.7,
        "metrics": {"acc/top1": 0.75, "loss": 0.4, "num_clips": 20.0},
        "seconds": 61.5,
        "model": "C3D",
        "data": "clips/list.txt",
        "problems": [],
    }


@pytest.mark.parametrize("state", ["stopped", "failed"])
def test_a_run_that_did_not_come_to_its_end_says_so(tmp_path, state):
    make_run(tmp_path / "a", summary={**SUMMARY, "state": state})
    assert list_runs(tmp_path)[0].state == state


def test_a_killed_run_is_what_its_figures_and_its_best_checkpoint_say(tmp_path):
    figures = {"acc/top1": 0.6, "acc/top1_low": 0.4, "acc/top1_high": 0.8, "loss": 0.3}
    contract = {"best": {"metric": "acc/top1", "value": 0.6, "epoch": 2}, "metrics": figures}
    lines = [train_line(10, 1), val_line(10, 1, **figures), val_line(20, 2, **{"acc/top1": 0.5}), train_line(25, 3)]
    make_run(tmp_path / "a", lines=lines, contract=contract)
    (row,) = list_runs(tmp_path)
    assert (row.state, row.epochs, row.steps, row.seconds) == ("killed", 3, 25, 60.5)
    assert (row.metric, row.best, row.interval, row.last) == ("acc/top1", 0.6, [0.4, 0.8], 0.5)


def test_how_a_run_without_a_runner_ended_is_not_known(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "metrics.jsonl").write_text(json.dumps(train_line(10, 1)) + "\n")
    (row,) = list_runs(tmp_path)
    assert (row.state, row.steps, row.problems) == ("unknown", 10, [])


def test_a_run_that_was_never_validated_has_no_best(tmp_path):
    make_run(tmp_path / "a", lines=[train_line(10, 1)])
    (row,) = list_runs(tmp_path)
    assert (row.state, row.steps, row.metric, row.best, row.last) == ("killed", 10, None, None, None)


def test_a_run_is_running_while_its_folder_is_held(tmp_path):
    folder = make_run(tmp_path / "a", summary=SUMMARY)
    with hold(folder):
        assert is_held(folder)
        assert list_runs(tmp_path)[0].state == "running"
    assert not is_held(folder)
    (folder / ".lock.holder").write_text("process 1, which was killed\n")
    assert not is_held(folder)
    (folder / ".lock").unlink()
    assert not is_held(folder)


def test_the_newest_run_is_first_and_those_that_were_set_aside_are_there(tmp_path):
    for name, day in (("b", 1), ("a", 3), ("a/earlier_1", 2)):
        make_run(tmp_path / name, started=f"2026-05-0{day}T10:00:00+00:00", summary=SUMMARY)
    assert [row.name for row in list_runs(tmp_path)] == ["a", "a/earlier_1", "b"]


def test_what_a_run_keeps_is_not_searched_for_runs(tmp_path):
    folder = make_run(tmp_path / "a", summary=SUMMARY)
    make_run(folder / "wandb" / "x", summary=SUMMARY)
    make_run(tmp_path / ".hidden", summary=SUMMARY)
    assert [row.name for row in list_runs(tmp_path)] == ["a"]


def test_a_link_is_followed_and_one_that_leads_back_is_not(tmp_path):
    make_run(tmp_path / "disk" / "a", summary=SUMMARY)
    work = tmp_path / "work"
    work.mkdir()
    (work / "far").symlink_to(tmp_path / "disk" / "a")
    (work / "loop").symlink_to(work)
    assert [row.name for row in list_runs(work)] == ["far"]


def test_a_work_folder_itself_is_one_run(tmp_path):
    make_run(tmp_path / "a", summary=SUMMARY)
    assert [row.name for row in list_runs(tmp_path / "a")] == ["a"]


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        ("run.json", "{", r"run\.json: cannot be read: Expecting"),
        ("run.json", "[" * 100_000, r"run\.json: cannot be read"),
        ("summary.json", "[]", r"summary\.json: expected a JSON object, got a list"),
        ("metrics.jsonl", "\x00\x00\n", r"metrics\.jsonl: has no line of figures"),
        ("checkpoints/best", "../../etc", r"best: names no checkpoint: '\.\./\.\./etc'"),
        ("checkpoints/best", b"\xff", r"best: cannot be read"),
        ("checkpoints/epoch_0002/config.json", "x", r"config\.json: cannot be read"),
    ],
)
def test_what_is_damaged_is_named_and_stops_nothing(tmp_path, file, content, problem):
    make_run(tmp_path / "good", summary=SUMMARY, lines=[train_line(1, 1)])
    folder = make_run(tmp_path / "bad", lines=[train_line(1, 1)], contract={})
    (folder / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    good, bad = sorted(list_runs(tmp_path), key=lambda row: row.name, reverse=True)
    assert good.problems == []
    assert len(bad.problems) == 1
    assert re.search(problem, bad.problems[0])


def test_files_that_are_pipes_are_not_waited_for(tmp_path):
    folder = make_run(tmp_path / "a", summary=SUMMARY)
    for name in ("run.json", "metrics.jsonl"):
        (folder / name).unlink()
        os.mkfifo(folder / name)
    (row,) = list_runs(tmp_path)
    assert len(row.problems) == 2
    assert row.best == 0.75


@pytest.mark.parametrize("wrong", [None, 3, "x", [], [None], {"a": []}, True, float("nan"), 10**400])
def test_values_of_another_type_are_unknown(tmp_path, wrong):
    """Files may be written by anybody."""
    config = {"model": wrong, "train_cfg": wrong, "train_dataloader": {"dataset": wrong}}
    summary = dict.fromkeys(("state", "epochs", "steps", "best", "final", "train_seconds"), wrong)
    folder = make_run(
        tmp_path / "a", config=config, summary=summary, lines=[val_line(wrong, wrong, **{"acc/top1": wrong})]
    )
    content = {"config": config, "sessions": [wrong], "started": wrong}
    (folder / "run.json").write_text(json.dumps(content))
    list_runs(tmp_path)
    (folder / "run.json").write_text(json.dumps({**content, "config": wrong, "sessions": wrong}))
    (row,) = list_runs(tmp_path)
    assert {row.epochs, row.steps, row.best, row.last, row.seconds} <= {None, 3}
    assert row.state == "finished"  # there is a summary
    assert {row.model, row.data} <= {None, "x"}
    json.dumps(row.as_dict(), allow_nan=False)


def test_runs_are_sorted_by_a_figure_and_of_a_loss_less_is_better(tmp_path):
    for name, accuracy, loss in (("a", 0.5, 0.3), ("b", 0.9, 0.6), ("c", 0.7, 0.2)):
        best = {"metric": "acc/top1", "value": accuracy, "metrics": {"acc/top1": accuracy, "loss": loss}}
        make_run(tmp_path / name, summary={**SUMMARY, "best": best})
    make_run(tmp_path / "d")
    rows = list_runs(tmp_path)
    assert [row.name for row in sort_rows(rows, "acc/top1")] == ["b", "c", "a", "d"]
    assert [row.name for row in sort_rows(rows, "loss")] == ["c", "a", "b", "d"]
    with pytest.raises(ConfigError, match=r"no run has the metric 'acc/top5'; there are: acc/top1, loss$"):
        sort_rows(rows, "acc/top5")


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="nowhere: no such folder: give the folder that holds your work folders"):
        list_runs(tmp_path / "nowhere")
    (tmp_path / "a.txt").touch()
    with pytest.raises(ConfigError, match=r"a\.txt: is a file: give the folder that holds your work folders"):
        list_runs(tmp_path / "a.txt")
    assert list_runs(tmp_path) == []


def test_a_real_run_is_read(tmp_path):
    runner = Runner.from_cfg(run_config(tmp_path / "toy", epochs=2))
    runner.train()
    (row,) = list_runs(tmp_path)
    assert (row.name, row.state, row.epochs, row.max_epochs, row.steps) == ("toy", "finished", 2, 2, 8)
    assert row.metric == "acc/top1"
    assert row.best == runner.best["value"]
    assert row.model == "toy_run.ToyModel"
    assert row.problems == []
    (tmp_path / "toy" / "summary.json").unlink()
    (killed,) = list_runs(tmp_path)
    assert (killed.state, killed.best, killed.epochs) == ("killed", row.best, 2)
