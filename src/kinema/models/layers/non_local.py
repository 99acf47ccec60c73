"""Non-local blocks: every position of a feature map looks at every other one.

Source: Non-local Neural Networks, Wang et al. 2018, arXiv:1711.07971, sections 3.2 and 3.3.
Parameters and results are those of MMCV's blocks. Departures, which change no result: softmax
attention goes through torch's fused kernel; the dot product kind multiplies in the cheaper order;
the concatenation kind projects before it pairs, so that no tensor holds all pairs' channels.
"""

from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models.base import Sequential
from kinema.models.init import constant_init, normal_init
from kinema.models.layers.by_name import LayerCfg
from kinema.models.layers.conv_module import ConvModule
from kinema.registry import MODELS

NonLocalMode = Literal["gaussian", "embedded_gaussian", "dot_product", "concatenation"]
MODES = ("gaussian", "embedded_gaussian", "dot_product", "concatenation")


class _NonLocalNd(nn.Module):
    """(B, C, ...) -> (B, C, ...): the input plus what each position gathers from all others.

    Args:
        in_channels: C.
        sub_sample: look only at the maxima of neighbourhoods of two by two (positions of one frame,
            in 3D).
        conv_cfg: convolution; None: that of the block's dimensions.
        reduction: the positions are compared in C / `reduction` channels.
        use_scale: divide the comparisons of `"embedded_gaussian"` by the square root of those
            channels.
        norm_cfg: norm after the last convolution; None: none.
        mode: how two positions are compared, equations 2 to 6 of the paper.
        zeros_init: the block starts as the identity.
        std: standard deviation of the initial weights of the projections, and of the last layer
            without `zeros_init`.

    Raises:
        ConfigError: there is no such mode, or (when called) there are too few positions for
            `sub_sample`.
    """

    conv_type: ClassVar[str] = "Conv2d"
    pool_type: ClassVar[type[nn.Module]] = nn.MaxPool2d
    pool_size: ClassVar[int | tuple[int, ...]] = (2, 2)
    _abbr_ = "nonlocal_block"
    theta: nn.Module
    phi: nn.Module

    def __init__(
        self,
        in_channels: int,
        sub_sample: bool = False,
        conv_cfg: LayerCfg | None = None,
        *,
        reduction: int = 2,
        use_scale: bool = True,
        norm_cfg: LayerCfg | None = None,
        mode: NonLocalMode = "embedded_gaussian",
        zeros_init: bool = True,
        std: float = 0.01,
    ) -> None:
        super().__init__()
        if mode not in MODES:
            raise ConfigError(f"a non-local block has the modes {', '.join(MODES)}, not {mode!r}")
        conv_cfg = {"type": self.conv_type} if conv_cfg is None else conv_cfg
        self.in_channels = in_channels
        self.reduction = reduction
        self.inter_channels = max(in_channels // reduction, 1)
        self.use_scale = use_scale
        self.mode = mode
        self.sub_sample = sub_sample
        self.zeros_init = zeros_init
        self.std = std

        def project() -> ConvModule:
            return ConvModule(in_channels, self.inter_channels, 1, conv_cfg=conv_cfg, act_cfg=None)

        self.g: nn.Module = project()
        self.conv_out = ConvModule(
            self.inter_channels, in_channels, 1, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=None
        )
        if mode != "gaussian":
            self.theta = project()
            self.phi = project()
        if mode == "concatenation":
            self.concat_project = ConvModule(
                2 * self.inter_channels, 1, 1, bias=False, conv_cfg={"type": "Conv2d"}, act_cfg={"type": "ReLU"}
            )
        if sub_sample:
            pool = self.pool_type(self.pool_size)
            self.g = Sequential(self.g, pool)
            self.phi = pool if mode == "gaussian" else Sequential(self.phi, pool)
        self.init_weights()

    def init_weights(self) -> None:
        """Draw the projections from N(0, `std`^2); the last layer is zero, so that the block starts as the identity."""
        for part in (self.g, getattr(self, "theta", None), getattr(self, "phi", None)):
            for layer in () if part is None else part.modules():
                if isinstance(layer, ConvModule):
                    normal_init(layer.conv, std=self.std)
        last = self.conv_out.norm or self.conv_out.conv
        if self.zeros_init:
            constant_init(last, 0)
        else:
            normal_init(self.conv_out.conv, std=self.std)

    def forward(self, x: Tensor) -> Tensor:
        if self.sub_sample and min(x.shape[-2:] if x.dim() > 3 else x.shape[-1:]) < 2:
            raise ConfigError(
                "a non-local block with sub_sample=True looks at every second position, but gets features"
                f" {tuple(x.shape)} that have one: set sub_sample=False in non_local_cfg, or crop clips larger"
            )
        value = self.g(x).flatten(2).transpose(1, 2)  # (B, S, C'), S positions that are looked at
        if self.mode == "gaussian":
            query = x.flatten(2)  # (B, C, L), L positions that look
            key = (self.phi(x) if self.sub_sample else x).flatten(2)  # (B, C, S)
        else:
            query = self.theta(x).flatten(2)  # (B, C', L)
            key = self.phi(x).flatten(2)  # (B, C', S)
        gathered = self._gather(query, key, value).transpose(1, 2)  # (B, C', L)
        return x + self.conv_out(gathered.reshape(len(x), self.inter_channels, *x.shape[2:]))

    def _gather(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """(B, D, L), (B, D, S), (B, S, C') -> (B, L, C')."""
        if self.mode == "dot_product":
            if value.shape[1] > query.shape[1]:
                return query.transpose(1, 2) @ (key @ value) / value.shape[1]
            return query.transpose(1, 2) @ key / value.shape[1] @ value
        if self.mode == "concatenation":
            weight = self.concat_project.conv.get_parameter("weight")
            of_query, of_key = weight.flatten().chunk(2)
            pairs = (of_query @ query)[:, :, None] + (of_key @ key)[:, None]  # (B, L, S)
            return F.relu(pairs) @ value / value.shape[1]
        scale = query.shape[1] ** -0.5 if self.mode == "embedded_gaussian" and self.use_scale else 1.0
        # The kernel takes (batch, heads, positions, channels).
        query, key, value = query.transpose(1, 2)[:, None], key.transpose(1, 2)[:, None], value[:, None]
        return F.scaled_dot_product_attention(query, key, value, scale=scale)[:, 0]


@MODELS.register_module()
class NonLocal1d(_NonLocalNd):
    """Non-local block over (B, C, T)."""

    conv_type, pool_type, pool_size = "Conv1d", nn.MaxPool1d, 2


@MODELS.register_module()
class NonLocal2d(_NonLocalNd):
    """Non-local block over (B, C, H, W)."""

    conv_type, pool_type, pool_size = "Conv2d", nn.MaxPool2d, (2, 2)


@MODELS.register_module()
class NonLocal3d(_NonLocalNd):
    """Non-local block over (B, C, T, H, W)."""

    conv_type, pool_type, pool_size = "Conv3d", nn.MaxPool3d, (1, 2, 2)
