import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from kinema.evaluation import AccMetric, BaseMetric, ConfusionMatrix, Evaluator
from kinema.registry import EVALUATOR
from kinema.structures import ActionDataSample

SCRIPT = Path(__file__).parent / "torchrun_evaluation.py"


class Record(BaseMetric):
    """Keeps the batches and samples it is given."""

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results.append((data_batch, data_samples))

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        return {"given": results}


def sample(label: int, scores: list[float]) -> ActionDataSample:
    return ActionDataSample().set_gt_label(label).set_pred_score(torch.tensor(scores))


def test_metrics_are_objects_or_configs_one_or_several() -> None:
    metric = AccMetric()
    assert Evaluator(metric).metrics == [metric]
    assert isinstance(Evaluator({"type": "AccMetric"}).metrics[0], AccMetric)
    assert Evaluator([metric, {"type": "ConfusionMatrix"}]).metrics[0] is metric
    assert isinstance(EVALUATOR.build({"type": "Evaluator", "metrics": [metric]}), Evaluator)


def test_data_elements_become_dicts() -> None:
    metric = Record()
    evaluator = Evaluator(metric)
    evaluator.process([sample(1, [0.5, 0.5]), {"kept": 1}], data_batch="batch")
    ((batch, samples),) = metric.results
    assert batch == "batch"
    assert samples[0]["gt_label"].tolist() == [1]
    assert samples[1] == {"kept": 1}


def test_all_numbers_come_in_one_dict() -> None:
    evaluator = Evaluator([AccMetric("mean_class_accuracy"), ConfusionMatrix()])
    evaluator.process([sample(0, [0.9, 0.1]), sample(1, [0.9, 0.1])])
    numbers = evaluator.evaluate(2)
    assert numbers["acc/mean1"] == 0.5
    assert numbers["confusion_matrix/result"].tolist() == [[1, 0], [1, 0]]


def test_two_evaluations_do_not_mix() -> None:
    evaluator = Evaluator(AccMetric("mean_class_accuracy"))
    for label, expected in ((0, 1.0), (1, 0.0)):
        evaluator.process([sample(label, [0.9, 0.1])])
        assert evaluator.evaluate(1) == {"acc/mean1": expected}


def test_numbers_of_the_same_name_are_refused_and_nothing_is_left_over() -> None:
    evaluator = Evaluator([AccMetric("mean_class_accuracy"), AccMetric("mean_class_accuracy")])
    evaluator.process([sample(0, [0.9, 0.1])])
    with pytest.raises(ValueError, match="two metrics give acc/mean1: give AccMetric another prefix"):
        evaluator.evaluate(1)
    assert all(metric.results == [] for metric in evaluator.metrics)


def test_dataset_meta_reaches_the_metrics() -> None:
    evaluator = Evaluator([Record(), Record()])
    assert evaluator.dataset_meta is None
    evaluator.dataset_meta = {"classes": ["a"]}
    assert evaluator.dataset_meta == {"classes": ["a"]}
    assert all(metric.dataset_meta == {"classes": ["a"]} for metric in evaluator.metrics)


def test_offline_evaluation_goes_in_chunks() -> None:
    given = Evaluator(Record()).offline_evaluate([1, 2, 3], data=["a", "b", "c"], chunk_size=2)["given"]
    assert given == [(["a", "b"], [1, 2]), (["c"], [3])]
    assert Evaluator(Record()).offline_evaluate([1])["given"] == [(None, [1])]


def test_offline_evaluation_checks_its_arguments() -> None:
    with pytest.raises(ValueError, match="need one entry of data a sample, got 1 for 2 samples"):
        Evaluator(Record()).offline_evaluate([1, 2], data=["a"])
    with pytest.raises(ValueError, match="chunk_size must be 1 or more, got 0"):
        Evaluator(Record()).offline_evaluate([1], chunk_size=0)


@pytest.mark.slow
def test_two_processes_give_the_numbers_of_one(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", SCRIPT, tmp_path]
    run = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr
    alone = runpy.run_path(str(SCRIPT))["evaluate"]()
    assert sum(map(sum, alone["confusion_matrix/result"])) == 7
    for rank in range(2):
        seen = json.loads((tmp_path / f"{rank}.json").read_text())
        assert seen["numbers"] == alone
        assert seen["failure"] == "label 9 of sample 0 is out of range: the scores have 2 classes"


def test_a_sample_that_was_left_out_keeps_its_place_but_is_in_no_number() -> None:
    evaluator = Evaluator([Record(prefix="some"), AccMetric("mean_class_accuracy")])
    for label in (0, 1):
        evaluator.process([sample(label, [0.9, 0.1])], data_batch=label)
    metric = evaluator.metrics[0]
    numbers = evaluator.evaluate(3, left_out=[1])
    assert [batch for batch, _ in numbers["some/given"]] == [0, 1]
    assert numbers["acc/mean1"] == 0.5
    assert metric.results == []
    for label in (0, 1):
        evaluator.process([sample(label, [0.9, 0.1])], data_batch=label)
    cut = evaluator.evaluate(2, left_out=[1])  # the place of the second result is the third, beyond the data set
    assert [batch for batch, _ in cut["some/given"]] == [0]
