"""A head that classifies nothing: it gives the pooled features of clips, to be kept or compared."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from kinema.arguments import takes_arguments_of
from kinema.errors import ConfigError
from kinema.models.heads.base import BaseHead
from kinema.models.heads.segments import by_segment
from kinema.registry import MODELS

Pooling = Literal["avg", "max"] | None


@MODELS.register_module()
class FeatureHead(BaseHead):
    """Features of a backbone -> (B, C) features of clips, which `predict` returns in place of samples.

    It takes clips (B, C, T, H, W), frames (B * S, C, H, W), two pathways of clips, which are put
    beside each other, and what is (B, C) already.

    Args:
        spatial_type: `"avg"` or `"max"` over height and width; None keeps them.
        temporal_type: `"avg"` or `"max"` over frames; None keeps them.
        backbone_name: `"gcn"`: features are (B, persons, C, T, joints), of which `spatial_type`
            pools frames and joints, and `temporal_type` persons. Other names change nothing.
        num_segments: S; default: what the recognizer says.
        **settings: further arguments of `BaseHead`; `average_clips` averages the features of a
            sample's views.

    Raises:
        ValueError: there is no such pooling.
        ConfigError: (when called) features of another shape, or frames of no known number.
    """

    @takes_arguments_of(BaseHead)
    def __init__(
        self,
        spatial_type: Pooling = "avg",
        temporal_type: Pooling = "avg",
        backbone_name: str | None = None,
        num_segments: int | None = None,
        *,
        num_classes: int | None = None,
        in_channels: int | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(num_classes, in_channels, **settings)  # type: ignore[arg-type]
        for name, value in (("spatial_type", spatial_type), ("temporal_type", temporal_type)):
            if value not in ("avg", "max", None):
                raise ValueError(f"{name} of FeatureHead must be 'avg', 'max' or None, got {value!r}")
        self.spatial_type = spatial_type
        self.temporal_type = temporal_type
        self.backbone_name = backbone_name
        self.num_segments = num_segments

    def forward(self, x: Any, num_segs: int | None = None) -> Tensor:
        """Pool features; `num_segs` is the number of frames of a sample, where x is features of frames."""
        if isinstance(x, tuple | list):
            if len(x) != 2:
                raise ConfigError(f"FeatureHead takes one feature, or those of two pathways, got {len(x)}")
            return torch.cat([self(pathway) for pathway in x], dim=1)
        if x.dim() == 2:
            return x
        if x.dim() == 4:
            frames = pooled(x, (2, 3), self.spatial_type)
            rows = by_segment(frames.flatten(1), self.num_segments or num_segs, "FeatureHead")
            return pooled(rows, (1,), self.temporal_type).unflatten(-1, frames.shape[1:]).squeeze(-1)
        if x.dim() != 5:
            raise ConfigError(f"FeatureHead takes features of clips, frames or pooled ones, got {tuple(x.shape)}")
        last = 1 if self.backbone_name == "gcn" else 2
        return pooled(pooled(x, (3, 4), self.spatial_type), (last,), self.temporal_type)

    def predict_by_feat(self, cls_scores: Tensor, data_samples: Sequence[Any]) -> Tensor:  # type: ignore[override]
        """(B * V, C) features -> (B, C), or (B, V, C) where `average_clips` is None."""
        return self.average_clip(cls_scores, self._num_views(cls_scores, len(data_samples)))

    def loss_by_feat(self, cls_scores: Tensor, data_samples: Sequence[Any]) -> dict[str, Tensor]:
        """Raise `ConfigError`: there is nothing to train."""
        raise ConfigError("FeatureHead gives features, no scores: for a training set cls_head to another head")


def pooled(x: Tensor, dims: tuple[int, ...], kind: Pooling) -> Tensor:
    """Average or maximum over the dimensions; x itself for None."""
    if kind is None:
        return x
    return x.mean(dims) if kind == "avg" else x.amax(dims)
