"""The head of temporal pyramid networks. Source: TPN, Yang et al. 2020, arXiv:2004.03548.

Departure from the original: its `fcn_test` classifies averaged features by a convolution `new_cls`
that it copies from `fc_cls` once, at the first prediction. That is the product with `fc_cls`, which
is used here, and always up to date.
"""

from typing import Any

from torch import Tensor, nn

from kinema.arguments import takes_arguments_of
from kinema.models.heads.features import check_single
from kinema.models.heads.pooling import ClipMean
from kinema.models.heads.segments import by_segment, join_segments, pool_frames
from kinema.models.heads.tsn import TSNHead
from kinema.registry import MODELS


@MODELS.register_module()
class TPNHead(TSNHead):
    """(B, C, T, H, W) features, or (B * S, C, H, W) of frames -> (B, N) scores.

    Arguments as in `TSNHead`.
    """

    has_fcn_state = False
    avg_pool2d: nn.Module | None = None  # pools features of frames, if set; else `avg_pool` does

    @takes_arguments_of(TSNHead)
    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.avg_pool3d = ClipMean() if self.spatial_type == "avg" else None

    def prepare_fcn_test(self) -> None:
        """Let the state dict have `new_cls` too, the class weights as a convolution, as files of the original do."""
        if not self.has_fcn_state:
            self.has_fcn_state = True
            self.register_state_dict_post_hook(_add_convolution)
            self.register_load_state_dict_pre_hook(_leave_convolution_out)

    def forward(self, x: Tensor, num_segs: int | None = None, fcn_test: bool = False) -> Tensor:
        """Classify clips; features of single frames are averaged over `num_segs` frames.

        `fcn_test` changes nothing.
        """
        check_single(self, x)
        is_clip = x.dim() == 5
        x = pool_frames(x, self.avg_pool3d if is_clip else self.avg_pool2d or self.avg_pool)
        self.check_channels(x)
        if num_segs and not is_clip:
            x = join_segments(self.consensus, by_segment(x, num_segs, "TPNHead"))
        if self.dropout is not None:
            x = self.dropout(x)
        return self.fc_cls(x)


def _add_convolution(head: nn.Module, state: dict[str, Tensor], prefix: str, _metadata: Any) -> None:
    weight, bias = state[f"{prefix}fc_cls.weight"], state[f"{prefix}fc_cls.bias"]
    state[f"{prefix}new_cls.weight"] = weight.detach().clone()[..., None, None, None]
    state[f"{prefix}new_cls.bias"] = bias.detach().clone()


def _leave_convolution_out(head: nn.Module, state: dict[str, Tensor], prefix: str, *_others: Any) -> None:
    for name in ("weight", "bias"):
        state.pop(f"{prefix}new_cls.{name}", None)
