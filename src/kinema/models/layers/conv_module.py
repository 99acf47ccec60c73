"""ConvModule: convolution, norm and activation as one block, of which nearly every published network is made."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from kinema.errors import ConfigError
from kinema.models.init import constant_init, kaiming_init
from kinema.models.layers.by_name import (
    CONVS,
    LayerCfg,
    build_activation_layer,
    build_conv_layer,
    build_norm_layer,
    layer_of,
)
from kinema.models.layers.cpu_convolution import convolve_and_normalize
from kinema.openmmlab.keywords import accepts_openmmlab_keywords
from kinema.registry import MODELS

Size = int | Sequence[int]

# Padding of images that is a layer of its own, in front of the convolution.
_PADDING_LAYERS: dict[str, type[nn.Module]] = {"reflect": nn.ReflectionPad2d, "replicate": nn.ReplicationPad2d}


@MODELS.register_module()
@accepts_openmmlab_keywords
class ConvModule(nn.Module):
    """Convolution, norm and activation in any order; (B, in_channels, ...) -> (B, out_channels, ...).

    Its children, and so the names in state dicts, are `conv`, then the norm as `bn`, `gn`, `ln` or
    `in`, then `activate`; images that are not padded with zeros have a `padding_layer`.

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

    _abbr_ = "conv_block"
    norm_name: str | None = None

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
        self.conv_cfg = conv_cfg
        self.norm_cfg = norm_cfg
        self.act_cfg = act_cfg
        self.inplace = inplace
        self.with_norm = norm_cfg is not None
        self.with_activation = act_cfg is not None
        self.with_bias = not self.with_norm if bias == "auto" else bias
        self.with_spectral_norm = with_spectral_norm
        self.order = tuple(order)
        kind, _ = layer_of("conv_cfg", conv_cfg if conv_cfg is not None else {"type": "Conv2d"}, CONVS)
        self.with_explicit_padding = padding_mode in _PADDING_LAYERS and not issubclass(kind, nn.Conv1d | nn.Conv3d)
        if self.with_explicit_padding:
            rows, columns = (padding, padding) if isinstance(padding, int) else padding
            self.padding_layer = _PADDING_LAYERS[padding_mode]((columns, columns, rows, rows))
        extra = {} if self.with_explicit_padding or padding_mode == "zeros" else {"padding_mode": padding_mode}
        self.conv = build_conv_layer(
            conv_cfg,
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=0 if self.with_explicit_padding else padding,
            dilation=dilation,
            groups=groups,
            bias=self.with_bias,
            **extra,
        )
        if with_spectral_norm:
            self.conv = nn.utils.spectral_norm(self.conv)
        if norm_cfg is not None:
            # A norm in front of the convolution sees the input's channels.
            channels = out_channels if order.index("norm") > order.index("conv") else in_channels
            self.norm_name, norm = build_norm_layer(norm_cfg, channels)
            if self.with_bias and isinstance(norm, _BatchNorm | _InstanceNorm):
                warnings.warn("Unnecessary conv bias before batch/instance norm", stacklevel=2)
            self.add_module(self.norm_name, norm)
        if act_cfg is not None:
            self.activate = build_activation_layer(act_cfg, inplace=inplace)
        given = {"kernel_size": kernel_size, "stride": stride, "dilation": dilation, "groups": groups}
        self._read_numbers({**given, "transposed": False, "output_padding": 0})
        self.padding = padding
        self.init_weights()
        self.is_init = True  # so that an `init_cfg` of modules around it has the last word

    def init_weights(self) -> None:
        """Draw the convolution by Kaiming's rule for its activation, and let the norm change nothing.

        A convolution that has `init_weights` keeps what that set. It runs when the module is built.
        """
        if not hasattr(self.conv, "init_weights"):
            act_cfg = self.act_cfg or {}
            is_leaky = act_cfg.get("type") == "LeakyReLU"
            kaiming_init(
                self.conv,
                a=act_cfg.get("negative_slope", 0.01) if is_leaky else 0,
                nonlinearity="leaky_relu" if is_leaky else "relu",
            )
        if self.norm is not None:
            constant_init(self.norm, 1)

    def _read_numbers(self, otherwise: Mapping[str, Any]) -> None:
        """Have the attributes of the convolution, as OpenMMLab's module does."""
        for name, value in otherwise.items():
            setattr(self, name, getattr(self.conv, name, value))

    @classmethod
    def create_from_conv_bn(cls, conv: nn.Module, bn: nn.Module, efficient_conv_bn_eval: bool = True) -> "ConvModule":
        """A block without activation of a convolution and a batch norm that exist; it holds these two.

        Args:
            conv: any of torch's convolutions.
            bn: the norm of its output.
            efficient_conv_bn_eval: no effect: the norm goes into the convolution where that is
                faster.
        """
        block = cls.__new__(cls)
        nn.Module.__init__(block)
        block.conv_cfg = block.norm_cfg = block.act_cfg = None
        block.inplace = block.with_activation = block.with_explicit_padding = block.with_spectral_norm = False
        block.with_norm = True
        block.with_bias = conv.bias is not None
        block.order = ("conv", "norm", "act")
        block.conv = conv
        numbers = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups")
        block._read_numbers(dict.fromkeys((*numbers, "transposed", "output_padding")))
        block.norm_name = "bn"
        block.bn = bn
        return block

    @property
    def norm(self) -> nn.Module | None:
        """The norm, whatever its name; None without one."""
        return None if self.norm_name is None else self.get_submodule(self.norm_name)

    def forward(self, x: Tensor, activate: bool = True, norm: bool = True) -> Tensor:
        """Apply the layers in their order; `activate=False` and `norm=False` leave one out."""
        if self.order == ("conv", "norm", "act") and norm and self.norm_name is not None:
            if self.with_explicit_padding:
                x = self.padding_layer(x)
            x = convolve_and_normalize(self.conv, getattr(self, self.norm_name), x)
            return self.activate(x) if activate and self.with_activation else x
        for step in self.order:
            if step == "conv":
                x = self.conv(self.padding_layer(x) if self.with_explicit_padding else x)
            elif step == "norm" and norm and self.norm_name is not None:
                x = getattr(self, self.norm_name)(x)
            elif step == "act" and activate and self.with_activation:
                x = self.activate(x)
        return x
