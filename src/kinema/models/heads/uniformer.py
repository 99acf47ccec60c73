"""Drop out and classify, with the classes of a larger data set's head where that is asked for.

Source: UniFormerV2, Li et al. 2022, arXiv:2211.09552.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from kinema.arguments import takes_arguments_of
from kinema.checkpoints.label_maps import read_label_map
from kinema.models.heads.base import BaseHead
from kinema.models.heads.timesformer import TimeSformerHead
from kinema.registry import MODELS


@MODELS.register_module()
class UniFormerHead(TimeSformerHead):
    """(B, C) features -> (B, N) scores.

    Args:
        num_classes: N.
        in_channels: C.
        loss_cls: see `BaseHead`.
        dropout_ratio: probability that a feature is set to 0 in training.
        channel_map: a JSON file with N numbers: those of the classes of a head of more classes that are
            these. Of such a head's weights, when they are loaded, these rows are taken.
        **settings: further arguments of `BaseHead`.

    Raises:
        ConfigError: the file is none of N numbers; where it does not exist, when it is needed.
    """

    @takes_arguments_of(BaseHead)
    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        loss_cls: nn.Module | Mapping[str, Any] | None = None,
        dropout_ratio: float = 0.0,
        channel_map: str | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(num_classes, in_channels, loss_cls, dropout_ratio=dropout_ratio, **settings)
        self.channel_map = channel_map
        # Of networks that are built without the weights of the larger head, the file is often not there.
        self._rows = self._read_rows() if channel_map is not None and Path(channel_map).exists() else None

    def _read_rows(self) -> list[int]:
        return list(read_label_map(str(self.channel_map), self.num_classes, "channel_map"))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for name in ("fc_cls.weight", "fc_cls.bias") if self.channel_map is not None else ():
            tensor: Tensor | None = state_dict.get(prefix + name)
            if tensor is not None and len(tensor) > self.num_classes:
                self._rows = self._rows or self._read_rows()
                if len(tensor) > max(self._rows):
                    state_dict[prefix + name] = tensor[self._rows]
        super()._load_from_state_dict(state_dict, prefix, *args)
