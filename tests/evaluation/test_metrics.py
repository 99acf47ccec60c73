import logging
from typing import Any

import numpy as np
import pytest
import torch

from kinema.errors import SampleError
from kinema.evaluation import AccMetric, BaseMetric, ConfusionMatrix
from kinema.registry import METRICS
from kinema.structures import ActionDataSample, LabelData

SCORES = torch.tensor([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1], [0.2, 0.5, 0.3]])
LABELS = [2, 1, 1]


class Collect(BaseMetric):
    """Gives back its results, to see what evaluate passes on."""

    default_prefix = "seen"

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results.extend(data_samples)

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        return {"all": results}


def samples() -> list[ActionDataSample]:
    return [
        ActionDataSample().set_gt_label(label).set_pred_score(score).set_pred_label(int(score.argmax()))
        for score, label in zip(SCORES, LABELS, strict=True)
    ]


# ---- the base


def test_evaluate_prefixes_the_numbers_and_drops_copies() -> None:
    metric = Collect()
    metric.process(None, [1, 2, 3, 4])
    assert metric.evaluate(3) == {"seen/all": [1, 2, 3]}


@pytest.mark.parametrize(("prefix", "name"), [("mine", "mine/all"), ("", "all")])
def test_the_prefix_may_be_chosen(prefix: str, name: str) -> None:
    metric = Collect(prefix=prefix)
    metric.process(None, [1])
    assert list(metric.evaluate(1)) == [name]


def test_evaluate_clears_the_results() -> None:
    metric = Collect()
    metric.process(None, [1])
    metric.evaluate(1)
    metric.process(None, [2])
    assert metric.evaluate(1) == {"seen/all": [2]}
    assert metric.results == []


def test_an_error_in_the_numbers_reaches_the_caller_and_clears_the_results() -> None:
    metric = AccMetric()
    metric.results = [{"pred": np.array([1.0, 0.0]), "label": 7}]
    with pytest.raises(ValueError, match="label 7 of sample 0 is out of range"):
        metric.evaluate(1)
    assert metric.results == []


def test_a_metric_without_results_warns(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="kinema"):
        Collect().evaluate(0)
    assert "Collect has no results in process 0: was `process` called" in caplog.text


def test_results_are_moved_to_the_cpu_in_any_nesting() -> None:
    metric = Collect()
    metric.process(None, [{"a": [torch.ones(1)], "b": (LabelData(item=torch.ones(1)), "text")}])
    (result,) = metric.evaluate(1)["seen/all"]
    assert result["a"][0].tolist() == result["b"][0].item.tolist() == [1]


def test_metrics_accept_where_results_were_collected_by_keyword_and_by_position() -> None:
    assert (
        Collect("cpu", "mine").prefix == Collect(collect_device="gpu", prefix="mine", collect_dir="x").prefix == "mine"
    )
    metric = AccMetric("top_k_accuracy", "cpu", {"top_k_accuracy": {"topk": 3}}, "mine")
    assert (metric.metrics, metric.topk, metric.prefix) == (("top_k_accuracy",), (3,), "mine")
    assert ConfusionMatrix(4, "cpu", "mine").prefix == "mine"


def test_a_metric_knows_the_dataset_meta() -> None:
    metric = Collect()
    assert metric.dataset_meta is None
    metric.dataset_meta = {"classes": ["a"]}
    assert metric.dataset_meta == {"classes": ["a"]}


# ---- accuracy


def test_accuracy_reads_elements_and_dicts_alike() -> None:
    expected = {"acc/top1": 2 / 3, "acc/mean1": 0.5}  # no top5 of three classes; class 0 only predicted, 1 half, 2 all
    for given in (samples(), [sample.to_dict() for sample in samples()]):
        metric = METRICS.build({"type": "AccMetric"})
        metric.process(None, given)
        numbers = metric.evaluate(3)
        assert numbers == pytest.approx(expected)
        assert all(type(value) is float for value in numbers.values())


def test_a_k_that_counts_every_label_is_given_only_when_it_is_asked_for() -> None:
    for num_classes, names in ((5, ["top1", "mean1"]), (6, ["top1", "top5", "mean1"]), (1, ["top1", "mean1"])):
        assert list(AccMetric().calculate([np.arange(num_classes) / 10] * 2, [0, 0])) == names
    asked = AccMetric("top_k_accuracy", metric_options={"top_k_accuracy": {"topk": (1, 5)}})
    assert asked.calculate([np.array([0.2, 0.8])], [0]) == {"top1": 0.0, "top5": 1.0}


def test_accuracy_takes_half_precision_scores() -> None:
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        metric = AccMetric("top_k_accuracy", metric_options={"top_k_accuracy": {"topk": 1}})
        metric.process(None, [ActionDataSample().set_gt_label(1).set_pred_score(torch.tensor([0.0, 1.0], dtype=dtype))])
        assert metric.evaluate(1) == {"acc/top1": 1.0}


