"""A head for networks that classify by themselves, such as whole classifiers of other libraries."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from kinema.arguments import takes_arguments_of
from kinema.models.heads.base import BaseHead
from kinema.models.heads.features import check_single, check_single_source
from kinema.models.heads.segments import by_segment
from kinema.registry import MODELS


@MODELS.register_module()
class ScoresHead(BaseHead):
    """(B, N) scores -> the same; (B * S, N, 1, 1) of frames -> their mean, (B, N). It has no weights.

    Args:
        num_classes: N.
        loss_cls: see `BaseHead`.
        **settings: further arguments of `BaseHead`.
    """

    @takes_arguments_of(BaseHead)
    def __init__(
        self,
        num_classes: int,
        loss_cls: nn.Module | Mapping[str, Any] | None = None,
        *,
        in_channels: int | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(num_classes, num_classes if in_channels is None else in_channels, loss_cls, **settings)

    def check_source(self, source: nn.Module, what: str = "backbone") -> None:
        check_single_source(self, source, what)

    def forward(self, x: Tensor, num_segs: int | None = None) -> Tensor:
        """Average the scores of frames, `num_segs` of a sample; those of clips stay as they are."""
        check_single(self, x)
        self.check_channels(x)
        x = x.flatten(1)
        return x if num_segs is None else by_segment(x, num_segs, type(self).__name__).mean(1)
