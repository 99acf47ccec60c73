"""What every way of explaining a prediction gives."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Saliency:
    """How much each place of a model's input spoke for a class.

    Attributes:
        maps: (V, T, H, W) float32 from 0 (nothing) to 1 (the most of all views) over the frames of
            the input; of inputs of single frames V is 1. All 0 where nothing spoke for the class.
        score: of the class before softmax or sigmoid, the mean over the views.
        layer: the layer that was looked into.
    """

    maps: np.ndarray
    score: float
    layer: str


class Explainer(Protocol):
    """A way of explaining, such as `GradCam`."""

    def explain(self, inputs: Tensor, target: int) -> Saliency:
        """Explain the score of one class.

        Args:
            inputs: one sample as the model's `forward` takes it, normalised: (1, V, C, T, H, W), or
                of a model of single frames (1, T, C, H, W).
            target: index of the class.
        """
        ...
