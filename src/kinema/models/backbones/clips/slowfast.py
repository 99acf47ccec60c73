"""SlowFast: a slow pathway of few frames and many channels beside a fast, thin one; and SlowOnly.

Source: SlowFast Networks, Feichtenhofer et al. 2019, arXiv:1812.03982, table 1 and section 3.3
(time-strided convolutions as lateral connections).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from kinema.arguments import takes_arguments_of
from kinema.errors import ConfigError
from kinema.models.backbones.base import Backbone
from kinema.models.backbones.clips.resnet3d import ClipResNet, Pattern, ResNet3dArguments
from kinema.models.init import InitCfg
from kinema.models.layers import ConvModule
from kinema.models.layers.inputs import check_clips
from kinema.registry import MODELS


class LateralArguments(NamedTuple):
    """OpenMMLab's arguments of a pathway, in its order.

    Args:
        lateral: there is a faster pathway.
        lateral_inv: the other pathway is the slower one; has no effect where `lateral` is False.
        lateral_norm: a norm and an activation follow the lateral convolutions.
        speed_ratio: how many times as many frames the faster pathway sees.
        channel_ratio: how many times fewer channels it has.
        fusion_kernel: frames that a lateral convolution spans.
        lateral_infl: channels of a lateral connection per channel of the faster pathway.
        lateral_activate: for each stage, whether it receives a lateral connection.
    """

    lateral: bool = False
    lateral_inv: bool = False
    lateral_norm: bool = False
    speed_ratio: int = 8
    channel_ratio: int = 8
    fusion_kernel: int = 5
    lateral_infl: int = 2
    lateral_activate: Sequence[int] = (1, 1, 1, 1)

    def connection(self, channels: int, network: ResNet3dArguments) -> ConvModule:
        """(B, channels, T * speed_ratio, H, W) -> (B, channels * lateral_infl, T, H, W)."""
        return ConvModule(
            channels,
            channels * self.lateral_infl,
            (self.fusion_kernel, 1, 1),
            stride=(self.speed_ratio, 1, 1),
            padding=((self.fusion_kernel - 1) // 2, 0, 0),
            bias=False,
            conv_cfg=network.conv_cfg,
            norm_cfg=network.norm_cfg if self.lateral_norm else None,
            act_cfg=network.act_cfg if self.lateral_norm else None,
        )


class PathwayNetwork(ClipResNet):
    """A `ClipResNet` that may receive the features of a faster pathway at every stage.

    Args:
        lateral: how it receives them.
        arguments: of the network.

    Attributes:
        lateral_connections: names of the connections to the stages after the first.

    Raises:
        ConfigError: as `ClipResNet`; `lateral_inv`, or too few entries of `lateral_activate`.
    """

    def __init__(self, lateral: LateralArguments, arguments: ResNet3dArguments) -> None:
        network = type(self).__name__
        if lateral.lateral and lateral.lateral_inv:
            raise ConfigError(f"{network} can receive the features of a faster pathway only: set lateral_inv=False")
        block, stage_blocks = arguments.architecture(network, self.arch_settings)
        active = tuple(bool(receives) and lateral.lateral for receives in lateral.lateral_activate)
        if len(active) < len(stage_blocks):
            raise ConfigError(
                f"lateral_activate={tuple(lateral.lateral_activate)} of {network} has {len(active)} entries for "
                f"{len(stage_blocks)} stages"
            )
        factors = [1, *(2**stage * block.expansion for stage in range(len(stage_blocks) - 1))]
        inputs = [arguments.base_channels * factor for factor in factors]
        fast = [
            channels // lateral.channel_ratio * receives for channels, receives in zip(inputs, active, strict=False)
        ]
        received = [channels * lateral.lateral_infl for channels in fast]
        super().__init__(arguments, arguments.parts(network, self.arch_settings, received=received))
        self.lateral = lateral.lateral
        self.lateral_activate = active
        self.lateral_norm = lateral.lateral_norm
        self.fusion_kernel = lateral.fusion_kernel
        self.speed_ratio = lateral.speed_ratio
        self.channel_ratio = lateral.channel_ratio
        self.lateral_infl = lateral.lateral_infl
        self.stage_inputs = tuple(inputs)
        for stage, channels in enumerate(fast):
            if active[stage]:
                self.add_module(lateral_name(stage), lateral.connection(channels, arguments))
        self.lateral_connections = [lateral_name(stage) for stage in range(1, self.num_stages) if active[stage]]
        self.hold()

    def lateral_inputs(self, stage: int) -> int:
        """Channels of the faster pathway in front of a stage."""
        return self.stage_inputs[stage] // self.channel_ratio

    def connect(self, stage: int, slow: Tensor, fast: Tensor) -> Tensor:
        """Input of a stage: own features, and beside them those received of the faster pathway."""
        if not self.lateral_activate[stage]:
            return slow
        return torch.cat([slow, getattr(self, lateral_name(stage))(fast)], dim=1)

    def parts_by_stage(self) -> list[list[nn.Module]]:
        """The stem, then each stage and the connection that takes the features beside its own."""
        parts = super().parts_by_stage()
        for stage in range(1, self.num_stages):
            connection = self._modules.get(lateral_name(stage))
            parts[stage] += [] if connection is None else [connection]
        return parts


def lateral_name(stage: int) -> str:
    """Name of the connection that feeds a stage: `conv1_lateral`, `layer1_lateral`, ..."""
    return f"layer{stage}_lateral" if stage else "conv1_lateral"


def _taken(settings: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Those of `settings` that have these names; they are removed there."""
    return {name: settings.pop(name) for name in names if name in settings}


