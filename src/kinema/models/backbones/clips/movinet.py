"""MoViNet: networks for mobile devices, which see a whole clip, or a stream whose state they carry on.

Names of weights are those of the PyTorch port of Atze00, whose files hold the authors' weights.

Source: MoViNets, Kondratyuk et al. 2021, arXiv:2103.11511; padding, gates and norms as in the
authors' TensorFlow code.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from kinema.checkpoints.file_formats import FileFormat
from kinema.errors import ConfigError
from kinema.models.backbones.base import Backbone
from kinema.models.init import InitCfg
from kinema.models.layers import LayerCfg
from kinema.models.layers.carried_state import CarriedState
from kinema.models.layers.inputs import check_clips
from kinema.models.layers.movinet_blocks import HARD_SIGMOID, HARD_SWISH, SIGMOID, SWISH, Block, ConvBlock, Style
from kinema.models.layers.recomputation import recomputed
from kinema.registry import MODELS
from kinema.spelling import suggestion


@dataclass(frozen=True)
class Stage:
    """Blocks of the same width; the first of them may halve rows and columns.

    Attributes:
        width: channels that each gives.
        expanded: channels inside each.
        kernels: of their depthwise convolutions, such as `"533"`: frames, rows and columns.
        stride: of the first block in space.
    """

    width: int
    expanded: tuple[int, ...]
    kernels: tuple[str, ...]
    stride: int = 2


@dataclass(frozen=True)
class Architecture:
    """Sizes of a network.

    Attributes:
        stem: channels of the first convolution.
        stages: see `Stage`.
        head: channels of the last convolution.
    """

    stem: int
    stages: tuple[Stage, ...]
    head: int


ARCHITECTURES = {
    "A0": Architecture(
        8,
        (
            Stage(8, (24,), ("155",)),
            Stage(32, (80, 80, 80), ("333",) * 3),
            Stage(56, (184, 112, 184), ("533", "333", "333")),
            Stage(56, (184,) * 4, ("533", "333", "333", "333"), 1),
            Stage(104, (384, 280, 280, 344), ("533", "155", "155", "155")),
        ),
        480,
    ),
    "A1": Architecture(
        16,
        (
            Stage(16, (40, 40), ("155", "333")),
            Stage(40, (96, 120, 96, 96), ("333",) * 4),
            Stage(64, (216, 128, 216, 168, 216), ("533", *["333"] * 4)),
            Stage(64, (216, 216, 216, 128, 128, 216), ("533", "333", "333", "333", "155", "333"), 1),
            Stage(136, (456, 360, 360, 360, 456, 456, 544), ("533", *["155"] * 4, "333", "133")),
        ),
        600,
    ),
    "A2": Architecture(
        16,
        (
            Stage(16, (40, 40, 64), ("155", "333", "333")),
            Stage(40, (96, 120, 96, 96, 120), ("333",) * 5),
            Stage(72, (240, 160, 240, 192, 240), ("533", *["333"] * 4)),
            Stage(72, (240, 240, 240, 240, 144, 240), ("533", "333", "333", "333", "155", "333"), 1),
            Stage(144, (480, 384, 384, 480, 480, 480, 576), ("533", *["155"] * 4, "333", "133")),
        ),
        640,
    ),
}


@MODELS.register_module()
class MoViNet(Backbone):
    """(B, C, T, H, W) float -> (B, C', T, H / 32, W / 32), sizes rounded up; T from 1 on; values from 0 to 1.

    Args:
        arch: `"A0"`, `"A1"` or `"A2"`, or an `Architecture`, also as a dict.
        causal: no frame sees those behind it, so that a stream can be computed piece by piece, see
            `CarriedState`.
        planar: convolutions over space and time are two; None: those of a causal network.
        in_channels: C.
        act_cfg: the activation; None: swish, the hard one of a planar network.
        gate_cfg: of squeeze and excitation; None: sigmoid, Keras' hard one of a planar network.
        norm_eps: of batch norms.
        with_cp: forget the activations of blocks in training and compute them again in the backward
            pass.
        norm_eval, bn_frozen, pretrained: see `Backbone`.
        init_cfg: replaces the initialisation.

    Attributes:
        out_channels: C'.
        carries_state: it takes a `CarriedState`.

    Raises:
        ConfigError: there is no such architecture.
    """

    file_formats = (
        FileFormat("MoViNet (PyTorch port)", nn.Module.state_dict, nn.Module.state_dict, of_head=r"^classifier\."),
    )
    unit_range = True

    def __init__(
        self,
        arch: str | Architecture | Mapping[str, Any] = "A0",
        *,
        causal: bool = False,
        planar: bool | None = None,
        in_channels: int = 3,
        act_cfg: LayerCfg | None = None,
        gate_cfg: LayerCfg | None = None,
        norm_eps: float = 1e-3,
        with_cp: bool = False,
        norm_eval: bool = False,
        bn_frozen: bool = False,
        pretrained: str | None = None,
        init_cfg: InitCfg | None = None,
    ) -> None:
        default: InitCfg = [
            {"type": "Kaiming", "layer": "Conv3d"},
            {"type": "Constant", "layer": "_BatchNorm", "val": 1},
        ]
        super().__init__(init_cfg or default, pretrained=pretrained, norm_eval=norm_eval, bn_frozen=bn_frozen)
        sizes = architecture(arch)
        planar = causal if planar is None else planar
        style = Style(
            causal,
            planar,
            norm_eps,
            act_cfg or (HARD_SWISH if planar else SWISH),
            gate_cfg or (HARD_SIGMOID if planar else SIGMOID),
        )
        self.in_channels = in_channels
        self.carries_state = causal
        self.with_cp = with_cp
        self.conv1 = ConvBlock(in_channels, sizes.stem, (1, 3, 3), style, stride=2)
        self.blocks = nn.ModuleDict()
        width = sizes.stem
        for number, stage in enumerate(sizes.stages):
            for place, (expanded, kernel) in enumerate(zip(stage.expanded, stage.kernels, strict=True)):
                frames, rows, columns = map(int, kernel)
                stride = stage.stride if place == 0 else 1
                block = Block(width, stage.width, expanded, (frames, rows, columns), stride, style)
                self.blocks[f"b{number}_l{place}"] = block
                width = stage.width
        self.conv7 = ConvBlock(width, sizes.head, (1, 1, 1), style)
        self.out_channels = sizes.head
        self.hold()

    def forward(self, x: Tensor, state: CarriedState | None = None) -> Tensor:
        """Features of clips, or of the next piece of streams.

        Args:
            x: (B, C, T, H, W).
            state: of the pieces before, which becomes that of the next; None: the clips are whole.

        Raises:
            ValueError: a state, of a network that is not causal, or of other streams.
            ConfigError: the clips have other channels.
        """
        check_clips(x, self.in_channels, "MoViNet")
        if state is not None:
            if not self.carries_state:
                raise ValueError(
                    "this MoViNet looks at frames behind, so it carries no state: build it with causal=True"
                )
            state.advance(x)
        x = self.conv1(x, state)
        for block in self.blocks.values():
            x = recomputed(block, block, x) if self.with_cp and x.requires_grad and state is None else block(x, state)
        return self.conv7(x, state)


def architecture(arch: str | Architecture | Mapping[str, Any]) -> Architecture:
    """The sizes that a name, or a dict, stands for.

    Raises:
        ConfigError: there is no such name, or the dict lacks something, or a stage has other blocks than
            kernels.
    """
    if isinstance(arch, Mapping):
        try:
            stages = tuple(
                Stage(stage["width"], tuple(stage["expanded"]), tuple(stage["kernels"]), stage.get("stride", 2))
                for stage in arch["stages"]
            )
            arch = Architecture(arch["stem"], stages, arch["head"])
        except KeyError as error:
            raise ConfigError(
                f"arch of MoViNet lacks {error}: it has stem, head and stages, of each width, expanded and kernels"
            ) from None
    if isinstance(arch, Architecture):
        for stage in arch.stages:
            if len(stage.expanded) != len(stage.kernels) or not all(map(_is_kernel, stage.kernels)):
                raise ConfigError(
                    "a stage of MoViNet has a kernel such as '533' (frames, rows, columns, odd) for each of its"
                    f" expanded widths, got {list(stage.kernels)} for {list(stage.expanded)}"
                )
        return arch
    if arch not in ARCHITECTURES:
        raise ConfigError(f"MoViNet has no arch {arch!r}: {suggestion(arch, ARCHITECTURES)}")
    return ARCHITECTURES[arch]


def _is_kernel(text: str) -> bool:
    """Three odd digits?"""
    return isinstance(text, str) and len(text) == 3 and all(digit in "13579" for digit in text)
