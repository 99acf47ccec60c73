"""Scores that were written before, measured again and fused: the same numbers to the bit."""

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kinema.datasets.synthetic import make_motion_dataset
from kinema.engine import Runner
from kinema.errors import DumpError
from kinema.evaluation import ClipScores, FailedClip, ScoreDump, write_dump
from kinema.evaluation.functional import mean_average_precision
from kinema.inference import load
from kinema.recipes import classification, evaluate, evaluation_clips
from kinema.recipes.evaluation import Evaluation
from kinema.recipes.offline import evaluate_scores, fuse_dumps, read_scores


def some_scores(seed: int = 0, count: int = 40, classes: int = 7) -> ScoreDump:
    drawn = np.random.default_rng(seed)
    clips = ClipScores(
        tuple(f"v_{place % 7}_g{place % 11:02}_c{place:02}.mp4" for place in range(count)),
        np.random.default_rng(9).integers(0, classes, count),
        drawn.random((count, classes)).astype(np.float32),
        tuple(f"class {number}" for number in range(classes)),
        root="/data",
    )
    return ScoreDump(clips, (FailedClip("x.mp4", "x.mp4: no such file", 1),), "val.txt")


@pytest.mark.parametrize("suffix", [".npz", ".json", ".pkl"])
def test_a_file_gives_the_evaluation_that_was_written(tmp_path: Path, suffix: str) -> None:
    expected = evaluate_scores(some_scores())
    write_dump(tmp_path / f"a{suffix}", expected.dump())
    again = evaluate_scores(read_scores(tmp_path / f"a{suffix}"))
    assert again.metrics == expected.metrics
    assert again.intervals == expected.intervals
    assert again.source == "val.txt"
    assert again.clips is not None
    assert expected.clips is not None
    assert (again.clips.ids, again.clips.classes, again.clips.root) == (
        *(expected.clips.ids, expected.clips.classes),
        "/data",
    )
    assert np.array_equal(again.clips.scores, expected.clips.scores)
    assert again.failed == (() if suffix == ".pkl" else expected.failed)  # OpenMMLab's list has no place for them


def test_the_numbers_are_those_of_the_model(tmp_path: Path) -> None:
    data = make_motion_dataset(tmp_path / "clips", num_train=8, num_val=8, num_frames=8, size=(32, 32))
    Runner.from_cfg(classification(data.root, work_dir=tmp_path / "work", epochs=1, workers=0)).train()
    recognizer = load(tmp_path / "work")
    expected = evaluate(recognizer, evaluation_clips(data.root, recognizer.classes), workers=0)
    write_dump(tmp_path / "a.npz", expected.dump())
    again = evaluate_scores(read_scores(tmp_path / "a.npz"))
    assert (again.metrics, again.intervals, again.source) == (expected.metrics, expected.intervals, expected.source)
    assert again.numbers == expected.numbers


def test_other_metrics_can_be_asked_for() -> None:
    metrics = evaluate_scores(some_scores(), [{"type": "AccMetric", "metric_list": "mean_class_accuracy"}]).metrics
    assert list(metrics) == ["acc/mean1"]


def test_several_scores_a_clip_have_no_dump() -> None:
    with pytest.raises(DumpError, match=r"val\.txt: the model gives several scores a clip, of which there is no dump"):
        Evaluation({}, 3, source="val.txt").dump()


def several_labels(seed: int = 0) -> ScoreDump:
    dump = some_scores(seed)
    labels = np.random.default_rng(3).random(dump.clips.scores.shape) < 0.3
    labels[0] = False  # a clip of which nothing is there
    return replace(dump, clips=replace(dump.clips, labels=labels))


@pytest.mark.parametrize("suffix", [".npz", ".json", ".pkl"])
def test_clips_of_several_labels_are_measured_by_their_average_precision(tmp_path: Path, suffix: str) -> None:
    dump = several_labels()
    write_dump(tmp_path / f"a{suffix}", dump)
    again = read_scores(tmp_path / f"a{suffix}")
    assert again.clips.labels.dtype == bool
    assert np.array_equal(again.clips.labels, dump.clips.labels)
    measured = evaluate_scores(again)
    expected = mean_average_precision(dump.clips.scores, dump.clips.labels)
    assert measured.numbers["acc/mean_average_precision"] == expected
    assert measured.numbers["acc/mean_average_precision_low"] < expected
    assert measured.intervals == {}
    fused = fuse_dumps([tmp_path / f"a{suffix}"] * 2)
    assert np.array_equal(fused.clips.labels, dump.clips.labels)
    with pytest.raises(DumpError, match="its clips may have several labels, whose scores are fused by 'mean' alone"):
        fuse_dumps([tmp_path / f"a{suffix}"] * 2, how="geometric-mean")


