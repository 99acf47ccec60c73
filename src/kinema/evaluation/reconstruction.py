"""How well a masked autoencoder fills in what it did not see."""

from collections.abc import Sequence
from typing import Any

from kinema.errors import SampleError
from kinema.evaluation.metrics import BaseMetric
from kinema.registry import METRICS


@METRICS.register_module()
class ReconstructionError(BaseMetric):
    """Mean of the samples' `reconstruction_error`, as `error`.

    `MaskedAutoencoder` predicts these. With normalised targets 1 is what the mean of each tubelet
    would reach.

    Raises:
        SampleError: a sample has none.
    """

    default_prefix = "reconstruction"

    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        for sample in data_samples:
            if sample.get("reconstruction_error") is None:
                raise SampleError(
                    "ReconstructionError reads reconstruction_error of the samples, which a MaskedAutoencoder predicts:"
                    " there is none"
                )
            self.results.append(float(sample["reconstruction_error"]))

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        return {"error": sum(results) / len(results)}

    def names(self) -> list[str]:
        """Names of the numbers."""
        return [f"{self.prefix}/error"]
