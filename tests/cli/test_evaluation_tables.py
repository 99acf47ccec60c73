import csv
import json
from pathlib import Path

import numpy as np

from kinema.cli.evaluation_tables import json_value, show, table_of_clips
from kinema.evaluation import ClipScores, FailedClip
from kinema.recipes import Evaluation
from kinema.report.clip_table import safe_cell, write_clip_table

NAMES = ["wave", "=1+1", "sit"]


def evaluation_of(labels, scores, *, failed=(), names=NAMES, paths="abcd", **times):
    clips = ClipScores(
        tuple(f"clips/{name}.mp4" for name in paths[: len(labels)]),
        np.array(labels),
        np.array(scores, np.float32),
        tuple(names),
        root="/data",
        **times,
    )
    metrics = {"acc/top1": float(clips.hits.mean())}
    return Evaluation(metrics, len(labels), failed, clips, clips.intervals(), "/data/val.txt")


SCORES = [[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1]]
BROKEN = FailedClip("d.mp4", "d.mp4: no such file", 2)


def test_classes_confusions_and_wrong_clips_are_shown(capsys):
    show(evaluation_of([0, 1, 1], SCORES, failed=(BROKEN,)))
    shown = capsys.readouterr().out
    lines = [line.split() for line in shown.splitlines()]
    assert "3 of 4 clips of /data/val.txt; 1 broken, not in the numbers" in shown
    assert ["acc/top1", "0.6667", "0.21", "to", "0.94"] in lines
    assert ["wave", "1", "1", "2", "0.50", "1.00", "0.67"] in lines
    assert ["=1+1", "2", "1", "1", "1.00", "0.50", "0.67"] in lines
    assert ["sit", "0", "0", "0", "-", "-", "-"] in lines
    assert ["=1+1", "1", "1", "0"] in lines, "the row of the matrix"
    assert "1 of 3 clips are wrong" in shown
    assert ["clips/b.mp4", "=1+1", "wave", "0.60", "0.30"] in lines
    assert "3 clips are few" in shown
    assert "To say '=1+1' of every clip would be right for 0.6667 of them." in shown


def test_a_model_of_one_class_and_a_perfect_one_are_named(capsys):
    show(evaluation_of([0, 1, 1], [SCORES[0]] * 3))
    assert "The model takes every clip for 'wave'" in capsys.readouterr().out
    show(evaluation_of([0, 0, 1], SCORES))
    assert "All clips are right." in capsys.readouterr().out


def test_many_classes_show_the_worst(capsys):
    names = [f"class{number}" for number in range(60)]
    scores = np.eye(60, dtype=np.float32)[[0, 1, 5]]
    evaluation = evaluation_of([0, 1, 2], scores, names=names)
    show(evaluation)
    shown = capsys.readouterr().out
    assert "The 3 classes of 60 that are recognized least" in shown
    assert ["class2", "class5", "1", "100%"] in [line.split() for line in shown.splitlines()]
    columns, rows = table_of_clips(evaluation)
    assert columns[-2:] == ["class 5", "score 5"]
    assert rows[2]["class 1"] == "class5"


def test_the_json_value_carries_it_all():
    evaluation = evaluation_of([0, 1, 1], SCORES, failed=(BROKEN,))
    value = json.loads(json.dumps(json_value(evaluation), allow_nan=False))
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


def test_the_table_has_every_clip_and_no_formula(tmp_path):
    evaluation = evaluation_of([0, 1, 1], SCORES, failed=(BROKEN,))
    write_clip_table(tmp_path / "new" / "out.csv", *table_of_clips(evaluation))
    rows = list(csv.DictReader((tmp_path / "new" / "out.csv").read_text(encoding="utf-8").splitlines()))
    assert [Path(row["path"]).name for row in rows] == ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]
    assert (rows[1]["label"], rows[1]["predicted"], rows[1]["right"], rows[1]["score"]) == ("'=1+1", "wave", "0", "0.6")
    assert rows[1]["score of =1+1"] == "0.3"
    assert (rows[3]["label"], rows[3]["predicted"], rows[3]["error"]) == ("sit", "", "d.mp4: no such file")
    for text in ("=1", "+1", "-1", "@x", "\t=1", "  =1", "\r=", "＝1"):  # noqa: RUF001
        assert safe_cell(text) == f"'{text}"
    assert [safe_cell(value) for value in ("a=1", -1, 0.5, "")] == ["a=1", -1, 0.5, ""]


def test_parts_of_videos_say_their_times(capsys):
    times = dict(starts=np.array([1, 3.0]), ends=np.array([2.5, np.nan]))
    evaluation = evaluation_of([1, 0], [[0.9, 0.1], [0.2, 0.8]], names=["sit", "wave"], paths="aa", **times)
    show(evaluation)
    assert "clips/a.mp4 [1.0-2.5]" in capsys.readouterr().out
    rows = table_of_clips(evaluation)[1]
    assert [row["end_seconds"] for row in rows] == [2.5, ""]


def several_labels(count=4):
    scores = np.array([[0.9, 0.2], [0.8, 0.7], [0.1, 0.6], [0.3, 0.1]], dtype=np.float32)[:count]
    labels = np.array([[1, 0], [1, 1], [0, 1], [0, 0]], dtype=bool)[:count]
    clips = ClipScores(tuple(f"{place}.mp4" for place in range(count)), labels, scores, ("run", "jump"))
    name = "acc/mean_average_precision"
    numbers = {name: 1.0, f"{name}_low": 0.5, f"{name}_high": 1.0, "loss": 0.25, "num_clips": count, "num_sources": 4}
    return Evaluation(numbers, count, (FailedClip("b.mp4", "b.mp4: cut off", 1),), clips, source="val.txt")


def test_clips_of_several_labels_are_shown_by_class(capsys):
    show(several_labels())
    words = " ".join(capsys.readouterr().out.split())
    assert "acc/mean_average_precision 1.0000 0.50 to 1.00 loss 0.2500" in words
    assert "num_clips" not in words
    assert "class clips average precision" in words
    assert "run 2 1.00 jump 2 1.00" in words


def test_json_and_table_carry_all_labels_of_a_clip(tmp_path):
    value = json_value(several_labels())
    assert value["classes"][0] == {"name": "run", "clips": 2, "average_precision": 1.0}
    assert value["predictions"][1]["labels"] == ["run", "jump"]
    assert value["predictions"][1]["scores"] == {"run": 0.8, "jump": 0.7}
    columns, rows = table_of_clips(several_labels())
    assert columns == ["path", "labels", "score of run", "score of jump", "error"]
    assert [row.get("labels") for row in rows] == ["run", "run|jump", "jump", "", None]
    assert rows[4] == {"path": "b.mp4", "error": "b.mp4: cut off"}


def test_many_classes_of_several_labels_show_the_least_recognized(capsys):
    drawn = np.random.default_rng(0)
    labels = drawn.random((40, 35)) < 0.3
    scores = drawn.random((40, 35)).astype(np.float32)
    clips = ClipScores(tuple(f"{place}.mp4" for place in range(40)), labels, scores)
    show(Evaluation({"acc/mean_average_precision": 0.5}, 40, clips=clips, source="val.txt"))
    assert "The 30 classes of 35 that are recognized least" in " ".join(capsys.readouterr().out.split())
