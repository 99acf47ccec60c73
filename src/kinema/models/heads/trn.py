"""Classify relations of frames: which frames, in which order.

Source: TRN, Zhou et al. 2018, arXiv:1711.08496, section 3.

Departures from the original, which adds up three random subsets of frames a scale, also in
evaluation: in evaluation the expectation over these draws is taken, from all subsets, so that the
same clip has the same scores. The first layer of a scale is applied to each frame at each position
once, not to each subset.
"""

from collections.abc import Mapping
from itertools import combinations
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from kinema.arguments import takes_arguments_of
from kinema.errors import ConfigError
from kinema.models.heads.base import BaseHead
from kinema.models.heads.features import check_frame_features, check_segments, check_single_source
from kinema.models.heads.pooling import FrameMean, check_spatial_type
from kinema.models.heads.segments import by_segment, pool_frames
from kinema.models.transfers import onto
from kinema.registry import MODELS

_MOST_SEGMENTS = 16  # whose largest scale has 12870 subsets


class RelationModule(nn.Module):
    """(B, T, hidden_dim) -> (B, N), from all frames in their order.

    Args:
        hidden_dim: features of a frame.
        num_segments: T.
        num_classes: N.
    """

    def __init__(self, hidden_dim: int, num_segments: int, num_classes: int) -> None:
        super().__init__()
        self.hidden_dim = hidden_dim
        self.num_segments = num_segments
        self.num_classes = num_classes
        self.classifier = nn.Sequential(
            nn.ReLU(), nn.Linear(num_segments * hidden_dim, 512), nn.ReLU(), nn.Linear(512, num_classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(x.flatten(1))


class RelationModuleMultiScale(nn.Module):
    """(B, T, hidden_dim) -> (B, N), the sum over scales of what subsets of so many frames say.

    Args:
        hidden_dim: features of a frame.
        num_segments: T, 2 to 16.
        num_classes: N.

    Raises:
        ConfigError: T is out of range.
    """

    max_subsamples = 3

    def __init__(self, hidden_dim: int, num_segments: int, num_classes: int) -> None:
        super().__init__()
        if not 2 <= num_segments <= _MOST_SEGMENTS:
            raise ConfigError(
                f"relations of several scales need num_segments from 2 to {_MOST_SEGMENTS}, got {num_segments}: the"
                " number of subsets of frames doubles with each; relation_type='TRN' takes all frames once"
            )
        self.hidden_dim = hidden_dim
        self.num_segments = num_segments
        self.num_classes = num_classes
        self.scales = range(num_segments, 1, -1)
        self.fc_fusion_scales = nn.ModuleList(
            nn.Sequential(nn.ReLU(), nn.Linear(scale * hidden_dim, 256), nn.ReLU(), nn.Linear(256, num_classes))
            for scale in self.scales
        )
        # (relations, scale) frames of each relation.
        self._relations = [torch.tensor(list(combinations(range(num_segments), scale))) for scale in self.scales]

    def forward(self, x: Tensor) -> Tensor:
        scores = x.new_zeros(len(x), self.num_classes)
        x = x.relu()
        for scale, relations, layers in zip(self.scales, self._relations, self.fc_fusion_scales, strict=True):
            count = min(self.max_subsamples, len(relations))
            if self.training:
                relations = relations[np.random.choice(len(relations), count, replace=False)]
            scores = scores + count / len(relations) * self._relate(x, relations, scale, layers)
        return scores

    def _relate(self, x: Tensor, relations: Tensor, scale: int, layers: Any) -> Tensor:
        """The sum over relations of `layers` on the features of their frames, one after the other."""
        first, last = layers[1], layers[3]
        weight = first.weight.unflatten(1, (scale, self.hidden_dim))  # (256, scale, hidden_dim)
        parts = torch.einsum("bth,osh->bsto", x, weight)  # (B, scale, T, 256)
        hidden = first.bias.expand(len(x), len(relations), -1)
        for position, frames in enumerate(onto(relations, x.device).unbind(1)):
            hidden = hidden + parts[:, position, frames]  # (B, relations, 256)
        return last(hidden.relu().sum(1)) + (len(relations) - 1) * last.bias


@MODELS.register_module()
class TRNHead(BaseHead):
    """(B * S, C, H, W) features of frames -> (B * S / num_segments, N) scores, one row a view.

    Args:
        num_classes: N.
        in_channels: C.
        num_segments: frames of a view.
        loss_cls: see `BaseHead`.
        spatial_type: `"avg"` averages over height and width, None takes features (B * S, C) that
            are pooled already.
        relation_type: `"TRNMultiScale"`: subsets of 2 frames, of 3, ... and all; `"TRN"`: all
            frames.
        hidden_dim: features of a frame that relations see.
        dropout_ratio: probability that a feature is set to 0 in training.
        init_std: standard deviation of the initial weights of the layer that makes these features.
        **settings: further arguments of `BaseHead`; `init_cfg` replaces the initialisation with
            `init_std`.

    Raises:
        ConfigError: there is no such `relation_type`, or too many segments for it.
    """

    @takes_arguments_of(BaseHead)
    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        num_segments: int = 8,
        loss_cls: nn.Module | Mapping[str, Any] | None = None,
        spatial_type: Literal["avg"] | None = "avg",
        relation_type: Literal["TRN", "TRNMultiScale"] = "TRNMultiScale",
        hidden_dim: int = 256,
        dropout_ratio: float = 0.8,
        init_std: float = 0.001,
        **settings: Any,
    ) -> None:
        settings["init_cfg"] = settings.get("init_cfg") or {
            "override": {"type": "Normal", "name": "fc_cls", "std": init_std}
        }
        super().__init__(num_classes, in_channels, loss_cls, **settings)
        check_spatial_type(spatial_type)
        kinds = {"TRN": RelationModule, "TRNMultiScale": RelationModuleMultiScale}
        if relation_type not in kinds:
            raise ConfigError(
                f"relation_type of TRNHead must be {' or '.join(map(repr, kinds))}, got {relation_type!r}"
            )
        self.num_segments = num_segments
        self.spatial_type = spatial_type
        self.avg_pool = FrameMean() if spatial_type == "avg" else None
        self.relation_type = relation_type
        self.hidden_dim = hidden_dim
        self.dropout_ratio = dropout_ratio
        self.init_std = init_std
        self.consensus = kinds[relation_type](hidden_dim, num_segments, num_classes)
        self.dropout = nn.Dropout(dropout_ratio) if dropout_ratio else None
        self.fc_cls = nn.Linear(in_channels, hidden_dim)

    def check_source(self, source: nn.Module, what: str = "backbone") -> None:
        check_single_source(self, source, what, flat=self.spatial_type is None)
        check_segments(self, source, self.num_segments)

    def forward(self, x: Tensor, num_segs: int | None = None) -> Tensor:
        """Classify. `num_segs`, the frames of a sample in all its views, has no effect here."""
        check_frame_features(self, x)
        x = pool_frames(x, self.avg_pool)
        self.check_channels(x)
        if self.dropout is not None:
            x = self.dropout(x)
        return self.consensus(by_segment(self.fc_cls(x), self.num_segments, "TRNHead"))
