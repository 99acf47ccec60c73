import csv
import io
import json

import pytest
import torch
from typer.testing import CliRunner

from kinema.checkpoints.saving import save_pretrained
from kinema.cli.main import app
from kinema.models import create_model, zoo
from kinema.video import write_video

SAMPLING = [dict(type="SampleFrames", clip_len=2, frame_interval=1, num_clips=1, test_mode=True)]
PREPROCESSING = [
    dict(type="Resize", scale=(32, 32)),
    dict(type="FormatShape", input_format="NCTHW"),
    dict(type="PackActionInputs"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two models, `one` of one label a clip and `several`, beside three videos, one of which is broken."""
    import numpy as np

    folder = tmp_path_factory.mktemp("predict")
    for name in ("one", "several"):
        torch.manual_seed(0)
        config = zoo.model_config("compact3d", 3)
        config["cls_head"] = {**config["cls_head"], "multi_class": name == "several"}
        contract = {
            "model": config,
            "classes": ["jump", "run", "sit"],
            "sampling": SAMPLING,
            "preprocessing": PREPROCESSING,
        }
        save_pretrained(create_model("compact3d", num_classes=3), folder / name, config=contract)
    (folder / "videos").mkdir()
    for name in ("a", "b"):
        write_video(folder / "videos" / f"{name}.mp4", np.zeros((4, 32, 32, 3), np.uint8), 10)
    (folder / "videos" / "broken.mp4").write_bytes(b"no video")
    return folder


def run(*arguments):
    return CliRunner().invoke(app, ["predict", *map(str, arguments)])


def test_a_folder_gives_a_table_and_what_is_broken_an_exit_status(folder):
    result = run(folder / "one", folder / "videos")
    assert result.exit_code == 1
    lines = [line.split() for line in result.stdout.splitlines() if ".mp4" in line]
    assert [line[0].rpartition("/")[2] for line in lines] == ["a.mp4", "b.mp4"]
    assert "3/3 (100%)" in result.stderr
    assert "error: " in result.stderr
    assert "broken.mp4" in result.stderr
    assert "broken.mp4" not in result.stdout
    alone = run(folder / "one", folder / "videos" / "a.mp4")
    assert (alone.exit_code, alone.stderr) == (0, "")


def test_json_csv_and_files_hold_the_same(folder, tmp_path):
    result = run(
        folder / "one", folder / "videos", "no/*.mp4", "--json", "--out", tmp_path / "p.jsonl", "--batch-size", 1
    )
    values = json.loads(result.stdout)
    assert result.exit_code == 1
    assert [value.get("label") for value in values[:2]] == [values[0]["label"]] * 2
    assert "no file matches this pattern" in values[3]["error"]
    assert [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()] == values
    table = list(csv.DictReader(io.StringIO(run(folder / "one", folder / "videos", "--csv", "--top-k", 1).stdout)))
    assert [row["label"] for row in table] == [values[0]["label"]] * 2 + [""]
    assert list(table[0]) == ["path", "label", "score", "start_seconds", "end_seconds", "error"]


def test_a_model_of_several_labels_shows_what_is_present(folder):
    video = folder / "videos" / "a.mp4"
    result = run(folder / "several", video, "--threshold", "0", "--threshold", "run=1")
    assert result.exit_code == 0
    assert "present" in result.stdout
    assert json.loads(run(folder / "several", video, "--threshold", "1", "--json").stdout)[0]["present"] == []
    named = json.loads(run(folder / "several", video, "--threshold", "1", "--threshold", "run=0", "--json").stdout)
    assert named[0]["present"] == ["run"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["one", "--json", "--csv"], "give one of --csv and --json"),
        (["one", "--csv", "a.csv"], "prints, and takes no file; --out a.csv writes one"),
        (["one", "--out", "a.txt"], "expected a file .csv, .json, .jsonl"),
        (["one", "--threshold", "0.5"], "is for models of several labels a clip"),
        (["several", "--threshold", "2"], "expected a number from 0 to 1"),
        (["several", "--threshold", "run=x"], "expected a number from 0 to 1"),
        (["several", "--threshold", "fly=0.5"], "there is no class 'fly': jump, run, sit"),
    ],
)
def test_wrong_options_of_predict_are_named(folder, arguments, message):
    result = run(folder / arguments[0], folder / "videos" / "a.mp4", *arguments[1:])
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())


def test_names_that_stand_for_no_video_at_all_are_an_error(folder):
    result = run(folder / "one", "no/*.mp4")
    assert result.exit_code == 1
    assert "no file matches this pattern" in str(result.exception)
