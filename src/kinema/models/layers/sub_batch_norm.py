"""SubBatchNorm3D: batch norm over parts of a batch, for long-cycle training with large batches.

Source: A Multigrid Method for Efficiently Training Video Models, Wu et al. 2020, arXiv:1912.00998,
section 3.3.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kinema.registry import MODELS


@MODELS.register_module()
class SubBatchNorm3D(nn.Module):
    """Normalise each of `num_splits` parts of a batch by itself: (B, C, T, H, W) -> the same.

    In training the statistics of the parts are in `split_bn`. Every batch joins them in `bn`, which
    evaluation uses: whatever reads the buffers, such as averages of the weights, finds those of now.

    Args:
        num_features: C.
        num_splits: parts; B must be a multiple of it in training.
        eps: added to the variance.
        momentum: of the running statistics.
        affine: scale and shift the result.
        track_running_stats: keep statistics for evaluation.

    Raises:
        ValueError: a number is below 1; in training, B is no multiple of `num_splits`.
    """

    def __init__(
        self,
        num_features: int,
        num_splits: int = 1,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        super().__init__()
        if num_features < 1 or num_splits < 1:
            raise ValueError(
                f"SubBatchNorm3D: num_features and num_splits must be at least 1, got {num_features}, {num_splits}"
            )
        self.num_features = num_features
        self.num_splits = num_splits
        self.affine = affine
        settings: Mapping[str, Any] = {
            "eps": eps,
            "momentum": momentum,
            "affine": False,
            "track_running_stats": track_running_stats,
        }
        self.weight = nn.Parameter(torch.ones(num_features)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_features)) if affine else None
        self.bn = nn.BatchNorm3d(num_features, **settings)
        self.split_bn = nn.BatchNorm3d(num_features * num_splits, **settings)

    @torch.no_grad()
    def aggregate_stats(self) -> None:
        """Join the parts' running statistics."""
        means, variances = self.split_bn.running_mean, self.split_bn.running_var
        if means is None or variances is None or self.bn.running_mean is None or self.bn.running_var is None:
            return
        means, variances = means.view(self.num_splits, -1), variances.view(self.num_splits, -1)
        mean = means.mean(0)
        self.bn.running_mean.copy_(mean)
        self.bn.running_var.copy_(variances.mean(0) + (means - mean).square().mean(0))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            if len(x) % self.num_splits:
                raise ValueError(f"a batch of {len(x)} clips cannot be parted in num_splits={self.num_splits}")
            # Part p of the batch becomes channels p * C to (p + 1) * C.
            parts = x.reshape(-1, self.num_splits * self.num_features, *x.shape[2:])
            x = self.split_bn(parts).view_as(x)
            self.aggregate_stats()
        else:
            x = self.bn(x)
        if self.weight is None or self.bias is None:
            return x
        shape = (-1, 1, 1, 1)
        return x * self.weight.view(shape) + self.bias.view(shape)
