"""Losses for classes of unequal size, and for many labels of which few hold."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models.losses.classification import _WeightedLoss
from kinema.registry import MODELS


@MODELS.register_module()
class FocalLoss(_WeightedLoss):
    """Cross entropy in which what is classified well counts less.

    It is averaged over the batch (and, by sigmoid, the classes).

    Args:
        loss_weight: factor.
        gamma: exponent: a class of probability p counts (1 - p)^gamma times; 0 is cross entropy.
        alpha: by sigmoid, factor of the labels that hold; the others have 1 - `alpha`. None: 1 for
            both.
        use_sigmoid: every class by itself, for several labels a clip; without it one class, by
            softmax.
        class_weight: N factors.

    Raises:
        ValueError: `gamma` is negative, or `alpha` is given without `use_sigmoid`.

    Source: Lin et al. 2017, arXiv:1708.02002, equations 4 and 5.
    """

    def __init__(
        self,
        loss_weight: float = 1.0,
        gamma: float = 2.0,
        alpha: float | None = None,
        use_sigmoid: bool = False,
        class_weight: Sequence[float] | None = None,
    ) -> None:
        super().__init__(loss_weight, class_weight)
        _check_exponents(gamma=gamma)
        if alpha is not None and not use_sigmoid:
            raise ValueError("alpha of FocalLoss goes with use_sigmoid=True; for one class a clip set class_weight")
        self.gamma = gamma
        self.alpha = alpha
        self.use_sigmoid = use_sigmoid

    def forward(self, cls_score: Tensor, label: Tensor) -> Tensor:
        """(B, N) logits and (B,) class numbers or (B, N) labels in [0, 1] -> scalar."""
        label = _one_hot(label, cls_score)
        if self.use_sigmoid:
            held, other = F.logsigmoid(cls_score), F.logsigmoid(-cls_score)
            alpha = (1.0, 1.0) if self.alpha is None else (self.alpha, 1 - self.alpha)
            terms = alpha[0] * label * (self.gamma * other).exp() * held
            terms = terms + alpha[1] * (1 - label) * (self.gamma * held).exp() * other
        else:
            log_p = F.log_softmax(cls_score, dim=1)
            terms = label * _power(1 - log_p.exp(), self.gamma) * log_p
        weight = self.weight_of(cls_score)
        if weight is not None:
            terms = terms * weight
        return self.loss_weight * -(terms.mean() if self.use_sigmoid else terms.sum(1).mean())


@MODELS.register_module()
class CBFocalLoss(nn.Module):
    """Focal loss by sigmoid, each clip weighted by how much a further clip of its class would still say.

    Args:
        loss_weight: factor.
        samples_per_cls: number of training clips of each class.
        beta: in [0, 1): a class of n clips has the weight (1 - beta) / (1 - beta^n), scaled such
            that their mean is 1.
        gamma: exponent of the focal loss.

    Raises:
        ValueError: `beta` or `gamma` is out of range, or a class has no clip.

    Source: Cui et al. 2019, arXiv:1901.05555, section 4.
    """

    weights: Tensor

    def __init__(
        self, loss_weight: float = 1.0, samples_per_cls: Sequence[int] = (), beta: float = 0.9999, gamma: float = 2.0
    ) -> None:
        super().__init__()
        _check_exponents(gamma=gamma)
        if not 0 <= beta < 1:
            raise ValueError(f"beta of CBFocalLoss must be in [0, 1), got {beta}")
        counts = _counts("CBFocalLoss", samples_per_cls)
        weights = (1 - beta) / (1 - beta**counts)
        self.num_classes = len(weights)
        self.loss_weight = loss_weight
        self.beta = beta
        self.gamma = gamma
        self.register_buffer("weights", (weights / weights.mean()).float(), persistent=False)

    def forward(self, cls_score: Tensor, label: Tensor) -> Tensor:
        """(B, N) logits and (B,) class numbers or (B, N) probabilities -> scalar."""
        _check_classes("CBFocalLoss", self.weights, cls_score)
        label = _one_hot(label, cls_score)
        weight = (self.weights * label).sum(1, keepdim=True)  # (B, 1)
        wrong = torch.exp(self.gamma * (F.logsigmoid(cls_score) - label * cls_score))  # (1 - p of what is right)^gamma
        loss = F.binary_cross_entropy_with_logits(cls_score, label, reduction="none")
        return self.loss_weight * (weight * wrong * loss).sum() / label.sum()


@MODELS.register_module()
class AsymmetricLoss(_WeightedLoss):
    """Sigmoid loss of many labels, in which the many that do not hold count less; averaged over batch and classes.

    Args:
        loss_weight: factor.
        gamma_pos: exponent of the focal loss for labels that hold.
        gamma_neg: that for labels that do not.
        margin: probabilities below it cost nothing where the label does not hold.
        class_weight: N factors.

    Raises:
        ValueError: an exponent is negative, or `margin` is not in [0, 1).

    Source: Ridnik et al. 2021, arXiv:2009.14119, equations 4 to 7.
    """

    def __init__(
        self,
        loss_weight: float = 1.0,
        gamma_pos: float = 0.0,
        gamma_neg: float = 4.0,
        margin: float = 0.05,
        class_weight: Sequence[float] | None = None,
    ) -> None:
        super().__init__(loss_weight, class_weight)
        _check_exponents(gamma_pos=gamma_pos, gamma_neg=gamma_neg)
        if not 0 <= margin < 1:
            raise ValueError(f"margin must be in [0, 1), got {margin}")
        self.gamma_pos = gamma_pos
        self.gamma_neg = gamma_neg
        self.margin = margin

    def forward(self, cls_score: Tensor, label: Tensor) -> Tensor:
        """(B, N) logits and (B, N) labels in [0, 1], or (B,) class numbers -> scalar."""
        label = _one_hot(label, cls_score)
        p = cls_score.sigmoid()
        shifted = (p - self.margin).clamp(min=0)
        held = (self.gamma_pos * F.logsigmoid(-cls_score)).exp() * F.logsigmoid(cls_score)
        # Without a margin, log(1 - p) of a large logit would be log(0).
        other = torch.log1p(-shifted) if self.margin else F.logsigmoid(-cls_score)
        terms = label * held + (1 - label) * _power(shifted, self.gamma_neg) * other
        weight = self.weight_of(cls_score)
        if weight is not None:
            terms = terms * weight
        return -self.loss_weight * terms.mean()


@MODELS.register_module()
class LogitAdjustedLoss(_WeightedLoss):
    """Softmax cross entropy of logits to which the logarithm of each class's share in the training set is added.

    The scores themselves then rank classes as if all were of one size.

    Args:
        samples_per_cls: number of training clips of each class.
        tau: factor of the logarithm; 0 is cross entropy.
        loss_weight: factor.

    Raises:
        ValueError: a class has no clip.

    Source: Menon et al. 2021, arXiv:2007.07314, equation 10.
    """

    adjustment: Tensor

    def __init__(self, samples_per_cls: Sequence[int], tau: float = 1.0, loss_weight: float = 1.0) -> None:
        super().__init__(loss_weight)
        counts = _counts("LogitAdjustedLoss", samples_per_cls)
        self.tau = tau
        self.register_buffer("adjustment", (tau * (counts / counts.sum()).log()).float(), persistent=False)

    def forward(self, cls_score: Tensor, label: Tensor) -> Tensor:
        """(B, N) logits and (B,) class numbers or (B, N) probabilities -> scalar."""
        _check_classes("LogitAdjustedLoss", self.adjustment, cls_score)
        return self.loss_weight * F.cross_entropy(cls_score + self.adjustment, label)


def _one_hot(label: Tensor, cls_score: Tensor) -> Tensor:
    """(B,) class numbers or (B, N) -> (B, N) in the type of the scores."""
    if label.dim() == 1:
        label = F.one_hot(label, cls_score.shape[1])
    return label.to(cls_score.dtype)


def _power(probability: Tensor, exponent: float) -> Tensor:
    """probability^exponent, whose gradient is finite at 0 for exponents below 1 too."""
    return probability.clamp(min=torch.finfo(probability.dtype).tiny) ** exponent


def _check_exponents(**exponents: float) -> None:
    for name, value in exponents.items():
        if value < 0:
            raise ValueError(f"{name} must be at least 0, got {value}")


def _counts(loss: str, samples_per_cls: Sequence[int]) -> Tensor:
    counts = torch.as_tensor(samples_per_cls, dtype=torch.float64)
    if not len(counts) or counts.min() < 1:
        empty = [index for index, count in enumerate(counts.tolist()) if count < 1]
        where = f"class {empty[0]} has {counts[empty[0]]:g}" if empty else "there are none"
        raise ValueError(f"samples_per_cls of {loss} must give at least 1 training clip for each class: {where}")
    return counts


def _check_classes(loss: str, values: Tensor, cls_score: Tensor) -> None:
    if len(values) != cls_score.shape[1]:
        raise ConfigError(
            f"samples_per_cls of {loss} has {len(values)} classes, but the head has num_classes={cls_score.shape[1]}: "
            "give one number a class"
        )
