"""The metric that says how sure an accuracy is."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kinema.datasets.annotations.grouping import source_video_of
from kinema.evaluation.intervals import accuracy_interval, precision_interval
from kinema.evaluation.metrics import BaseMetric, DataSample, read_array, read_class
from kinema.registry import METRICS

LEAST_PROBABILITY = 1e-7  # the loss of a clip is bounded, so that a single one does not decide


class ClipOutcomes(BaseMetric):
    """Which clips are right.

    Reads `pred_score`, `gt_label` and `filename` of each data sample; without a name each clip is
    its own source. Gives the lists `hits`, bools, and `sources`, in the order of the data set.

    Args:
        group_of: from a clip's path to its source; default: `source_video_of`.
    """

    def __init__(self, group_of: Callable[[str], str] = source_video_of) -> None:
        super().__init__()
        self.group_of = group_of

    def process(self, data_batch: Any, data_samples: Sequence[DataSample]) -> None:
        for sample in data_samples:
            scores, label = read_array(sample, "pred_score"), read_class(sample, "gt_label")
            is_probability = scores.min() >= 0 and abs(float(scores.sum()) - 1) < 1e-3
            name = sample.get("filename")
            self.results.append(
                {
                    "hit": int(np.argsort(scores)[-1]) == label,  # of equal scores the one that `in_top_k` takes
                    "probability": float(scores[label]) if is_probability else None,
                    "source": None if name is None else self.group_of(str(name)),
                }
            )

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, Any]:
        sources = [
            ("clip", place) if result["source"] is None else result["source"] for place, result in enumerate(results)
        ]
        return {"hits": [result["hit"] for result in results], "sources": sources}


@METRICS.register_module()
class Top1Interval(ClipOutcomes):
    """Where the top-1 accuracy of other clips of this kind may lie, by source video; and the loss.

    Reads `pred_score`, `gt_label` and `filename` of each data sample; without a name each clip is
    its own source. Gives `acc/top1_low` and `acc/top1_high`, the ends of the 95 % interval of
    `accuracy_interval`; `loss`, the mean of -log of the probability of the true class (only where
    scores are probabilities); `num_clips` and `num_sources`.

    Args:
        group_of: from a clip's path to its source; default: `source_video_of`.
    """

    def names(self) -> list[str]:
        return ["acc/top1_low", "acc/top1_high", "loss", "num_clips", "num_sources"]

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, Any]:
        outcomes = super().compute_metrics(results)
        interval = accuracy_interval(outcomes["hits"], outcomes["sources"])
        numbers = {"acc/top1_low": interval.low, "acc/top1_high": interval.high}
        probabilities = [result["probability"] for result in results]
        if all(probability is not None for probability in probabilities):
            numbers["loss"] = float(-np.log(np.maximum(probabilities, LEAST_PROBABILITY)).mean())
        return {**numbers, "num_clips": interval.num_clips, "num_sources": interval.num_sources}


@METRICS.register_module()
class MAPInterval(BaseMetric):
    """Where the mean average precision of other clips of this kind may lie, by source video; and the loss.

    Reads `pred_score`, multi-hot `gt_label` and `filename` of each data sample; without a name each
    clip is its own source. Gives `acc/mean_average_precision_low` and
    `acc/mean_average_precision_high`, the ends of the 95 % interval of `precision_interval`; `loss`,
    the mean binary cross entropy; `num_clips` and `num_sources`.

    Args:
        group_of: from a clip's path to its source; default: `source_video_of`.
    """

    def __init__(self, group_of: Callable[[str], str] = source_video_of) -> None:
        super().__init__()
        self.group_of = group_of

    def names(self) -> list[str]:
        name = "acc/mean_average_precision"
        return [f"{name}_low", f"{name}_high", "loss", "num_clips", "num_sources"]

    def process(self, data_batch: Any, data_samples: Sequence[DataSample]) -> None:
        for sample in data_samples:
            name = sample.get("filename")
            self.results.append(
                {
                    "scores": read_array(sample, "pred_score"),
                    "labels": read_array(sample, "gt_label"),
                    "source": None if name is None else self.group_of(str(name)),
                }
            )

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, Any]:
        scores = np.stack([result["scores"] for result in results])
        labels = np.stack([result["labels"] for result in results])
        sources = [
            ("clip", place) if result["source"] is None else result["source"] for place, result in enumerate(results)
        ]
        low, high = precision_interval(scores, labels, sources)
        right = np.where(labels > 0, scores, 1 - scores)
        return {
            "acc/mean_average_precision_low": low,
            "acc/mean_average_precision_high": high,
            "loss": float(-np.log(np.maximum(right, LEAST_PROBABILITY)).mean()),
            "num_clips": len(results),
            "num_sources": len(set(sources)),
        }
