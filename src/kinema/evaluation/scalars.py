"""The single numbers among the figures that metrics give."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch


def scalars(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The single numbers among metrics as floats, also those in tensors and numpy types; a confusion matrix is none."""
    return {name: float(value) for name, value in metrics.items() if _is_number(value)}


def _is_number(value: Any) -> bool:
    if isinstance(value, torch.Tensor | np.ndarray):
        return value.ndim == 0
    return isinstance(value, int | float | np.number)
