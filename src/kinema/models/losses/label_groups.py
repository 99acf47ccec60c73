"""A loss over groups of labels, of which a data set annotates only some in each clip."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.registry import MODELS

_GROUPS = ("action", "attribute", "concept", "event", "object", "scene")
_SIZES = (739, 117, 291, 69, 1678, 248)


@MODELS.register_module()
class HVULoss(nn.Module):
    """Sigmoid cross entropy of labels in several groups, over what is annotated.

    The defaults are the groups of the data set HVU.

    Args:
        categories: names of the groups.
        category_nums: classes of each, in the order of the scores.
        category_loss_weights: share of each in the loss, where they are averaged one by one; they
            are scaled to sum up to 1.
        loss_type: `"all"`: all classes together; `"individual"`: one group after the other.
        with_mask: with `"all"`, only annotated classes count; with `"individual"`, in each group the
            clips that have some.
        reduction: `"mean"` or `"sum"` over the classes of a clip; clips are averaged.
        loss_weight: factor of the whole.

    Raises:
        ValueError: the groups, their sizes and their weights are not equally many, there is no such
            `loss_type` or `reduction`, or the weights do not sum up to more than 0.

    Source: Large Scale Holistic Video Understanding, Diba et al. 2020, arXiv:1904.11451.
    """

    def __init__(
        self,
        categories: Sequence[str] = _GROUPS,
        category_nums: Sequence[int] = _SIZES,
        category_loss_weights: Sequence[float] = (1, 1, 1, 1, 1, 1),
        loss_type: Literal["all", "individual"] = "all",
        with_mask: bool = False,
        reduction: Literal["mean", "sum"] = "mean",
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        if not len(categories) == len(category_nums) == len(category_loss_weights):
            raise ValueError(
                f"HVULoss: {len(categories)} categories, {len(category_nums)} category_nums and"
                f" {len(category_loss_weights)} category_loss_weights: give one of each a category"
            )
        if loss_type not in ("all", "individual"):
            raise ValueError(f"HVULoss: loss_type must be 'all' or 'individual', got {loss_type!r}")
        if reduction not in ("mean", "sum"):
            raise ValueError(f"HVULoss: reduction must be 'mean' or 'sum', got {reduction!r}")
        if min(category_loss_weights, default=0) < 0 or not sum(category_loss_weights):
            raise ValueError(
                f"HVULoss: category_loss_weights must be at least 0, some above, got {category_loss_weights}"
            )
        self.categories = tuple(categories)
        self.category_nums = tuple(category_nums)
        self.category_loss_weights = tuple(category_loss_weights)
        self.category_startidx = [0, *accumulate(self.category_nums)][:-1]
        self.loss_type = loss_type
        self.with_mask = with_mask
        self.reduction = reduction
        self.loss_weight = loss_weight

    def forward(self, cls_score: Tensor, label: Tensor, mask: Tensor, category_mask: Tensor) -> dict[str, Tensor]:
        """Compute the loss of B clips.

        Args:
            cls_score: (B, N) logits.
            label: (B, N), 0 or 1.
            mask: (B, N), 1 where a class is annotated; for `"all"`.
            category_mask: (B, groups), 1 where a clip has annotated classes of a group; for
                `"individual"`.

        Returns:
            `loss_cls`; with `"individual"` also `NAME_LOSS` and `NAME_LOSS_weight` of each group.
        """
        losses = F.binary_cross_entropy_with_logits(cls_score, label, reduction="none")  # (B, N)
        if self.loss_type == "all":
            return {"loss_cls": self.loss_weight * self._of_all(losses, mask).mean()}
        total = sum(self.category_loss_weights)
        shares = [weight / total for weight in self.category_loss_weights]
        results: dict[str, Tensor] = {}
        loss = losses.new_zeros(())
        for number, (name, start, count) in enumerate(
            zip(self.categories, self.category_startidx, self.category_nums, strict=True)
        ):
            by_clip = self._reduced(losses[:, start : start + count])
            counts = category_mask[:, number] if self.with_mask else torch.ones_like(by_clip)
            results[f"{name}_LOSS"] = (by_clip * counts).sum() / counts.sum().clamp(min=1)
            results[f"{name}_LOSS_weight"] = losses.new_tensor(shares[number])
            loss = loss + shares[number] * results[f"{name}_LOSS"]
        return {"loss_cls": self.loss_weight * loss, **results}

    def _reduced(self, losses: Tensor) -> Tensor:
        """(B, classes) -> (B,)."""
        return losses.mean(1) if self.reduction == "mean" else losses.sum(1)

    def _of_all(self, losses: Tensor, mask: Tensor) -> Tensor:
        """(B, N) -> (B,), over the classes that count."""
        if not self.with_mask:
            return self._reduced(losses)
        total = (losses * mask).sum(1)
        return total / mask.sum(1).clamp(min=1) if self.reduction == "mean" else total
