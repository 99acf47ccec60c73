"""The base of losses that users write for MMAction2."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn


class BaseWeightedLoss(nn.Module, ABC):
    """A loss with a factor; a subclass defines `_forward`.

    Args:
        loss_weight: factor of what `_forward` returns: of a tensor, or of the entries of a dict whose
            name contains "loss".
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    @abstractmethod
    def _forward(self, *args: Any, **kwargs: Any) -> Any:
        """The loss without its factor."""

    def forward(self, *args: Any, **kwargs: Any) -> Tensor | dict[str, Any]:
        loss = self._forward(*args, **kwargs)
        if isinstance(loss, dict):
            return {key: value * self.loss_weight if "loss" in key else value for key, value in loss.items()}
        weighted: Tensor = loss * self.loss_weight
        return weighted
