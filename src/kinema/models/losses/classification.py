"""Losses of classification heads."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.registry import MODELS


class _WeightedLoss(nn.Module):
    """Holds a factor for the whole loss and maybe one a class."""

    class_weight: Tensor | None

    def __init__(self, loss_weight: float = 1.0, class_weight: Sequence[float] | None = None) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        weight = None if class_weight is None else torch.tensor(class_weight, dtype=torch.float32)
        self.register_buffer("class_weight", weight, persistent=False)

    def weight_of(self, cls_score: Tensor) -> Tensor | None:
        """The factor of each class; `ConfigError` where the scores are of other classes."""
        if self.class_weight is not None and len(self.class_weight) != cls_score.shape[1]:
            raise ConfigError(
                f"class_weight of {type(self).__name__} has {len(self.class_weight)} values, but the head has "
                f"num_classes={cls_score.shape[1]}: give one value a class"
            )
        return self.class_weight


@MODELS.register_module()
class CrossEntropyLoss(_WeightedLoss):
    """Softmax cross entropy with hard or soft labels, averaged over the batch.

    Args:
        loss_weight: factor.
        class_weight: N factors; the average is then weighted by those of the labels.
    """

    def forward(self, cls_score: Tensor, label: Tensor, **options: Any) -> Tensor:
        """Compute the loss.

        Args:
            cls_score: (B, N) logits.
            label: (B,) class numbers, or (B, N) probabilities.
            **options: for class numbers, further arguments of torch's `cross_entropy`, such as
                `ignore_index`.

        Returns:
            A scalar, or what `reduction` of `options` says.

        Raises:
            ValueError: there are options for probabilities, or a `weight` beside `class_weight`.
        """
        weight = self.weight_of(cls_score)
        if cls_score.shape != label.shape:
            _check_weight(type(self).__name__, weight, options)
            return self.loss_weight * F.cross_entropy(cls_score, label, **{"weight": weight, **options})
        if options:
            raise ValueError(f"CrossEntropyLoss: {', '.join(options)} goes with class numbers, but labels are soft")
        log_probabilities = F.log_softmax(cls_score, dim=1)
        if weight is None:
            return self.loss_weight * -(label * log_probabilities).sum(1).mean()
        # Unlike F.cross_entropy with probabilities, which divides by B: one-hot labels then give
        # what hard ones give.
        return self.loss_weight * -(weight * label * log_probabilities).sum() / (weight * label).sum()


@MODELS.register_module()
class BCELossWithLogits(_WeightedLoss):
    """Sigmoid cross entropy of every class by itself, averaged over batch and classes: for several labels a clip.

    Args:
        loss_weight: factor.
        class_weight: N factors.
    """

    def forward(self, cls_score: Tensor, label: Tensor, **options: Any) -> Tensor:
        """(B, N) logits and (B, N) labels in [0, 1] -> scalar; `ConfigError` for class numbers.

        `options` are further arguments of torch's `binary_cross_entropy_with_logits`.
        """
        if label.shape != cls_score.shape:
            raise ConfigError(
                f"BCELossWithLogits takes a value for each of {cls_score.shape[1]} classes, but labels are class"
                " numbers: set multi_class=True and num_classes in the dataset, or loss_cls to CrossEntropyLoss"
            )
        weight = self.weight_of(cls_score)
        _check_weight(type(self).__name__, weight, options)
        options = {"weight": weight, **options}
        return self.loss_weight * F.binary_cross_entropy_with_logits(cls_score, label.to(cls_score.dtype), **options)


@MODELS.register_module()
class NLLLoss(nn.Module):
    """The negative logarithm of the label's probability, averaged over the batch.

    Args:
        loss_weight: factor.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, cls_score: Tensor, label: Tensor, **options: Any) -> Tensor:
        """(B, N) logarithms of probabilities and (B,) class numbers -> scalar; `options`: of torch's `nll_loss`."""
        return self.loss_weight * F.nll_loss(cls_score, label, **options)


def _check_weight(loss: str, weight: Tensor | None, options: Mapping[str, Any]) -> None:
    if weight is not None and "weight" in options:
        raise ValueError(f"{loss} was built with class_weight, so weight cannot be given at a call")