def test_accuracy_of_the_guides_pred_scores() -> None:
    sample = ActionDataSample().set_gt_label(1)
    sample.pred_scores = LabelData(item=torch.tensor([0.1, 0.9]))
    metric = AccMetric("top_k_accuracy", metric_options={"top_k_accuracy": {"topk": (1, 2)}})
    metric.process(None, [sample])
    assert metric.evaluate(1) == {"acc/top1": 1.0, "acc/top2": 1.0}


def test_accuracy_of_several_scores_names_each() -> None:
    metric = AccMetric(("top_k_accuracy",), metric_options={"top_k_accuracy": {"topk": (1,)}})
    for label in (0, 1):
        scores = {"rgb": torch.tensor([1.0, 0.0]), "pose": torch.eye(2)[label]}
        metric.process(None, [ActionDataSample().set_gt_label(label).set_pred_score(scores)])
    assert metric.evaluate(2) == {"acc/rgb_top1": 0.5, "acc/pose_top1": 1.0}


def test_accuracy_of_several_labels() -> None:
    metric = AccMetric(("mean_average_precision", "mmit_mean_average_precision"))
    for score, label in (([0.9, 0.1], [1.0, 1.0]), ([0.2, 0.3], [0.0, 1.0])):
        metric.process(None, [ActionDataSample().set_gt_label(torch.tensor(label)).set_pred_score(score)])
    assert metric.evaluate(2) == {"acc/mean_average_precision": 1.0, "acc/mmit_mean_average_precision": 1.0}


def test_top_k_of_several_labels_is_refused() -> None:
    metric = AccMetric()
    metric.process(None, [ActionDataSample().set_gt_label(torch.ones(3)).set_pred_score(SCORES[0])])
    with pytest.raises(ValueError, match=r"need one label a sample: 1 rows of scores, labels of shape \(1, 3\)"):
        metric.evaluate(1)


def test_accuracy_names_what_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="unknown metric 'recall'; there are: top_k_accuracy, mean_class_accuracy"):
        AccMetric("recall")
    with pytest.raises(ValueError, match="unknown metric option top_k, k; the only one is"):
        AccMetric(metric_options={"top_k": {}, "top_k_accuracy": {"k": 1}})


def test_a_sample_without_scores_is_named() -> None:
    with pytest.raises(
        SampleError, match="a data sample has no 'pred_score', which the metric needs; it has: gt_label"
    ):
        AccMetric().process(None, [ActionDataSample().set_gt_label(1)])
    with pytest.raises(
        SampleError, match="a data sample has no 'gt_label', which the metric needs; it has: pred_score"
    ):
        AccMetric().process(None, [{"pred_score": torch.ones(2)}])


# ---- confusion


def test_confusion_counts_scores_or_predicted_labels() -> None:
    expected = [[0, 0, 0], [1, 1, 0], [0, 0, 1]]
    by_label = [sample.to_dict() for sample in samples()]
    for sample in by_label:
        del sample["pred_score"]
    for given in (samples(), by_label):
        metric = METRICS.build({"type": "ConfusionMatrix"})
        metric.process(None, given)
        matrix = metric.evaluate(3)["confusion_matrix/result"]
        assert matrix.dtype == torch.int64
        assert matrix.tolist() == expected


def test_confusion_has_as_many_rows_as_asked() -> None:
    metric = ConfusionMatrix(num_classes=4)
    metric.process(None, samples())
    assert metric.evaluate(3)["confusion_matrix/result"].shape == (4, 4)


def test_confusion_is_calculated_from_classes_or_scores() -> None:
    expected = [[0, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert ConfusionMatrix.calculate(SCORES, torch.tensor(LABELS)).tolist() == expected
    assert ConfusionMatrix.calculate([2, 0, 1], LABELS).tolist() == expected
    assert ConfusionMatrix.calculate(np.array([2, 0, 1]), np.array(LABELS), num_classes=5).shape == (5, 5)


def test_confusion_refuses_several_labels() -> None:
    with pytest.raises(ValueError, match=r"needs one class a sample, but gt_label has shape \(3,\)"):
        ConfusionMatrix().process(None, [ActionDataSample().set_gt_label(torch.ones(3)).set_pred_score(SCORES[0])])


def test_confusion_refuses_a_label_that_has_no_row() -> None:
    metric = ConfusionMatrix(num_classes=2)
    metric.process(None, [ActionDataSample().set_gt_label(2).set_pred_label(0)])
    with pytest.raises(ValueError, match="class 2 at place 0 of y_real is out of range for 2 classes"):
        metric.evaluate(1)
