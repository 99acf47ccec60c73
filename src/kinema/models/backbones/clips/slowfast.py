"""SlowFast: a slow pathway sees few frames with many channels, a fast one many frames with few; and SlowOnly.

Source: SlowFast Networks, Feichtenhofer et al. 2019, arXiv:1812.03982, table 1 and section 3.3 (time-strided convolutions as
lateral connections).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from kinema.checkpoints.pretrained import load_backbone
from kinema.errors import ConfigError
from kinema.models.backbones.clips.resnet3d import Pattern, ResNet3d, takes_arguments_of
from kinema.models.base import BaseModule
from kinema.models.init import InitCfg
from kinema.models.init_report import InitReport
from kinema.models.layers import ConvModule, freeze
from kinema.models.layers.cpu_convolution import arrange, best_layout
from kinema.models.layers.inputs import check_clips
from kinema.registry import MODELS


@MODELS.register_module(name=["ResNet3dPathway", "resnet3d"])
class ResNet3dPathway(ResNet3d):
    """A `ResNet3d` that may receive the features of a faster pathway, beside its own, at every stage.

    Args:
        lateral: there is a faster pathway.
        lateral_inv: the other pathway is the slower one; is taken for the sake of configs where `lateral` is False.
        lateral_norm: a norm and an activation follow the lateral convolutions.
        speed_ratio: how many times as many frames the faster pathway sees.
        channel_ratio: how many times fewer channels it has.
        fusion_kernel: frames that a lateral convolution spans.
        lateral_infl: channels of a lateral connection per channel of the faster pathway.
        lateral_activate: for each stage, whether it receives a lateral connection.
        **settings: arguments of `ResNet3d`.

    Raises:
        ConfigError: as `ResNet3d`; `lateral_inv`, or too few entries of `lateral_activate`.
    """

    @takes_arguments_of(ResNet3d)
    def __init__(
        self,
        lateral: bool = False,
        lateral_inv: bool = False,
        lateral_norm: bool = False,
        speed_ratio: int = 8,
        channel_ratio: int = 8,
        fusion_kernel: int = 5,
        lateral_infl: int = 2,
        lateral_activate: Sequence[int] = (1, 1, 1, 1),
        **settings: Any,
    ) -> None:
        if lateral and lateral_inv:
            raise ConfigError(
                f"{type(self).__name__} can receive the features of a faster pathway only: set lateral_inv=False"
            )
        # `ResNet3d` asks for these while it is built.
        self.lateral = lateral
        self.channel_ratio = channel_ratio
        self.lateral_infl = lateral_infl
        self.lateral_activate = tuple(bool(one) and lateral for one in lateral_activate)
        super().__init__(**settings)
        if len(self.lateral_activate) < self.num_stages:
            raise ConfigError(
                f"lateral_activate={tuple(lateral_activate)} of {type(self).__name__} has {len(lateral_activate)} entries "
                f"for {self.num_stages} stages"
            )
        self.speed_ratio = speed_ratio
        norm_cfg, act_cfg = (self.norm_cfg, self.act_cfg) if lateral_norm else (None, None)
        for stage, receives in enumerate(self.lateral_activate[: self.num_stages]):
            if receives:
                channels = self.lateral_inputs(stage)
                connection = ConvModule(
                    channels,
                    channels * lateral_infl,
                    (fusion_kernel, 1, 1),
                    stride=(speed_ratio, 1, 1),
                    padding=((fusion_kernel - 1) // 2, 0, 0),
                    bias=False,
                    conv_cfg=self.conv_cfg,
                    norm_cfg=norm_cfg,
                    act_cfg=act_cfg,
                )
                self.add_module(lateral_name(stage), connection)
        self._freeze_stages()

    def lateral_inputs(self, stage: int) -> int:
        """Channels of the faster pathway in front of a stage."""
        width = self.base_channels * (1 if stage == 0 else 2 ** (stage - 1) * self.block.expansion)
        return width // self.channel_ratio

    def _lateral_channels(self, stage: int, inplanes: int) -> int:
        if not (self.lateral and stage < len(self.lateral_activate) and self.lateral_activate[stage]):
            return 0
        return inplanes // self.channel_ratio * self.lateral_infl

    def connect(self, stage: int, slow: Tensor, fast: Tensor) -> Tensor:
        """Input of a stage: own features, and those of the faster pathway beside them where the stage receives them."""
        if not self.lateral_activate[stage]:
            return slow
        return torch.cat([slow, self._modules[lateral_name(stage)](fast)], dim=1)  # type: ignore[misc]

    def _freeze_stages(self) -> None:
        super()._freeze_stages()
        fed = range(1, min(self.frozen_stages + 1, self.num_stages))
        connections = [self._modules.get(lateral_name(stage)) for stage in fed]
        freeze([one for one in connections if one is not None])


def lateral_name(stage: int) -> str:
    """Name of the connection that feeds a stage, after the features that it takes: `conv1_lateral`, `layer1_lateral`, ..."""
    return f"layer{stage}_lateral" if stage else "conv1_lateral"


@MODELS.register_module()
class ResNet3dSlowOnly(ResNet3dPathway):
    """The slow pathway alone: (B, C, T, H, W) -> (B, out_channels, T, H/32, W/32). Time is convolved in late stages only.

    Args:
        conv1_kernel: see `ResNet3d`, as all others.
        conv1_stride_t: step of the stem over frames.
        pool1_stride_t: step of its pooling over frames.
        inflate: stages whose kernels span three frames.
        with_pool2: halve the frames after the first stage.
        **settings: arguments of `ResNet3dPathway` and `ResNet3d`.

    Raises:
        ConfigError: as `ResNet3d`; `lateral` is True.
    """

    @takes_arguments_of(ResNet3dPathway)
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
                "ResNet3dSlowOnly has no second pathway to receive features from: set lateral=False, or take ResNet3dSlowFast"
            )
        super().__init__(
            conv1_kernel=conv1_kernel,
            conv1_stride_t=conv1_stride_t,
            pool1_stride_t=pool1_stride_t,
            inflate=inflate,
            with_pool2=with_pool2,
            **settings,
        )


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
class ResNet3dSlowFast(BaseModule):
    """(B, C, T, H, W) -> slow (B, 2048, T / resample_rate, H/32, W/32) and fast (B, 256, T' , H/32, W/32) features.

    T' = T * speed_ratio / resample_rate. Both pathways pool after the stem and never after the first stage, as the published
    networks do: their `with_pool1` and `with_pool2` change nothing.

    Args:
        pretrained: checkpoint of the whole network that `init_weights` loads.
        resample_rate: the slow pathway sees one of this many frames.
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
        super().__init__(init_cfg)
        if speed_ratio < 1 or resample_rate % speed_ratio:
            raise ConfigError(
                f"resample_rate={resample_rate} of ResNet3dSlowFast must be a multiple of speed_ratio={speed_ratio}: the fast "
                "pathway sees one of resample_rate / speed_ratio frames"
            )
        if fast_pathway.get("lateral"):
            raise ConfigError(
                "fast_pathway of ResNet3dSlowFast has lateral=True, but receives no features: only slow_pathway may have it"
            )
        slow = dict(slow_pathway)
        if slow.get("lateral"):
            slow |= {"speed_ratio": speed_ratio, "channel_ratio": channel_ratio}
        self.pretrained = pretrained
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
                f"the pathways of ResNet3dSlowFast must have equally many stages, got {self.slow_path.num_stages} slow and "
                f"{self.fast_path.num_stages} fast ones"
            )
        for stage in range(self.slow_path.num_stages):
            given = self.fast_path.base_channels
            given *= 1 if stage == 0 else 2 ** (stage - 1) * self.fast_path.block.expansion
            expected = self.slow_path.lateral_inputs(stage)
            if self.slow_path.lateral_activate[stage] and given != expected:
                raise ConfigError(
                    f"the fast pathway gives {given} channels to stage {stage + 1} of the slow one, which expects {expected}: "
                    f"set base_channels of fast_pathway to {self.slow_path.base_channels} / channel_ratio, or channel_ratio "
                    "to their quotient, and let both have blocks of one kind"
                )

    def _init_weights(self, report: InitReport) -> None:
        super()._init_weights(report)
        if self.pretrained:
            load_backbone(self, self.pretrained)
            report.credit(self, f"loaded from {self.pretrained}")

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        slow_path, fast_path = self.slow_path, self.fast_path
        check_clips(x, slow_path.in_channels, "ResNet3dSlowFast")
        self._check_frames(x.shape[2])
        layout = best_layout(x, self)
        slow = slow_path.stem(arrange(x[:, :, :: self.resample_rate], layout))
        fast = fast_path.stem(arrange(x[:, :, :: self.resample_rate // self.speed_ratio], layout))
        for stage, name in enumerate(slow_path.res_layers):
            slow = slow_path._modules[name](slow_path.connect(stage, slow, fast))  # type: ignore[misc]
            fast = fast_path._modules[name](fast)  # type: ignore[misc]
        return slow, fast

    def _check_frames(self, frames: int) -> None:
        if frames % self.resample_rate:
            raise ConfigError(
                f"the clips have {frames} frames, but ResNet3dSlowFast takes one of resample_rate={self.resample_rate}: set "
                f"clip_len to a multiple of {self.resample_rate}"
            )


def _pathway(what: str, cfg: Mapping[str, Any]) -> ResNet3dPathway:
    pathway = MODELS.build({**cfg, "with_pool1": True})
    if not isinstance(pathway, ResNet3dPathway):
        raise ConfigError(f"{what} of ResNet3dSlowFast must be of type 'resnet3d', got {type(pathway).__name__}")
    return pathway