@MODELS.register_module(name=["ResNet3dPathway", "resnet3d"])
class ResNet3dPathway(PathwayNetwork):
    """A `ResNet3d` that may receive the features of a faster pathway at every stage.

    Args:
        *args: see `LateralArguments`.
        **settings: the same by name, and arguments of `ResNet3dArguments`.

    Raises:
        ConfigError: as `ResNet3d`; `lateral_inv`, or too few entries of `lateral_activate`.
    """

    @takes_arguments_of(LateralArguments, ResNet3dArguments)
    def __init__(self, *args: Any, **settings: Any) -> None:
        lateral = LateralArguments(*args, **_taken(settings, LateralArguments._fields))
        super().__init__(lateral, ResNet3dArguments(**settings))


@MODELS.register_module()
class ResNet3dSlowOnly(PathwayNetwork):
    """The slow pathway alone: (B, C, T, H, W) -> (B, out_channels, T, H/32, W/32).

    Time is convolved in late stages only.

    Args:
        conv1_kernel: kernel of the stem over frames, height and width.
        conv1_stride_t: step of the stem over frames.
        pool1_stride_t: step of its pooling over frames.
        inflate: stages whose kernels span three frames.
        with_pool2: halve the frames after the first stage.
        **settings: further arguments of `ResNet3dArguments`, and of `LateralArguments`.

    Raises:
        ConfigError: as `ResNet3d`; `lateral` is True.
    """

    @takes_arguments_of(LateralArguments, ResNet3dArguments)
    def __init__(
        self,
        conv1_kernel: Sequence[int] = (1, 7, 7),
        conv1_stride_t: int = 1,
        pool1_stride_t: int = 1,
        inflate: Pattern = (0, 0, 1, 1),
        with_pool2: bool = False,
        **settings: Any,
    ) -> None:
        if settings.get("lateral"):
            raise ConfigError(
                "ResNet3dSlowOnly has no second pathway to receive features from: set lateral=False, or take"
                " ResNet3dSlowFast"
            )
        lateral = LateralArguments(**_taken(settings, LateralArguments._fields))
        arguments = ResNet3dArguments(
            conv1_kernel=conv1_kernel,
            conv1_stride_t=conv1_stride_t,
            pool1_stride_t=pool1_stride_t,
            inflate=inflate,
            with_pool2=with_pool2,
            **settings,
        )
        super().__init__(lateral, arguments)


SLOW_PATHWAY: Mapping[str, Any] = {
    "type": "resnet3d",
    "depth": 50,
    "pretrained": None,
    "lateral": True,
    "conv1_kernel": (1, 7, 7),
    "dilations": (1, 1, 1, 1),
    "conv1_stride_t": 1,
    "pool1_stride_t": 1,
    "inflate": (0, 0, 1, 1),
}
FAST_PATHWAY: Mapping[str, Any] = {
    "type": "resnet3d",
    "depth": 50,
    "pretrained": None,
    "lateral": False,
    "base_channels": 8,
    "conv1_kernel": (5, 7, 7),
    "conv1_stride_t": 1,
    "pool1_stride_t": 1,
}