def test_labels_of_two_kinds_do_not_go_together(tmp_path: Path) -> None:
    write_dump(tmp_path / "one.npz", some_scores())
    write_dump(tmp_path / "several.npz", several_labels())
    for files in (("one", "several"), ("several", "one")):
        with pytest.raises(DumpError, match=r"one\.npz: has one label a clip, but .*several\.npz may have several"):
            fuse_dumps([tmp_path / f"{name}.npz" for name in files])
    other = several_labels()
    other.clips.labels[0, 2] = True
    write_dump(tmp_path / "other.npz", other)
    with pytest.raises(DumpError, match=r"other\.npz: .*c00\.mp4 has the label 2 \(class 2\), but none in .*several"):
        fuse_dumps([tmp_path / "several.npz", tmp_path / "other.npz"])


def test_files_are_fused(tmp_path: Path) -> None:
    for seed, name in ((0, "a.npz"), (1, "b.json")):
        write_dump(tmp_path / name, some_scores(seed))
    fused = fuse_dumps([tmp_path / "a.npz", tmp_path / "b.json"], [1, 3])
    one, two = (some_scores(seed).clips.scores.astype(float) for seed in (0, 1))
    assert np.array_equal(fused.clips.scores, (one / 4 + two * 3 / 4).astype(np.float32))
    assert (fused.source, fused.failed) == ("val.txt, 2 files of scores fused", some_scores().failed)
    write_dump(tmp_path / "c.npz", some_scores(0, count=39))
    with pytest.raises(DumpError, match=r"c\.npz: 1 clip is \(v_4_g06_c39\.mp4\) in .*a\.npz alone; --common"):
        fuse_dumps([tmp_path / "a.npz", tmp_path / "c.npz"])


def openmmlab_samples() -> list[dict[str, Any]]:
    return [
        {
            "gt_label": torch.tensor([label]),
            "pred_score": torch.tensor([0.25, 0.75]),
            "pred_label": torch.tensor([1]),
            "num_classes": 2,
        }
        for label in (0, 1, 1)
    ]


def test_pickles_of_openmmlab_are_read_and_measured(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(openmmlab_samples()))
    dump = read_scores(tmp_path / "a.pkl")
    assert (dump.clips.paths, dump.clips.names) == (("clip 0", "clip 1", "clip 2"), ("0", "1"))
    assert evaluate_scores(dump).metrics["acc/top1"] == pytest.approx(2 / 3)
    older = [
        {"gt_labels": {"item": sample["gt_label"]}, "pred_scores": {"item": sample["pred_score"]}}
        for sample in openmmlab_samples()
    ]
    (tmp_path / "b.pickle").write_bytes(pickle.dumps(older, protocol=2))
    assert np.array_equal(read_scores(tmp_path / "b.pickle").clips.scores, dump.clips.scores)
    arrays = [{"gt_label": 1, "pred_score": np.array([0.5, 0.5])}]
    (tmp_path / "c.pkl").write_bytes(pickle.dumps(arrays))
    assert read_scores(tmp_path / "c.pkl").clips.labels.tolist() == [1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": 1}, "expected a list of data samples, as DumpResults of OpenMMLab writes it, got a dict"),
        ([], "expected a list of data samples, .*, got an empty list"),
        ([3], "sample 0 has no gt_label and pred_score: expected those of a recognizer"),
        ([{"gt_label": 1, "pred_score": {"rgb": 1}}], "sample 0 has no gt_label and pred_score"),
        (
            [{"gt_label": np.ones(3), "pred_score": np.ones(2)}],
            r"sample 0 has float64 labels of shape \(3,\) and scores",
        ),
        ([{"gt_label": np.array([0, 1]), "pred_score": np.ones(2)}], r"sample 0 has int64 labels of shape \(2,\) and"),
        (
            [{"gt_label": 1, "pred_score": np.ones(2)}, {"gt_label": np.ones(2), "pred_score": np.ones(2)}],
            "some of its samples have one label and some one for each class",
        ),
        (
            [{"gt_label": 0, "pred_score": np.ones(2)}, {"gt_label": 0, "pred_score": np.ones(3)}],
            "its samples have scores of different numbers of classes",
        ),
        ([{"gt_label": 7, "pred_score": np.array([0.5, 0.5])}], "labels from 7 to 7 for 2 classes"),
    ],
)
def test_pickles_of_other_things_are_named(tmp_path: Path, content: Any, message: str) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(DumpError, match=rf"a\.pkl: .*{message}"):
        read_scores(tmp_path / "a.pkl")


def test_files_that_are_not_there_or_damaged_are_named(tmp_path: Path) -> None:
    with pytest.raises(DumpError, match=r"a\.npz: there is no such file of scores"):
        read_scores(tmp_path / "a.npz")
    (tmp_path / "a.pkl").write_bytes(b"no pickle")
    with pytest.raises(DumpError, match=r"a\.pkl is not a file of scores"):
        read_scores(tmp_path / "a.pkl")


class Runs:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("this must not run",)


def test_nothing_in_a_pickle_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps([{**openmmlab_samples()[0], "more": Runs()}]))
    with pytest.raises(DumpError, match=r"a\.pkl .*builtins\.print"):
        read_scores(tmp_path / "a.pkl")
    assert capsys.readouterr().out == ""
