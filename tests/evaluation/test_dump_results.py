"""The metric `DumpResults`: what a model said of each sample, in a file."""

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kinema.errors import DumpError
from kinema.evaluation import DumpResults, Evaluator, read_dump
from kinema.recipes.offline import read_scores
from kinema.structures import ActionDataSample

SCRIPT = Path(__file__).parent / "torchrun_evaluation.py"


def sample(label: Any, scores: Any, **facts: Any) -> ActionDataSample:
    return ActionDataSample(metainfo=facts).set_gt_label(label).set_pred_score(torch.tensor(scores))


def test_a_config_writes_what_was_predicted(tmp_path: Path) -> None:
    evaluator = Evaluator(
        [{"type": "AccMetric"}, {"type": "DumpResults", "out_file_path": str(tmp_path / "o" / "a.json")}]
    )
    evaluator.dataset_meta = {"classes": ["jump", "run"]}
    evaluator.process([sample(1, [0.25, 0.75], filename="/d/a.mp4", start_seconds=1.0, end_seconds=2.5)])
    evaluator.process([sample(0, [0.5, 0.5], filename="/d/b.mp4")])
    assert set(evaluator.evaluate(2)) == {"acc/top1", "acc/mean1"}
    dump = read_dump(tmp_path / "o" / "a.json")
    assert [str(clip) for clip in dump.clips.ids] == ["/d/a.mp4 [1.0-2.5]", "/d/b.mp4"]
    assert dump.clips.classes == ("jump", "run")
    assert dump.clips.labels.tolist() == [1, 0]
    assert dump.clips.scores.tolist() == [[0.25, 0.75], [0.5, 0.5]]


def test_labels_of_several_classes_are_written(tmp_path: Path) -> None:
    metric = DumpResults(str(tmp_path / "a.npz"))
    scores = torch.tensor([0.2, 0.9, 0.1])
    metric.process({}, [{"gt_label": torch.tensor([0.0, 1.0, 1.0]), "pred_score": scores, "filename": "a.mp4"}])
    metric.evaluate(1)
    assert read_dump(tmp_path / "a.npz").clips.labels.tolist() == [[False, True, True]]


def test_samples_without_a_name_are_known_by_their_places(tmp_path: Path) -> None:
    metric = DumpResults(str(tmp_path / "a.npz"))
    metric.process(None, [sample(0, [1.0, 0.0]), sample(1, [0.0, 1.0], frame_dir="b", start_frame=3)])
    assert metric.evaluate(2) == {}
    clips = read_dump(tmp_path / "a.npz").clips
    assert [str(clip) for clip in clips.ids] == ["clip 0", "b [3.0-]"]
    assert clips.unit == "frames"


def test_a_pickle_holds_the_samples_as_they_are(tmp_path: Path) -> None:
    metric = DumpResults(str(tmp_path / "a.pkl"), collect_device="gpu")  # type: ignore[call-arg]
    evaluator = Evaluator(metric)
    evaluator.process([sample(1, [0.25, 0.75], filename="a.mp4"), sample(0, [0.5, 0.5], filename="b.mp4")])
    assert evaluator.evaluate(2) == {}
    clips = read_scores(tmp_path / "a.pkl").clips
    assert (clips.paths, clips.labels.tolist()) == (("a.mp4", "b.mp4"), [1, 0])
    assert clips.scores.tolist() == [[0.25, 0.75], [0.5, 0.5]]


def test_features_that_a_model_gives_are_dumped_as_they_are(tmp_path: Path) -> None:
    metric = DumpResults(str(tmp_path / "a.pkl"))
    features = torch.arange(6.0, requires_grad=True).reshape(2, 3)
    metric.process({}, list(features))
    metric.compute_metrics(metric.results)
    written = pickle.loads((tmp_path / "a.pkl").read_bytes())
    assert [row.tolist() for row in written] == [[0, 1, 2], [3, 4, 5]]


def test_what_is_no_row_is_refused_where_rows_are_written(tmp_path: Path) -> None:
    metric = DumpResults(str(tmp_path / "a.npz"))
    with pytest.raises(DumpError, match=r"scores of shape \(2, 2\): expected one score a class; average its views"):
        metric.process(None, [sample(0, [[0.5, 0.5], [1.0, 0.0]])])
    with pytest.raises(ValueError, match=r"DumpResults \(other than \.pkl\) needs one class a sample"):
        metric.process(None, [sample([0, 1], [0.5, 0.5])])
    with pytest.raises(DumpError, match=r"a\.npz: not written: there are no samples"):
        metric.evaluate(0)
    metric.process(None, [sample(0, [0.5, np.nan])])
    with pytest.raises(DumpError, match=r"a\.npz: not written: what was predicted: holds scores that are not numbers"):
        metric.evaluate(1)
    with pytest.raises(DumpError, match="expected a file of scores"):
        DumpResults("a.csv")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_several_processes_write_every_sample_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", SCRIPT, tmp_path]
    run = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr
    value = json.loads((tmp_path / "dump.json").read_text())
    assert [row["path"] for row in value["clips"]] == [f"clip {place}" for place in range(7)]
    assert [row["label"] for row in value["clips"]] == [0, 1, 2, 3, 4, 0, 1]
