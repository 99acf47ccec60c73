"""MobileOne: parallel branches in training, which become one convolution each for deployment.

Source: MobileOne, Vasu et al. 2023, arXiv:2206.04040.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.checkpoints.pretrained import load_backbone
from kinema.errors import ConfigError
from kinema.models.backbones.base import Backbone
from kinema.models.backbones.frames.mobilenet import divisible
from kinema.models.init import InitCfg
from kinema.models.layers import ConvModule, LayerCfg, build_activation_layer, build_norm_layer
from kinema.models.layers.inputs import check_frames
from kinema.registry import MODELS

_BASE = (64, 128, 256, 512)  # channels of the stages before they are widened
_BLOCKS = (2, 8, 10, 1)
_NORM: LayerCfg = {"type": "BN"}
_ACT: LayerCfg = {"type": "ReLU"}
_SE: Mapping[str, Any] = {"ratio": 16}


def _architecture(widths: Sequence[float], branches: int, se_blocks: Sequence[int] = (0, 0, 0, 0)) -> dict[str, Any]:
    return {
        "num_blocks": list(_BLOCKS),
        "width_factor": list(widths),
        "num_conv_branches": [branches] * 4,
        "num_se_blocks": list(se_blocks),
    }


ARCHITECTURES: dict[str, dict[str, Any]] = {
    "s0": _architecture((0.75, 1.0, 1.0, 2.0), 4),
    "s1": _architecture((1.5, 1.5, 2.0, 2.5), 1),
    "s2": _architecture((1.5, 2.0, 2.5, 4.0), 1),
    "s3": _architecture((2.0, 2.5, 3.0, 4.0), 1),
    "s4": _architecture((3.0, 3.5, 3.5, 4.0), 1, (0, 0, 5, 1)),
}


class SqueezeExcite(nn.Module):
    """(B, C, H, W) -> the same, each channel times a number from 0 to 1 that depends on all channels' averages.

    Args:
        channels: C.
        ratio: C over the channels in between, which are a multiple of 8 about that.
    """

    def __init__(self, channels: int, ratio: int) -> None:
        super().__init__()
        narrow = divisible(channels // ratio)
        self.conv1 = ConvModule(channels, narrow, 1)
        self.conv2 = ConvModule(narrow, channels, 1, act_cfg={"type": "Sigmoid"})

    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv2(self.conv1(x.mean((2, 3), keepdim=True)))


class PointConv2d(nn.Conv2d):
    """A convolution of single pixels, which takes those it needs before it computes.

    Torch's own (2.13) writes outside of its memory in the backward pass of a step of 2 over few
    channels that lie last.
    """

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = self.stride
        return F.conv2d(x[..., ::rows, ::columns], self.weight, self.bias, groups=self.groups)


class MobileOneBlock(nn.Module):
    """(B, C, H, W) -> (B, C', H', W'): convolutions side by side, their sum, an activation.

    Args:
        in_channels: C.
        out_channels: C'.
        kernel_size: of the large convolutions; beside them are one of a single pixel, where that is
            smaller, and the input itself, where the shapes agree.
        num_convs: how many large convolutions.
        stride: step.
        padding: zeros at each side.
        groups: groups of channels that do not see each other.
        se_cfg: arguments of `SqueezeExcite` on the sum; None: there is none.
        norm_cfg: of each branch.
        act_cfg: the activation.
        deploy: one convolution with the same result in place of the branches.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        num_convs: int,
        stride: int = 1,
        padding: int = 1,
        groups: int = 1,
        se_cfg: Mapping[str, Any] | None = None,
        norm_cfg: LayerCfg = _NORM,
        act_cfg: LayerCfg = _ACT,
        deploy: bool = False,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride, self.padding, self.groups = kernel_size, stride, padding, groups
        self.se = nn.Identity() if se_cfg is None else SqueezeExcite(out_channels, **se_cfg)
        if deploy:
            self.branch_reparam: nn.Conv2d | None = self._single()
        else:
            self.branch_reparam = None
            has_shortcut = in_channels == out_channels and stride == 1
            self.branch_norm = build_norm_layer(norm_cfg, in_channels)[1] if has_shortcut else None
            self.branch_scale = self._branch(1, 0, norm_cfg) if kernel_size > 1 else None
            self.branch_conv_list = nn.ModuleList(
                self._branch(kernel_size, padding, norm_cfg) for _ in range(num_convs)
            )
        self.act = build_activation_layer(act_cfg)

    def _single(self) -> nn.Conv2d:
        shape = (self.in_channels, self.out_channels, self.kernel_size, self.stride, self.padding)
        return nn.Conv2d(*shape, groups=self.groups, bias=True)

    def _branch(self, kernel_size: int, padding: int, norm_cfg: LayerCfg) -> nn.Sequential:
        branch = nn.Sequential()
        kind = PointConv2d if kernel_size == 1 else nn.Conv2d
        convolution = kind(
            self.in_channels, self.out_channels, kernel_size, self.stride, padding, groups=self.groups, bias=False
        )
        branch.add_module("conv", convolution)
        branch.add_module("norm", build_norm_layer(norm_cfg, self.out_channels)[1])
        return branch

    def forward(self, x: Tensor) -> Tensor:
        if self.branch_reparam is not None:
            return self.act(self.se(self.branch_reparam(x)))
        out = sum(branch(x) for branch in self.branch_conv_list)
        if self.branch_scale is not None:
            out = out + self.branch_scale(x)
        if self.branch_norm is not None:
            out = out + self.branch_norm(x)
        return self.act(self.se(out))

    @torch.no_grad()
    def switch_to_deploy(self) -> None:
        """Put one convolution in place of the branches, which gives what they give in evaluation."""
        if self.branch_reparam is not None:
            return
        some = next(self.branch_conv_list.parameters())
        single = self._single().to(some.device, some.dtype)
        single.weight.zero_()
        assert single.bias is not None
        single.bias.zero_()
        for branch in (*self.branch_conv_list, self.branch_scale):
            if branch is not None:
                self._add(single, branch.conv.weight, branch.norm)
        if self.branch_norm is not None:
            width = self.in_channels // self.groups
            identity = torch.eye(width, device=single.weight.device).repeat(self.groups, 1)[:, :, None, None]
            self._add(single, identity, self.branch_norm)
        self.branch_reparam = single
        del self.branch_conv_list, self.branch_scale, self.branch_norm

    def _add(self, single: nn.Conv2d, kernel: Tensor, norm: Any) -> None:
        """Add a branch to the one convolution."""
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        border = (self.kernel_size - kernel.shape[-1]) // 2
        single.weight += F.pad(kernel * scale[:, None, None, None], [border] * 4)
        assert single.bias is not None
        single.bias += norm.bias - norm.running_mean * scale


@MODELS.register_module()
class MobileOne(Backbone):
    """(B, C, H, W) float -> (B, out_channels, H / 32, W / 32), sizes rounded up.

    Args:
        arch: `"s0"` to `"s4"`, or a dict of `num_blocks`, `width_factor`, `num_conv_branches` and
            `num_se_blocks`, each a number a stage.
        in_channels: C.
        out_indices: stages, 0 to 3, whose output is returned: one tensor, or a tuple of several.
        frozen_stages: the stem and so many stages are not trained; -1: all are.
        conv_cfg: `Conv2d`, if anything.
        norm_cfg: type and settings of the norms.
        act_cfg: type of the activations.
        se_cfg: `ratio` of the channels of the last blocks of a stage to those that weigh them.
        deploy: one convolution in place of each block's branches, as files for deployment have it.
        norm_eval: batch norms use and keep their running statistics in training.
        pretrained: checkpoint of this network over images that `init_weights` loads.
        init_cfg: replaces the initialisation: Kaiming normal, norms 1.

    Attributes:
        out_channels: channels of the output; a tuple where there are several.
        arch_zoo: the settings of each named architecture.

    Raises:
        ConfigError: there is no such architecture or stage.
    """

    arch_zoo: ClassVar[Mapping[str, Mapping[str, Any]]] = ARCHITECTURES

    def __init__(
        self,
        arch: str | Mapping[str, Any],
        in_channels: int = 3,
        out_indices: Sequence[int] = (3,),
        frozen_stages: int = -1,
        conv_cfg: LayerCfg | None = None,
        norm_cfg: LayerCfg = _NORM,
        act_cfg: LayerCfg = _ACT,
        se_cfg: Mapping[str, Any] = _SE,
        deploy: bool = False,
        norm_eval: bool = False,
        init_cfg: InitCfg | None = None,
        *,
        pretrained: str | None = None,
    ) -> None:
        default: InitCfg = [
            {"type": "Kaiming", "layer": ["Conv2d"]},
            {"type": "Constant", "val": 1, "layer": ["_BatchNorm"]},
        ]
        super().__init__(init_cfg or default, pretrained=pretrained, frozen_stages=frozen_stages, norm_eval=norm_eval)
        settings = _settings(arch, type(self).__name__)
        if conv_cfg not in (None, {"type": "Conv2d"}):
            raise ConfigError(f"{type(self).__name__}: conv_cfg must be None or dict(type='Conv2d'), got {conv_cfg!r}")
        if not out_indices or not all(0 <= index <= 3 for index in out_indices):
            raise ConfigError(
                f"{type(self).__name__}: out_indices must be stages from 0 to 3, got {tuple(out_indices)}"
            )
        self.in_channels, self.out_indices, self.deploy = in_channels, tuple(out_indices), deploy
        self.arch = settings
        shared: dict[str, Any] = {"norm_cfg": norm_cfg, "act_cfg": act_cfg, "deploy": deploy}
        channels = min(64, int(64 * settings["width_factor"][0]))
        self.stage0: nn.Module = MobileOneBlock(in_channels, channels, 3, 1, stride=2, **shared)
        widths = []
        self.stages = []
        columns = (settings[key] for key in ("num_blocks", "width_factor", "num_conv_branches", "num_se_blocks"))
        for number, (count, factor, branches, with_se) in enumerate(zip(*columns, strict=True)):
            width = int(_BASE[number] * factor)
            blocks = []
            for place in range(count):
                weighed: dict[str, Any] = {"se_cfg": se_cfg if place >= count - with_se else None, **shared}
                blocks += [
                    MobileOneBlock(channels, channels, 3, branches, 1 if place else 2, groups=channels, **weighed),
                    MobileOneBlock(channels, width, 1, branches, padding=0, **weighed),
                ]
                channels = width
            self.stages.append(f"stage{number + 1}")
            self.add_module(self.stages[-1], nn.Sequential(*blocks))
            widths.append(channels)
        given = tuple(widths[index] for index in sorted(self.out_indices))
        self.out_channels: int | tuple[int, ...] = given[0] if len(given) == 1 else given
        self.hold()

    def forward(self, x: Tensor) -> Any:
        check_frames(x, self.in_channels, type(self).__name__)
        x = self.stage0(x)
        outs = []
        for number, name in enumerate(self.stages):
            x = getattr(self, name)(x)
            if number in self.out_indices:
                outs.append(x)
        return outs[0] if len(outs) == 1 else tuple(outs)

    def parts_by_stage(self) -> list[list[nn.Module]]:
        """The stem, then each stage."""
        return [[self.stage0], *([self.get_submodule(name)] for name in self.stages)]

    def load_pretrained(self, path: str) -> None:
        """Load the weights of this network over images at `path`, whose blocks may be wrapped here."""
        load_backbone(self, path, is_image_network=True)

    def switch_to_deploy(self) -> Self:
        """Put one convolution in place of each block's branches: the same result in evaluation, in less time."""
        for module in self.modules():
            if isinstance(module, MobileOneBlock):
                module.switch_to_deploy()
        self.deploy = True
        return self


def _settings(arch: str | Mapping[str, Any], name: str) -> Mapping[str, Any]:
    if isinstance(arch, str):
        if arch not in ARCHITECTURES:
            raise ConfigError(f"{name}: arch must be one of {', '.join(ARCHITECTURES)}, or a dict, got {arch!r}")
        return ARCHITECTURES[arch]
    missing = ARCHITECTURES["s0"].keys() - arch.keys()
    if missing or any(len(arch[key]) != len(_BASE) for key in ARCHITECTURES["s0"]):
        raise ConfigError(
            f"{name}: arch must be a dict of {', '.join(ARCHITECTURES['s0'])}, each of four numbers, got {dict(arch)}"
        )
    return arch
