"""A convolution of each channel by itself, then one that mixes them."""

from typing import Any, Literal

from torch import Tensor, nn

from kinema.models.layers.by_name import LayerCfg
from kinema.models.layers.conv_module import ConvModule, Size

Default = Literal["default"]


class DepthwiseSeparableConvModule(nn.Module):
    """(B, in_channels, H, W) -> (B, out_channels, H', W') with far fewer weights than one convolution.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: of the convolution over space, as `stride`, `padding` and `dilation`.
        stride: step.
        padding: zeros at each side.
        dilation: distance of neighbouring taps.
        norm_cfg: norm of both convolutions.
        act_cfg: activation of both.
        dw_norm_cfg: norm of the first one; `"default"`: `norm_cfg`.
        dw_act_cfg: activation of the first one; `"default"`: `act_cfg`.
        pw_norm_cfg: norm of the second one.
        pw_act_cfg: activation of the second one.
        **kwargs: further arguments of both `ConvModule`s, but for `groups`.

    Source: MobileNets, Howard et al. 2017, arXiv:1704.04861.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        dilation: Size = 1,
        norm_cfg: LayerCfg | None = None,
        act_cfg: LayerCfg | None = {"type": "ReLU"},  # noqa: B006 - never changed
        dw_norm_cfg: LayerCfg | Default | None = "default",
        dw_act_cfg: LayerCfg | Default | None = "default",
        pw_norm_cfg: LayerCfg | Default | None = "default",
        pw_act_cfg: LayerCfg | Default | None = "default",
        **kwargs: Any,
    ) -> None:
        super().__init__()
        if "groups" in kwargs:
            raise TypeError("DepthwiseSeparableConvModule has no keyword 'groups': it has one group a channel")
        self.depthwise_conv = ConvModule(
            in_channels,
            in_channels,
            kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=in_channels,
            norm_cfg=_or(dw_norm_cfg, norm_cfg),
            act_cfg=_or(dw_act_cfg, act_cfg),
            **kwargs,
        )
        self.pointwise_conv = ConvModule(
            in_channels,
            out_channels,
            1,
            norm_cfg=_or(pw_norm_cfg, norm_cfg),
            act_cfg=_or(pw_act_cfg, act_cfg),
            **kwargs,
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.pointwise_conv(self.depthwise_conv(x))
        return out


def _or(cfg: Any, default: LayerCfg | None) -> LayerCfg | None:
    return default if isinstance(cfg, str) and cfg == "default" else cfg