@MODELS.register_module()
class ResNet3dSlowFast(Backbone):
    """(B, C, T, H, W) -> (B, 2048, T / resample_rate, H/32, W/32), (B, 256, T', H/32, W/32).

    These are the slow and the fast features. T' = T * speed_ratio / resample_rate. Both pathways
    pool after the stem and never after the first stage, as the published networks do: their
    `with_pool1` and `with_pool2` have no effect.

    Args:
        pretrained: checkpoint of the whole network that `init_weights` loads.
        resample_rate: the slow pathway sees every such frame.
        speed_ratio: how many times as many frames the fast pathway sees.
        channel_ratio: how many times fewer channels it has.
        slow_pathway: config of a `ResNet3dPathway` (type `resnet3d`).
        fast_pathway: another.
        init_cfg: see `BaseModule`.

    Attributes:
        out_channels: channels of the slow and of the fast features.

    Raises:
        ConfigError: the pathways do not fit each other.
    """

    def __init__(
        self,
        pretrained: str | None = None,
        resample_rate: int = 8,
        speed_ratio: int = 8,
        channel_ratio: int = 8,
        slow_pathway: Mapping[str, Any] = SLOW_PATHWAY,
        fast_pathway: Mapping[str, Any] = FAST_PATHWAY,
        init_cfg: InitCfg | None = None,
    ) -> None:
        super().__init__(init_cfg, pretrained=pretrained)
        if speed_ratio < 1 or resample_rate % speed_ratio:
            raise ConfigError(
                f"resample_rate={resample_rate} of ResNet3dSlowFast must be a multiple of speed_ratio={speed_ratio}:"
                " the fast pathway sees one of resample_rate / speed_ratio frames"
            )
        if fast_pathway.get("lateral"):
            raise ConfigError(
                "fast_pathway of ResNet3dSlowFast has lateral=True, but receives no features: only slow_pathway may"
                " have it"
            )
        slow = dict(slow_pathway)
        if slow.get("lateral"):
            slow |= {"speed_ratio": speed_ratio, "channel_ratio": channel_ratio}
        self.resample_rate = resample_rate
        self.speed_ratio = speed_ratio
        self.channel_ratio = channel_ratio
        self.slow_path = _pathway("slow_pathway", slow)
        self.fast_path = _pathway("fast_pathway", fast_pathway)
        self._check_laterals()
        self.out_channels = (self.slow_path.feat_dim, self.fast_path.feat_dim)

    def _check_laterals(self) -> None:
        if self.slow_path.num_stages != self.fast_path.num_stages:
            raise ConfigError(
                f"the pathways of ResNet3dSlowFast must have equally many stages, got {self.slow_path.num_stages} slow"
                f" and {self.fast_path.num_stages} fast ones"
            )
        for stage in range(self.slow_path.num_stages):
            given = self.fast_path.stage_inputs[stage]
            expected = self.slow_path.lateral_inputs(stage)
            if self.slow_path.lateral_activate[stage] and given != expected:
                raise ConfigError(
                    f"the fast pathway gives {given} channels to stage {stage + 1} of the slow one, which expects"
                    f" {expected}: set base_channels of fast_pathway to {self.slow_path.base_channels} / channel_ratio,"
                    " or channel_ratio to their quotient, and let both have blocks of one kind"
                )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        slow_path, fast_path = self.slow_path, self.fast_path
        check_clips(x, slow_path.in_channels, "ResNet3dSlowFast")
        self._check_frames(x.shape[2])
        slow = slow_path.stem(x[:, :, :: self.resample_rate])
        fast = fast_path.stem(x[:, :, :: self.resample_rate // self.speed_ratio])
        for stage, name in enumerate(slow_path.res_layers):
            slow = getattr(slow_path, name)(slow_path.connect(stage, slow, fast))
            fast = getattr(fast_path, name)(fast)
        return slow, fast

    def _check_frames(self, frames: int) -> None:
        if frames % self.resample_rate:
            raise ConfigError(
                f"the clips have {frames} frames, but ResNet3dSlowFast takes one of resample_rate={self.resample_rate}:"
                f" set clip_len to a multiple of {self.resample_rate}"
            )


def _pathway(what: str, cfg: Mapping[str, Any]) -> PathwayNetwork:
    pathway = MODELS.build({**cfg, "with_pool1": True})
    if not isinstance(pathway, PathwayNetwork):
        raise ConfigError(f"{what} of ResNet3dSlowFast must be of type 'resnet3d', got {type(pathway).__name__}")
    return pathway
