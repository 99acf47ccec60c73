"""One long recording with many labelled parts, from the annotations of another program to lists and a config."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from kinema.cli.main import app
from kinema.datasets.annotations import find_splits
from kinema.recipes import classification
from kinema.video import write_video


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recording")
    write_video(folder / "day.mp4", (np.full((48, 64, 3), 40 + number % 100, np.uint8) for number in range(600)), 10)
    rows = ["Media file\tBehavior\tStart (s)\tStop (s)"]
    rows += [f"D:\\data\\day.mp4\t{('groom', 'walk')[one % 2]}\t{3 * one}\t{3 * one + 1.5}" for one in range(20)]
    (folder / "obs.tsv").write_text("\n".join(rows) + "\n")
    return folder / "obs.tsv"


def run(*arguments):
    return CliRunner().invoke(app, [str(one) for one in arguments])


def test_training_holds_out_stretches_of_time_and_says_so(table, tmp_path, caplog):
    config = classification(table, work_dir=tmp_path, workers=0)
    assert "the 20 clips are parts of one recording: held out" in caplog.text
    train, val = (config[f"{name}_dataloader"]["dataset"] for name in ("train", "val"))
    assert train["hold_out"] == {"part": "train", "fraction": 0.2, "by": "time", "seed": 0}
    assert val["hold_out"] == {**train["hold_out"], "part": "val"}
    assert val["metainfo"]["classes"] == ["groom", "walk"]


@pytest.mark.parametrize("option", ["--no-group", "--by-time"])
def test_split_writes_lists_that_training_takes_with_their_class_names(table, tmp_path, option):
    shown = run("data", "split", table, tmp_path / "lists", option, "--json")
    assert shown.exit_code == 0, shown.output
    facts = json.loads(shown.stdout)
    assert facts["train"]["clips"] + facts["val"]["clips"] <= 20
    train, val = find_splits(tmp_path / "lists")
    assert train.annotations.class_names == val.annotations.class_names == ("groom", "walk")
    assert classification(tmp_path / "lists", work_dir=tmp_path / "work", workers=0)


def test_what_cannot_be_parted_says_which_options_there_are(table, tmp_path):
    shown = run("data", "split", table, tmp_path / "lists")
    assert "--no-group parts all clips one by one, --by-time parts a long recording by time" in str(shown.exception)
    whole = tmp_path / "whole.csv"
    whole.write_text(f"path,label\n{table.parent / 'day.mp4'},run\n")
    assert "expected labelled parts of videos" in str(
        run("data", "split", whole, tmp_path / "b", "--by-time").exception
    )
    assert run("data", "split", table, tmp_path / "c", "--by-time", "--no-group").exit_code == 2


def test_columns_are_named_on_the_command_line(table, tmp_path):
    other = table.parent / "other.csv"
    other.write_text("wo,was,von,bis\n" + "".join(f"day.mp4,{'ab'[one % 2]},{one},{one + 0.5}\n" for one in range(8)))
    columns = "path=wo,label=was,start=von,end=bis"
    shown = run("data", "info", other, "--columns", columns, "--json", "--probe", "0")
    assert json.loads(shown.stdout)["counts"] == {"all": [4, 4]}
    assert run("data", "split", other, tmp_path / "lists", "--no-group", "--columns", columns).exit_code == 0
    for wrong in ("path", "path=", "colour=x"):
        result = run("data", "info", other, "--columns", wrong)
        assert result.exit_code == 2
        assert "expected ROLE=NAME" in result.output.replace("\n", " ")
