"""Blending the clips of a batch and their labels: mixup, cutmix, or one of several by chance.

A blending is a callable `(inputs, data_samples) -> (inputs, data_samples)` that
`ActionDataPreprocessor(blending=...)` calls in training. The labels become soft: (N,) floats. What
is drawn comes from torch's global generator on the CPU, whose state a checkpoint holds: a resumed
run blends as the whole one does. Draws are read by `numpy()`, which a tensor on a GPU refuses: no
batch waits for one.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from kinema.errors import ConfigError
from kinema.models.transfers import LabelRange, onto
from kinema.registry import MODELS

Blending = Callable[[Tensor, list[Any]], tuple[Tensor, list[Any]]]


def soft_labels(
    data_samples: Sequence[Any], num_classes: int, who: str, label_range: LabelRange | None = None
) -> Tensor:
    """The labels of samples as (B, N) float32: one-hot, or as they are where they have N values already.

    Args:
        data_samples: B samples with `gt_label`: a class number, or (N,) values.
        num_classes: N.
        who: what needs them, for messages.
        label_range: checks the class numbers.

    Raises:
        ConfigError: a label does not fit `num_classes`.
    """
    labels = [sample.gt_label.reshape(-1) for sample in data_samples]
    is_soft = [label.is_floating_point() or len(label) == num_classes != 1 for label in labels]
    numbers = [label for label, soft in zip(labels, is_soft, strict=True) if not soft]
    for label, soft in zip(labels, is_soft, strict=True):
        if soft:
            if len(label) != num_classes:
                raise ConfigError(f"{who}: a label has {len(label)} values, but {num_classes=}")
        elif len(label) != 1:
            raise ConfigError(
                f"{who}: a sample has {len(label)} class numbers {label.tolist()}: for several labels a clip set "
                "multi_class=True and num_classes in the dataset"
            )
    if numbers:

        def describe(label: int) -> str:
            return f"{who}: label {label} is out of range, {num_classes=}: labels go from 0"

        checked = (label_range or LabelRange()).check(torch.cat(numbers).long(), num_classes, describe)
        rows = iter(F.one_hot(checked, num_classes).float())
    return torch.stack([label.float() if soft else next(rows) for label, soft in zip(labels, is_soft, strict=True)])


class BatchBlending(ABC):
    """Blends the samples of a batch and their labels: a subclass says how in `do_blending`.

    Args:
        num_classes: N, of the labels.
    """

    def __init__(self, num_classes: int) -> None:
        if num_classes < 1:
            raise ValueError(f"{type(self).__name__}: num_classes must be at least 1, got {num_classes}")
        self.num_classes = num_classes
        self._label_range = LabelRange()

    def __call__(self, inputs: Tensor, data_samples: Sequence[Any]) -> tuple[Tensor, list[Any]]:
        """Blend a batch.

        Args:
            inputs: (B, ...), preprocessed; of any number of views.
            data_samples: B samples with `gt_label`, a class number or (N,) values.

        Returns:
            New inputs, and copies of the samples with soft labels, (N,) floats.

        Raises:
            ConfigError: a label does not fit `num_classes`.
        """
        soft = soft_labels(data_samples, self.num_classes, type(self).__name__, self._label_range)
        inputs, labels = self.do_blending(inputs, onto(soft, inputs.device))
        return inputs, [sample.new().set_gt_label(label) for sample, label in zip(data_samples, labels, strict=True)]

    @abstractmethod
    def do_blending(self, imgs: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """Blend each sample with another of the batch; OpenMMLab's name, which blendings of users' own override.

        Args:
            imgs: (B, ...), preprocessed.
            label: (B, N) floats.

        Returns:
            Both, blended by the same shares.
        """


class _PairBlending(BatchBlending):
    """Blends each sample with another one, by one share for the whole batch."""

    _draws_partner_first: ClassVar[bool] = False  # as in MMAction2, so that the random numbers are the same

    def __init__(self, num_classes: int, alpha: float = 0.2) -> None:
        super().__init__(num_classes)
        if alpha <= 0:
            raise ValueError(f"{type(self).__name__}: alpha must be above 0, got {alpha}")
        self.alpha = alpha

    @property
    def beta(self) -> torch.distributions.Beta:
        """What the shares are drawn from."""
        return torch.distributions.Beta(self.alpha, self.alpha)

    @abstractmethod
    def blend(self, inputs: Tensor, partner: Tensor, share: float) -> tuple[Tensor, float]:
        """Blend (B, ...) inputs with `inputs[partner]`, of which (1 - share) is wanted.

        Returns the result, and the share it has.
        """

    def do_blending(self, imgs: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """Blend each sample with another of the batch, drawn anew; see `BatchBlending.do_blending`."""
        partner = torch.randperm(len(imgs)) if self._draws_partner_first else None
        share = float(self.beta.sample().numpy())
        partner = onto(torch.randperm(len(imgs)) if partner is None else partner, imgs.device)
        imgs, share = self.blend(imgs, partner, share)
        return imgs, share * label + (1 - share) * label[partner]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(num_classes={self.num_classes}, alpha={self.alpha})"


@MODELS.register_module()
class MixupBlending(_PairBlending):
    """Mixup: weighted means of two clips and of their labels.

    Args:
        num_classes: N.
        alpha: the weight is drawn from Beta(alpha, alpha), once a batch.

    Raises:
        ValueError: `num_classes` below 1, or `alpha` not above 0.

    Source: Zhang et al. 2018, arXiv:1710.09412.
    """

    def blend(self, inputs: Tensor, partner: Tensor, share: float) -> tuple[Tensor, float]:
        return share * inputs + (1 - share) * inputs[partner], share


@MODELS.register_module()
class CutmixBlending(_PairBlending):
    """Cutmix: a box of each frame comes from another clip; the labels are mixed by the areas.

    The box has the frame's shape and is placed anywhere; what is outside the frame does not count.

    Args:
        num_classes: N.
        alpha: the share of the frame that stays is drawn from Beta(alpha, alpha), once a batch.

    Raises:
        ValueError: `num_classes` below 1, or `alpha` not above 0.

    Source: Yun et al. 2019, arXiv:1905.04899.
    """

    _draws_partner_first = True

    def blend(self, inputs: Tensor, partner: Tensor, share: float) -> tuple[Tensor, float]:
        left, top, right, bottom = map(int, self.rand_bbox(inputs.shape, share))
        mixed = inputs.clone()
        mixed[..., top:bottom, left:right] = inputs[partner][..., top:bottom, left:right]
        return mixed, 1 - (bottom - top) * (right - left) / (inputs.shape[-2] * inputs.shape[-1])

    @staticmethod
    def rand_bbox(img_size: Sequence[int], lam: float | Tensor) -> tuple[int, int, int, int]:
        """Draw a box; OpenMMLab's name, which blendings of users' own override.

        Args:
            img_size: of a batch, (..., H, W).
            lam: share of the area outside of the box.

        Returns:
            left, top, right and bottom, in pixels.
        """
        height, width = img_size[-2:]
        scale = math.sqrt(1 - float(lam))
        (left, right), (top, bottom) = _random_side(width, scale), _random_side(height, scale)
        return left, top, right, bottom


def _random_side(length: int, scale: float) -> tuple[int, int]:
    """Begin and end of a box along an axis of `length` pixels, for a box of `scale` times its length."""
    half = int(length * scale) // 2
    middle = int(torch.randint(length, ()).numpy())
    return max(middle - half, 0), min(middle + half, length)


@MODELS.register_module()
class RandomBatchAugment:
    """One of several blendings a batch, drawn by their probabilities; none for what these leave of 1.

    Args:
        augments: blendings or their configs; one or a list.
        probs: their probabilities, one or a list; default: all the same, summing up to 1.

    Attributes:
        augments: the blendings; with `probs`, and None behind them.
        probs: None, or the probabilities and what they leave of 1.

    Raises:
        ValueError: there is no blending, or the probabilities do not fit.
        TypeError: a blending cannot be called.
    """

    def __init__(
        self,
        augments: Blending | Mapping[str, Any] | Sequence[Blending | Mapping[str, Any]],
        probs: float | Sequence[float] | None = None,
    ) -> None:
        listed: list[Any] = list(augments) if isinstance(augments, list | tuple) else [augments]
        self.augments: list[Blending | None] = [
            MODELS.build(augment) if isinstance(augment, Mapping) else augment for augment in listed
        ]
        for augment in self.augments:
            if not callable(augment):
                raise TypeError(f"RandomBatchAugment: a blending must be callable or a config, got {augment!r}")
        if not self.augments:
            raise ValueError("RandomBatchAugment needs at least one blending")
        count = len(self.augments)
        given = [1 / count] * count if probs is None else [probs] if isinstance(probs, int | float) else list(probs)
        if len(given) != count or min(given) < 0 or sum(given) > 1 + 1e-6:
            raise ValueError(
                f"RandomBatchAugment: probs must be {count} numbers of at least 0, one a blending, summing up to at"
                f" most 1, got {probs!r}"
            )
        self._shares = given
        self.probs = None if probs is None else [*given, 1 - sum(given)]
        if probs is not None:
            self.augments.append(None)

    def __call__(self, inputs: Tensor, data_samples: list[Any]) -> tuple[Tensor, list[Any]]:
        """Blend a batch by the blending that is drawn, or give it back as it is."""
        drawn = float(torch.rand((), dtype=torch.float64).numpy())
        for augment, share in zip(self.augments, self._shares, strict=False):
            if augment is not None and drawn < share:
                return augment(inputs, data_samples)
            drawn -= share
        return inputs, data_samples

    def __repr__(self) -> str:
        return f"RandomBatchAugment({self.augments}, probs={self.probs})"
