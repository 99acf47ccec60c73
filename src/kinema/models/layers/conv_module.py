"""ConvModule: convolution, norm and activation as one block, of which nearly every published network is made."""

import warnings
from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models.layers.by_name import (
    LayerCfg,
    build_activation_layer,
    build_conv_layer,
    build_norm_layer,
)
from kinema.models.layers.cpu_convolution import convolve_and_normalize
from kinema.openmmlab.keywords import accepts_openmmlab_keywords
from kinema.registry import MODELS

Size = int | Sequence[int]


@MODELS.register_module()
@accepts_openmmlab_keywords
class ConvModule(nn.Module):
    """Convolution, norm and activation in any order; (B, in_channels, ...) -> (B, out_channels, ...).

    Its children, and so the names in state dicts, are `conv`, then the norm as `bn`, `gn`, `ln` or
    `in`, then `activate`. Weights are drawn as torch's layers draw them: the initialisation of a
    network is in the `init_cfg` of its owner.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: of the convolution, as all up to `bias`.
        stride: step.
        padding: zeros at each side.
        dilation: distance of neighbouring taps.
        groups: groups of channels that do not see each other.
        bias: `"auto"`: only without a norm, which would take it away.
        conv_cfg: the convolution, see `build_conv_layer`; None: `Conv2d`.
        norm_cfg: the norm, see `build_norm_layer`; None: none.
        act_cfg: the activation, see `build_activation_layer`; None: none.
        inplace: the activation overwrites its input.
        with_spectral_norm: divide the weight by its largest singular value.
        padding_mode: `"zeros"`, `"reflect"`, `"circular"` or `"replicate"`.
        order: the three in the order in which they are applied; `("norm", "act", "conv")` is
            pre-activation.

    Raises:
        ConfigError: `order` is not a permutation of the three, or a config names no layer.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool | Literal["auto"] = "auto",
        conv_cfg: LayerCfg | None = None,
        norm_cfg: LayerCfg | None = None,
        act_cfg: LayerCfg | None = {"type": "ReLU"},  # noqa: B006 - never changed
        inplace: bool = True,
        with_spectral_norm: bool = False,
        padding_mode: Literal["zeros", "reflect", "circular", "replicate"] = "zeros",
        order: Sequence[str] = ("conv", "norm", "act"),
    ) -> None:
        super().__init__()
        if sorted(order) != ["act", "conv", "norm"]:
            raise ConfigError(f"order of ConvModule must hold 'conv', 'norm' and 'act' once each, got {tuple(order)}")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.with_norm = norm_cfg is not None
        self.with_activation = act_cfg is not None
        self.with_bias = not self.with_norm if bias == "auto" else bias
        if self.with_norm and self.with_bias:
            warnings.warn("ConvModule has norm and bias at the same time: the norm takes the bias away", stacklevel=2)
        self.order = tuple(order)
        extra = {} if padding_mode == "zeros" else {"padding_mode": padding_mode}
        self.conv = build_conv_layer(
            conv_cfg,
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            bias=self.with_bias,
            **extra,
        )
        if with_spectral_norm:
            self.conv = nn.utils.spectral_norm(self.conv)
        self.norm_name: str | None = None
        if norm_cfg is not None:
            # A norm in front of the convolution sees the input's channels.
            channels = out_channels if order.index("norm") > order.index("conv") else in_channels
            self.norm_name, norm = build_norm_layer(norm_cfg, channels)
            self.add_module(self.norm_name, norm)
        if act_cfg is not None:
            self.activate = build_activation_layer(act_cfg, inplace=inplace)
        # What OpenMMLab's module has of the convolution.
        given = {"kernel_size": kernel_size, "stride": stride, "dilation": dilation, "groups": groups}
        for name, value in {**given, "transposed": False, "output_padding": 0}.items():
            setattr(self, name, getattr(self.conv, name, value))
        self.padding = padding

    @property
    def norm(self) -> nn.Module | None:
        """The norm, whatever its name; None without one."""
        return None if self.norm_name is None else self.get_submodule(self.norm_name)

    def forward(self, x: Tensor, activate: bool = True, norm: bool = True) -> Tensor:
        """Apply the layers in their order; `activate=False` and `norm=False` leave one out."""
        if self.order == ("conv", "norm", "act") and norm and self.norm_name is not None:
            x = convolve_and_normalize(self.conv, getattr(self, self.norm_name), x)
            return self.activate(x) if activate and self.with_activation else x
        for step in self.order:
            if step == "conv":
                x = self.conv(x)
            elif step == "norm" and norm and self.norm_name is not None:
                x = getattr(self, self.norm_name)(x)
            elif step == "act" and activate and self.with_activation:
                x = self.activate(x)
        return x
