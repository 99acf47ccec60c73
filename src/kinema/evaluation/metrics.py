"""Metrics: collect one small result a sample, and turn all of them into named numbers."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from kinema.distributed import broadcast_object, gather_objects, get_rank, is_main_process
from kinema.errors import SampleError
from kinema.evaluation.functional import (
    confusion_matrix,
    mean_average_precision,
    mean_class_accuracy,
    mmit_mean_average_precision,
    top_k_accuracy,
)
from kinema.openmmlab.keywords import accepts_openmmlab_keywords
from kinema.registry import METRICS
from kinema.structures import BaseDataElement

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger("kinema")

DataSample = Mapping[str, Any] | BaseDataElement


class LeftOut:
    """Stands among the results in the place of a sample that could not be read.

    The place says whose result is whose.
    """


@accepts_openmmlab_keywords
class BaseMetric(ABC):
    """Base of all metrics.

    A subclass appends one result a sample to `self.results` in `process` and turns them into
    numbers in `compute_metrics`.

    Args:
        prefix: put before the names of the numbers ("acc" -> "acc/top1"); default: `default_prefix`
            of the class.
    """

    default_prefix: ClassVar[str | None] = None

    def __init__(self, *, prefix: str | None = None) -> None:
        self.prefix = prefix if prefix is not None else self.default_prefix
        self.results: list[Any] = []
        self._dataset_meta: Mapping[str, Any] | None = None

    @property
    def dataset_meta(self) -> Mapping[str, Any] | None:
        """What the dataset says about itself (`classes`, ...), None when nobody set it."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: Mapping[str, Any] | None) -> None:
        self._dataset_meta = dataset_meta

    @abstractmethod
    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        """Append one result a sample to `self.results`.

        Args:
            data_batch: what the data loader gave, may be None.
            data_samples: labels and predictions, as dicts.
        """

    @abstractmethod
    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        """The results of all samples, in the order of the dataset -> named numbers."""

    def names(self) -> list[str] | None:
        """Names of the single numbers that it can give, with the prefix; None: it does not say."""
        return None

    def evaluate(self, size: int) -> dict[str, Any]:
        """Gather the results of all processes, compute the numbers, and clear the results.

        The k-th result of process r belongs to sample k * processes + r, which is how
        `DefaultSampler` deals samples out; those at or after `size` are copies that filled the last
        round up, and are dropped.

        Args:
            size: number of samples of the dataset.

        Returns:
            The numbers under `prefix/name`, the same in every process.
        """
        if not self.results:
            logger.warning(
                "%s has no results in process %d: was `process` called, and did it append to `self.results`?",
                type(self).__name__,
                get_rank(),
            )
        own, self.results = self.results, []
        gathered = gather_objects(_to_cpu(own))
        outcome: tuple[dict[str, Any] | None, Exception | None] = (None, None)
        if is_main_process():
            try:
                results = [result for result in _in_dataset_order(gathered)[:size] if not isinstance(result, LeftOut)]
                outcome = (self._prefixed(self.compute_metrics(results)), None)
            except Exception as error:  # the other processes wait for an answer
                outcome = (None, error)
        metrics, failure = broadcast_object(outcome)
        if failure is not None:
            raise failure
        return metrics

    def _prefixed(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        return {f"{self.prefix}/{name}" if self.prefix else name: value for name, value in metrics.items()}


def _in_dataset_order(gathered: list[list[Any]]) -> list[Any]:
    """Each process's results -> one list, dealt together again in turns; a process may have fewer."""
    rounds = max(len(results) for results in gathered)
    return [results[number] for number in range(rounds) for results in gathered if number < len(results)]


def _to_cpu(value: Any) -> Any:
    if isinstance(value, Tensor | BaseDataElement):
        return value.cpu()
    if isinstance(value, dict):
        return {key: _to_cpu(entry) for key, entry in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_to_cpu(entry) for entry in value)
    return value


def _read(data_sample: DataSample, name: str) -> Any:
    """A field of a data sample.

    Raises:
        SampleError: it has none of this name.
    """
    if name not in data_sample:
        raise SampleError(
            f"a data sample has no {name!r}, which the metric needs; it has: {', '.join(_names(data_sample))}"
        )
    return data_sample.get(name)


def _names(data_sample: DataSample) -> list[str]:
    return data_sample.all_keys() if isinstance(data_sample, BaseDataElement) else list(data_sample)


def _array(value: Any) -> np.ndarray:
    if not isinstance(value, Tensor):
        return np.asarray(value)
    if value.dtype == torch.bfloat16:  # which numpy does not have
        value = value.float()
    return value.detach().cpu().numpy()


def _label(value: Any) -> int | np.ndarray:
    """One class -> int; multi-hot -> array."""
    array = _array(value)
    return int(array.item()) if array.size == 1 else array


def read_array(data_sample: DataSample, name: str) -> np.ndarray:
    """A field of a data sample as an array.

    Raises:
        SampleError: it has none of this name.
    """
    return _array(_read(data_sample, name))


def read_class(data_sample: DataSample, name: str, what: str = "the metric") -> int:
    """A field of a data sample that holds one class.

    Raises:
        SampleError: it has none of this name.
        ValueError: it holds several classes.
    """
    label = _label(_read(data_sample, name))
    if not isinstance(label, int):
        raise ValueError(f"{what} needs one class a sample, but {name} has shape {label.shape}")
    return label


_ACCURACIES: dict[str, Callable[..., float]] = {
    "mean_class_accuracy": mean_class_accuracy,
    "mean_average_precision": mean_average_precision,
    "mmit_mean_average_precision": mmit_mean_average_precision,
}
ACCURACY_METRICS = ("top_k_accuracy", *_ACCURACIES)  # what `AccMetric` knows
# What the numbers are called; top_k_accuracy gives `top1`, `top5`, ...
_NUMBER_NAMES = {"mean_class_accuracy": "mean1"}


@METRICS.register_module()
@accepts_openmmlab_keywords
class AccMetric(BaseMetric):
    """Accuracy of scores, or of several scores of one sample (then named `rgb_top1`, `pose_top1`, ...).

    Reads `pred_score` and `gt_label` of each data sample.

    Args:
        metric_list: of "top_k_accuracy", "mean_class_accuracy", and for multi-hot labels
            "mean_average_precision", "mmit_mean_average_precision"; one name or several.
        metric_options: such as `{"top_k_accuracy": {"topk": (1, 5)}}`; default: 1, and 5 where
            there are more than 5 classes.
        prefix: see `BaseMetric`.

    Raises:
        ValueError: an unknown metric or option.
    """

    default_prefix = "acc"

    def __init__(
        self,
        metric_list: str | Sequence[str] = ("top_k_accuracy", "mean_class_accuracy"),
        *,
        metric_options: Mapping[str, Mapping[str, Any]] | None = None,
        prefix: str | None = None,
    ) -> None:
        super().__init__(prefix=prefix)
        self.metrics = (metric_list,) if isinstance(metric_list, str) else tuple(metric_list)
        for name in self.metrics:
            if name not in ACCURACY_METRICS:
                raise ValueError(f"unknown metric {name!r}; there are: {', '.join(ACCURACY_METRICS)}")
        self.metric_options = metric_options or {"top_k_accuracy": {"topk": (1, 5)}}
        options = dict(metric_options or {})
        top_k_options = dict(options.pop("top_k_accuracy", {}))
        self._leaves_out_trivial = "topk" not in top_k_options
        topk = top_k_options.pop("topk", (1, 5))
        if options or top_k_options:
            unknown = ", ".join([*options, *top_k_options])
            raise ValueError(
                f"unknown metric option {unknown}; the only one is metric_options['top_k_accuracy']['topk']"
            )
        self.topk: tuple[int, ...] = (topk,) if isinstance(topk, int) else tuple(topk)

    def process(self, data_batch: Any, data_samples: Sequence[DataSample]) -> None:
        for data_sample in data_samples:
            score = _read(data_sample, "pred_score")
            pred = (
                {name: _array(scores) for name, scores in score.items()}
                if isinstance(score, Mapping)
                else _array(score)
            )
            self.results.append({"pred": pred, "label": _label(_read(data_sample, "gt_label"))})

    def names(self) -> list[str]:
        numbers: list[str] = []
        for metric in self.metrics:
            is_top_k = metric == "top_k_accuracy"
            numbers += [f"top{k}" for k in self.topk] if is_top_k else [_NUMBER_NAMES.get(metric, metric)]
        return list(self._prefixed(dict.fromkeys(numbers)))

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        preds = [result["pred"] for result in results]
        labels = [result["label"] for result in results]
        if not preds or not isinstance(preds[0], dict):
            return self.calculate(preds, labels)
        numbers = {}
        for part in preds[0]:
            for name, value in self.calculate([pred[part] for pred in preds], labels).items():
                numbers[f"{part}_{name}"] = value
        return numbers

    def calculate(self, preds: list[np.ndarray], labels: list[int | np.ndarray]) -> dict[str, float]:
        """Scores (N,) and label of each sample -> the numbers, without prefix."""
        numbers: dict[str, float] = {}
        for metric in self.metrics:
            if metric == "top_k_accuracy":
                ks = self._ks(len(preds[0]) if len(preds) else 0)
                values = top_k_accuracy(preds, labels, ks)  # type: ignore[arg-type]  # multi-hot is its ValueError
                numbers.update({f"top{k}": value for k, value in zip(ks, values, strict=True)})
            else:
                numbers[_NUMBER_NAMES.get(metric, metric)] = _ACCURACIES[metric](preds, labels)
        return numbers

    def _ks(self, num_classes: int) -> tuple[int, ...]:
        """Without those, unless they were asked for, that count every label as a hit."""
        return tuple(k for k in self.topk if k == 1 or k < num_classes or not self._leaves_out_trivial)


@METRICS.register_module()
@accepts_openmmlab_keywords
class ConfusionMatrix(BaseMetric):
    """Counts of true class (down) by predicted class (across).

    Reads `gt_label` and `pred_score`, or `pred_label` where there are no scores.

    Args:
        num_classes: N; default: as many as the scores have.
        prefix: see `BaseMetric`.
    """

    default_prefix = "confusion_matrix"

    def __init__(self, num_classes: int | None = None, *, prefix: str | None = None) -> None:
        super().__init__(prefix=prefix)
        self.num_classes = num_classes

    def names(self) -> list[str]:
        return []

    def process(self, data_batch: Any, data_samples: Sequence[DataSample]) -> None:
        for data_sample in data_samples:
            num_classes = self.num_classes
            if "pred_score" in data_sample:
                score = _array(_read(data_sample, "pred_score"))
                num_classes, pred = num_classes or score.size, int(score.argmax())
            else:
                pred = read_class(data_sample, "pred_label", "a confusion matrix")
            label = read_class(data_sample, "gt_label", "a confusion matrix")
            self.results.append({"pred": pred, "label": label, "num_classes": num_classes})

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, Tensor]:
        preds = [result["pred"] for result in results]
        labels = [result["label"] for result in results]
        num_classes = self.num_classes or (results[0]["num_classes"] if results else None)
        return {"result": self.calculate(torch.tensor(preds), torch.tensor(labels), num_classes)}

    @staticmethod
    def calculate(
        pred: Tensor | np.ndarray | Sequence[Any],
        target: Tensor | np.ndarray | Sequence[int],
        num_classes: int | None = None,
    ) -> Tensor:
        """Predictions and labels -> confusion matrix.

        Args:
            pred: (B,) classes, or (B, N) scores.
            target: (B,) classes.
            num_classes: N; default: as many as the scores have; for classes the highest one in
                either, plus one.

        Returns:
            (N, N) int64, true classes down, predicted ones across.

        Raises:
            ValueError: a class is out of range, or the shapes do not fit.
        """
        preds, labels = _array(pred), _array(target)
        if preds.ndim == 2:
            num_classes = num_classes or preds.shape[1]
            preds = preds.argmax(axis=1)
        return torch.from_numpy(confusion_matrix(preds, labels, num_classes=num_classes))

    @staticmethod
    def plot(
        confusion_matrix: Tensor,
        include_values: bool = False,
        cmap: str = "viridis",
        classes: Sequence[str] | None = None,
        colorbar: bool = True,
        show: bool = True,
    ) -> "Figure":
        """Draw a confusion matrix.

        Args:
            confusion_matrix: (N, N), true classes down, predicted ones across.
            include_values: write the numbers into the cells.
            cmap: name of a colour map of matplotlib.
            classes: N names; default: the numbers of the classes.
            colorbar: draw what the colours mean.
            show: open a window.

        Returns:
            The figure of matplotlib.

        Raises:
            ValueError: the matrix is not square, or there are not N names.
        """
        from kinema.evaluation.confusion_plot import draw_confusion  # matplotlib only where it is used

        return draw_confusion(confusion_matrix, include_values, cmap, classes, colorbar, show)
