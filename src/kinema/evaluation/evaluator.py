"""Several metrics over one pass through a dataset."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kinema.evaluation.metrics import BaseMetric, LeftOut
from kinema.registry import EVALUATOR, METRICS
from kinema.structures import BaseDataElement

MetricLike = BaseMetric | Mapping[str, Any]


@EVALUATOR.register_module()
class Evaluator:
    """Feed data samples to metrics, and join their numbers.

    Args:
        metrics: one metric or several, objects or configs.
    """

    def __init__(self, metrics: MetricLike | Sequence[MetricLike]) -> None:
        several = [metrics] if isinstance(metrics, BaseMetric | Mapping) else metrics
        self.metrics: list[BaseMetric] = [
            METRICS.build(metric) if isinstance(metric, Mapping) else metric for metric in several
        ]
        self._dataset_meta: Mapping[str, Any] | None = None

    @property
    def dataset_meta(self) -> Mapping[str, Any] | None:
        """What the dataset says about itself; setting it passes it to every metric."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: Mapping[str, Any] | None) -> None:
        self._dataset_meta = dataset_meta
        for metric in self.metrics:
            metric.dataset_meta = dataset_meta

    def names(self) -> list[str] | None:
        """Names of the single numbers that the metrics can give; None: a metric does not say."""
        names = [metric.names() for metric in self.metrics]
        return None if None in names else [name for part in names for name in part or ()]

    def process(self, data_samples: Iterable[Any], data_batch: Any = None) -> None:
        """Give a batch to every metric; data elements become dicts.

        Args:
            data_samples: labels and predictions, one a sample.
            data_batch: what the data loader gave.
        """
        samples = [sample.to_dict() if isinstance(sample, BaseDataElement) else sample for sample in data_samples]
        for metric in self.metrics:
            metric.process(data_batch, samples)

    def evaluate(self, size: int, left_out: Iterable[int] = ()) -> dict[str, Any]:
        """The numbers of all metrics over a dataset of `size` samples; the metrics start anew.

        Args:
            size: number of samples of the dataset, with those left out.
            left_out: places, among the samples of this process, of those that no metric was given.

        Raises:
            ValueError: two metrics give a number of the same name.
        """
        for place in sorted(left_out):
            for metric in self.metrics:
                metric.results.insert(place, LeftOut())
        numbers: dict[str, Any] = {}
        # All first: a metric that keeps its results would count them again in the next evaluation.
        for metric, results in [(metric, metric.evaluate(size)) for metric in self.metrics]:
            taken = sorted(numbers.keys() & results.keys())
            if taken:
                raise ValueError(f"two metrics give {', '.join(taken)}: give {type(metric).__name__} another prefix")
            numbers.update(results)
        return numbers

    def offline_evaluate(
        self, data_samples: Iterable[Any], data: Sequence[Any] | None = None, chunk_size: int = 1
    ) -> dict[str, Any]:
        """The numbers for data samples that are all there already.

        Args:
            data_samples: labels and predictions, one a sample; an iterator is read to its end first.
            data: what belongs to each sample, for metrics that read the batch.
            chunk_size: number of samples given to the metrics at once.

        Raises:
            ValueError: `data` has another length, or `chunk_size` is below 1.
        """
        data_samples = data_samples if isinstance(data_samples, Sequence) else list(data_samples)
        if data is not None and len(data) != len(data_samples):
            raise ValueError(f"need one entry of data a sample, got {len(data)} for {len(data_samples)} samples")
        if chunk_size < 1:
            raise ValueError(f"chunk_size must be 1 or more, got {chunk_size}")
        for start in range(0, len(data_samples), chunk_size):
            chunk = slice(start, start + chunk_size)
            self.process(data_samples[chunk], None if data is None else data[chunk])
        return self.evaluate(len(data_samples))
