"""`kinema runs` as a user runs it."""

import json
import subprocess
import sys

import pytest

from command_line import kinema

RUN = {
    "config": {
        "train_cfg": {"max_steps": 90},
        "model": {"type": "TSN"},
        "train_dataloader": {"dataset": {"ann_file": "/data/sets/clips/train.txt"}},
    },
    "started": "2026-05-04T10:00:00+00:00",
}
BEST = {"metric": "acc/top1", "value": 0.75, "interval": [0.5, 0.9], "metrics": {"acc/top1": 0.75, "loss": 0.4}}
SUMMARY = {"state": "stopped", "epochs": 3, "steps": 60, "train_seconds": 61, "best": BEST, "final": {"value": 0.5}}


@pytest.fixture
def work(tmp_path):
    for name, summary in (("first", SUMMARY), ("second", {**SUMMARY, "state": "finished"})):
        folder = tmp_path / "work" / name
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps(RUN))
        (folder / "summary.json").write_text(json.dumps(summary))
    return tmp_path / "work"


def test_runs_below_work_are_a_line_each(work):
    shown = kinema("runs", cwd=work.parent)
    assert (shown.returncode, shown.stderr) == (0, "")
    rows = [line.split("  ") for line in shown.stdout.splitlines() if "TSN" in line]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert [row[:8] for row in cells] == [
        ["second", "finished", "3", "60/90", "0.7500 (0.50 to 0.90)", "0.5000", "1:01", "TSN"],
        ["first", "stopped", "3", "60/90", "0.7500 (0.50 to 0.90)", "0.5000", "1:01", "TSN"],
    ]
    assert "best acc/top1" in shown.stdout
    assert "clips/train.txt" in shown.stdout


def test_another_figure_can_sort_and_is_shown(work):
    shown = kinema("runs", work, "--sort", "loss")
    assert "best loss" in shown.stdout
    assert shown.stdout.count("0.4000") == 2
    missing = kinema("runs", work, "--sort", "acc/top5")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr == "error: no run has the metric 'acc/top5'; there are: acc/top1, loss\n"


def test_json_is_one_value(work):
    rows = json.loads(kinema("runs", work, "--json").stdout)
    assert [(row["name"], row["state"], row["best"]) for row in rows] == [
        ("second", "finished", 0.75),
        ("first", "stopped", 0.75),
    ]


def test_what_is_damaged_is_named_on_stderr(work):
    (work / "first" / "run.json").write_text("\x1b[31m{")
    shown = kinema("runs", work)
    assert shown.returncode == 0
    assert shown.stdout.count("0.7500") == 2
    assert shown.stderr.startswith(f"warning: {work}/first/run.json: cannot be read: ")


def test_a_folder_without_runs_says_how_to_make_one(tmp_path):
    shown = kinema("runs", tmp_path)
    assert (shown.returncode, shown.stdout) == (0, "")
    assert shown.stderr == f"no runs below {tmp_path}: `kinema train DATA` makes one in work/NAME\n"
    assert json.loads(kinema("runs", tmp_path, "--json").stdout) == []
    missing = kinema("runs", cwd=tmp_path)
    assert (missing.returncode, missing.stderr.count("\n")) == (1, 1)
    assert missing.stderr.startswith("error: work: no such folder")


def test_listing_runs_does_not_import_torch(work):
    script = (
        "import sys; from kinema.runs.listing import list_runs; from pathlib import Path; "
        "list_runs(Path(sys.argv[1])); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(work)], check=False).returncode == 0
