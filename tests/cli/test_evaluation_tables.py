import csv
import json
from pathlib import Path

import numpy as np
import pytest

from kinema.cli.evaluation_tables import json_value, show, table_of_clips
from kinema.datasets.annotations import read_split
from kinema.datasets.broken import BrokenSample
from kinema.evaluation.intervals import accuracy_interval
from kinema.recipes import ClipScores, Evaluation
from kinema.report.clip_table import safe_cell, write_clip_table

NAMES = ["wave", "=1+1", "sit"]


def evaluation_of(labels, scores, *, failed=(), places=None):
    clips = ClipScores(np.arange(len(labels)) if places is None else places, np.array(labels), np.array(scores))
    intervals = {"top1": accuracy_interval(clips.hits)}
    metrics = {"acc/top1": float(clips.hits.mean())}
    return Evaluation(metrics, len(labels), failed, clips, intervals), metrics


@pytest.fixture
def split(tmp_path):
    (tmp_path / "clips").mkdir()
    for name in "abcd":
        (tmp_path / "clips" / f"{name}.mp4").touch()
    (tmp_path / "classes.txt").write_text("".join(f"{name}\n" for name in NAMES))
    (tmp_path / "val.txt").write_text("clips/a.mp4 0\nclips/b.mp4 1\nclips/c.mp4 1\nclips/d.mp4 2\n")
    return read_split(tmp_path / "val.txt")


SCORES = [[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1]]
BROKEN = BrokenSample(3, "d.mp4", "d.mp4: no such file", place=3)


def test_classes_confusions_and_wrong_clips_are_shown(split, capsys):
    evaluation, metrics = evaluation_of([0, 1, 1], SCORES, failed=(BROKEN,))
    show(evaluation, split, NAMES, metrics)
    shown = capsys.readouterr().out
    lines = [line.split() for line in shown.splitlines()]
    assert f"3 of 4 clips of {split.path}; 1 broken, not in the numbers" in shown
    assert ["acc/top1", "0.6667", "0.21", "to", "0.94"] in lines
    assert ["wave", "1", "1", "2", "0.50", "1.00", "0.67"] in lines
    assert ["=1+1", "2", "1", "1", "1.00", "0.50", "0.67"] in lines
    assert ["sit", "0", "0", "0", "-", "-", "-"] in lines
    assert ["=1+1", "1", "1", "0"] in lines, "the row of the matrix"
    assert "1 of 3 clips are wrong" in shown
    assert ["clips/b.mp4", "=1+1", "wave", "0.60", "0.30"] in lines
    assert "3 clips are few" in shown
    assert "To say '=1+1' of every clip would be right for 0.6667 of them." in shown


def test_a_model_of_one_class_and_a_perfect_one_are_named(split, capsys):
    show(*swap(evaluation_of([0, 1, 1], [SCORES[0]] * 3), split))
    assert "The model takes every clip for 'wave'" in capsys.readouterr().out
    show(*swap(evaluation_of([0, 0, 1], SCORES), split))
    assert "All clips are right." in capsys.readouterr().out


def swap(measured, split):
    return measured[0], split, NAMES, measured[1]


def test_many_classes_show_the_worst(split, capsys):
    names = [f"class{number}" for number in range(60)]
    scores = np.eye(60, dtype=np.float32)[[0, 1, 5]]
    evaluation, metrics = evaluation_of([0, 1, 2], scores)
    show(evaluation, split, names, metrics)
    shown = capsys.readouterr().out
    assert "The 3 classes of 60 that are recognized least" in shown
    assert ["class2", "class5", "1", "100%"] in [line.split() for line in shown.splitlines()]
    columns, rows = table_of_clips(evaluation, split, names)
    assert columns[-2:] == ["class 5", "score 5"]
    assert rows[2]["class 1"] == "class5"


def test_the_json_value_carries_it_all(split):
    evaluation, metrics = evaluation_of([0, 1, 1], SCORES, failed=(BROKEN,))
    value = json.loads(json.dumps(json_value(evaluation, split, NAMES, metrics), allow_nan=False))
    assert value["clips"] == 3
    assert value["failed"] == [{"path": "d.mp4", "error": "d.mp4: no such file"}]
    assert value["classes"][0] == dict(name="wave", clips=1, right=1, predicted=2, precision=0.5, recall=1.0, f1=2 / 3)
    assert value["classes"][2]["recall"] is None
    assert value["confusion_matrix"] == [[1, 0, 0], [1, 1, 0], [0, 0, 0]]
    assert value["confusions"] == [{"label": "=1+1", "predicted": "wave", "clips": 1}]
    second = value["predictions"][1]
    assert (Path(second["path"]).name, second["label"], second["predicted"], second["right"]) == (
        "b.mp4",
        "=1+1",
        "wave",
        False,
    )
    assert second["scores"] == {"wave": 0.6, "=1+1": 0.3, "sit": 0.1}
    assert value["intervals"]["acc/top1"]["num_clips"] == 3


def test_the_table_has_every_clip_and_no_formula(split, tmp_path):
    evaluation, _ = evaluation_of([0, 1, 1], SCORES, failed=(BROKEN,))
    write_clip_table(tmp_path / "new" / "out.csv", *table_of_clips(evaluation, split, NAMES))
    rows = list(csv.DictReader((tmp_path / "new" / "out.csv").read_text(encoding="utf-8").splitlines()))
    assert [Path(row["path"]).name for row in rows] == ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]
    assert (rows[1]["label"], rows[1]["predicted"], rows[1]["right"], rows[1]["score"]) == ("'=1+1", "wave", "0", "0.6")
    assert rows[1]["score of =1+1"] == "0.3"
    assert (rows[3]["predicted"], rows[3]["error"]) == ("", "d.mp4: no such file")
    for text in ("=1", "+1", "-1", "@x", "\t=1", "  =1", "\r=", "＝1"):  # noqa: RUF001
        assert safe_cell(text) == f"'{text}"
    assert [safe_cell(value) for value in ("a=1", -1, 0.5, "")] == ["a=1", -1, 0.5, ""]


def test_parts_of_videos_say_their_times(tmp_path, capsys):
    (tmp_path / "a.mp4").touch()
    (tmp_path / "list.csv").write_text("path,label,start,end\na.mp4,wave,1,2.5\na.mp4,sit,3,4\n")
    split = read_split(tmp_path / "list.csv")
    evaluation, metrics = evaluation_of([1, 0], [[0.9, 0.1], [0.2, 0.8]])
    show(evaluation, split, ["sit", "wave"], metrics)
    assert f"{tmp_path.name}/a.mp4 [1.0-2.5]" in capsys.readouterr().out
    assert table_of_clips(evaluation, split, ["sit", "wave"])[1][0]["end_seconds"] == 2.5
