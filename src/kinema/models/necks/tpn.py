"""Temporal pyramid network: levels of a backbone, brought to one size and several speeds, joined both ways.

Source: TPN, Yang et al. 2020, arXiv:2004.03548, section 3. Layers, and so the names of weights, are
those of the original.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models.base import BaseModule
from kinema.models.init import InitCfg
from kinema.models.layers import ConvModule, LayerCfg
from kinema.models.transfers import onto
from kinema.registry import MODELS

Triple = Sequence[int]
Position = Literal["before", "after"]

_CONV: LayerCfg = {"type": "Conv3d"}
_NORM: LayerCfg = {"type": "BN3d", "requires_grad": True}
_RELU: LayerCfg = {"type": "ReLU", "inplace": True}
_INIT: InitCfg = [
    {"type": "Xavier", "layer": "Conv3d", "distribution": "uniform"},
    {"type": "Constant", "layer": "BatchNorm3d", "val": 1},
]
_GROUPS = 32
_OUT_CHANNELS = 2048


class _Pool(nn.MaxPool3d):
    """Maximum over blocks of (T, H, W); where a block is one value, nothing is copied."""

    def __init__(self, scale: Triple) -> None:
        super().__init__(tuple(scale), tuple(scale), 0, ceil_mode=True)
        self.is_identity = all(side == 1 for side in scale)

    def forward(self, x: Tensor) -> Tensor:
        return x if self.is_identity else super().forward(x)


class DownSample(nn.Module):
    """A convolution and a pooling.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: of the convolution, as all up to `act_cfg`; see `ConvModule`.
        stride: step.
        padding: zeros at each side.
        groups: groups of channels.
        bias: of the convolution.
        conv_cfg: type of the convolution.
        norm_cfg: norm; None: none.
        act_cfg: activation; None: none.
        downsample_position: of the pooling: `"before"` or `"after"` the convolution.
        downsample_scale: (T, H, W) of the pooling.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Triple = (3, 1, 1),
        stride: Triple = (1, 1, 1),
        padding: Triple = (1, 0, 0),
        groups: int = 1,
        bias: bool = False,
        conv_cfg: LayerCfg = _CONV,
        norm_cfg: LayerCfg | None = None,
        act_cfg: LayerCfg | None = None,
        downsample_position: Position = "after",
        downsample_scale: Triple = (1, 2, 2),
    ) -> None:
        super().__init__()
        if downsample_position not in ("before", "after"):
            raise ConfigError(f"downsample_position of TPN must be 'before' or 'after', got {downsample_position!r}")
        self.conv = ConvModule(
            in_channels,
            out_channels,
            tuple(kernel_size),
            tuple(stride),
            tuple(padding),
            groups=groups,
            bias=bias,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
        )
        self.downsample_position = downsample_position
        self.pool = _Pool(downsample_scale)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.pool(x)) if self.downsample_position == "before" else self.pool(self.conv(x))


class LevelFusion(nn.Module):
    """Levels of one size -> one.

    Args:
        in_channels: of the levels.
        mid_channels: of the levels before they are joined.
        out_channels: of the result.
        downsample_scales: (T, H, W) by which each level is pooled first.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        mid_channels: Sequence[int],
        out_channels: int,
        downsample_scales: Sequence[Triple] = ((1, 1, 1), (1, 1, 1)),
    ) -> None:
        super().__init__()
        self.downsamples = nn.ModuleList(
            DownSample(
                channels,
                mid,
                (1, 1, 1),
                padding=(0, 0, 0),
                groups=_GROUPS,
                norm_cfg=_NORM,
                act_cfg=_RELU,
                downsample_position="before",
                downsample_scale=scale,
            )
            for channels, mid, scale in zip(in_channels, mid_channels, downsample_scales, strict=True)
        )
        self.fusion_conv = ConvModule(sum(mid_channels), out_channels, 1, conv_cfg=_CONV, norm_cfg=_NORM)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        parts = [downsample(level) for downsample, level in zip(self.downsamples, levels, strict=True)]
        return self.fusion_conv(torch.cat(parts, 1))


class SpatialModulation(nn.Module):
    """Bring the levels to the channels and the size of the last one, by steps of two.

    Args:
        in_channels: of the levels.
        out_channels: of the results.
    """

    def __init__(self, in_channels: Sequence[int], out_channels: int) -> None:
        super().__init__()
        self.spatial_modulation = nn.ModuleList(
            nn.Sequential(
                *(_halve(channels << step) for step in range(max(0, (out_channels // channels).bit_length() - 1)))
            )
            for channels in in_channels
        )

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        return [modulate(level) for modulate, level in zip(self.spatial_modulation, levels, strict=True)]


def _halve(channels: int) -> ConvModule:
    """Half the height and width, twice the channels."""
    return ConvModule(
        channels, 2 * channels, (1, 3, 3), (1, 2, 2), (0, 1, 1), bias=False, conv_cfg=_CONV, norm_cfg=_NORM
    )


class TemporalModulation(nn.Module):
    """Give a level its speed: look at three frames, then keep the maximum of every `downsample_scale` frames.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        downsample_scale: see above.
    """

    def __init__(self, in_channels: int, out_channels: int, downsample_scale: int = 8) -> None:
        super().__init__()
        self.conv = ConvModule(
            in_channels,
            out_channels,
            (3, 1, 1),
            padding=(1, 0, 0),
            groups=_GROUPS,
            bias=False,
            conv_cfg=_CONV,
            act_cfg=None,
        )
        self.pool = _Pool((downsample_scale, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(self.conv(x))


class AuxHead(BaseModule):
    """A classifier on a level in the middle of the backbone, for training only.

    Args:
        in_channels: C of the level.
        out_channels: number of classes, N.
        loss_weight: factor of the loss.
        loss_cls: loss, or its config; default: cross entropy.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        loss_weight: float = 0.5,
        loss_cls: nn.Module | Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__([*_INIT, {"type": "Normal", "layer": "Linear", "std": 0.01}])
        self.conv = _halve(in_channels)
        self.loss_weight = loss_weight
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(2 * in_channels, out_channels)
        loss_cls = {"type": "CrossEntropyLoss"} if loss_cls is None else loss_cls
        self.loss_cls: nn.Module = MODELS.build(loss_cls) if isinstance(loss_cls, Mapping) else loss_cls

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, N)."""
        return self.fc(self.dropout(self.conv(x).mean((2, 3, 4))))

    def loss(self, x: Tensor, data_samples: Sequence[Any]) -> dict[str, Tensor]:
        """`loss_aux` of B * V views for the labels of B samples."""
        labels = onto(torch.stack([sample.gt_label for sample in data_samples]), x.device)
        labels = labels[:, 0] if labels.shape[1:] == (1,) else labels
        labels = labels.repeat_interleave(len(x) // len(labels), dim=0)
        return {"loss_aux": self.loss_weight * self.loss_cls(self(x), labels)}


@MODELS.register_module()
class TPN(BaseModule):
    """Levels (B, C_i, T, H_i, W_i) of a backbone -> (B, 2048, T', H', W'), and the loss of the auxiliary head.

    Args:
        in_channels: C_i.
        out_channels: channels of the pyramid.
        spatial_modulation_cfg: arguments of `SpatialModulation`.
        temporal_modulation_cfg: `downsample_scales`: by how much the frames of each level are
            fewer. None: no modulation.
        upsample_cfg: arguments of `torch.nn.Upsample` on the way from the last level to the first;
            None: that way is not.
        downsample_cfg: arguments of `DownSample` on the way back; None: that way is not.
        level_fusion_cfg: arguments of `LevelFusion`.
        aux_head_cfg: arguments of `AuxHead` on the last but one level; None: no head.
        flow_type: `"cascade"`: the way back starts from what the first way made; `"parallel"`: from
            what it started from.

    Attributes:
        out_channels: channels of the result, 2048.

    Raises:
        ConfigError: a wrong `flow_type`, missing settings, fewer than two levels, or (when called)
            other levels.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        spatial_modulation_cfg: Mapping[str, Any] | None = None,
        temporal_modulation_cfg: Mapping[str, Any] | None = None,
        upsample_cfg: Mapping[str, Any] | None = None,
        downsample_cfg: Mapping[str, Any] | None = None,
        level_fusion_cfg: Mapping[str, Any] | None = None,
        aux_head_cfg: Mapping[str, Any] | None = None,
        flow_type: Literal["cascade", "parallel"] = "cascade",
    ) -> None:
        super().__init__(_INIT)
        if flow_type not in ("cascade", "parallel"):
            raise ConfigError(f"flow_type of TPN must be 'cascade' or 'parallel', got {flow_type!r}")
        if spatial_modulation_cfg is None or level_fusion_cfg is None:
            raise ConfigError("TPN needs spatial_modulation_cfg and level_fusion_cfg")
        if len(in_channels) < 2:
            raise ConfigError(f"TPN joins two levels or more, got in_channels={tuple(in_channels)}")
        _check_settings(
            len(in_channels), out_channels, spatial_modulation_cfg, temporal_modulation_cfg, level_fusion_cfg
        )
        self.in_channels = tuple(in_channels)
        self.out_channels = _OUT_CHANNELS
        self.num_tpn_stages = len(in_channels)
        self.flow_type = flow_type
        self.temporal_modulation_ops = nn.ModuleList()
        self.upsample_ops = nn.ModuleList()
        self.downsample_ops = nn.ModuleList()
        self.level_fusion_1 = LevelFusion(**level_fusion_cfg)
        self.spatial_modulation = SpatialModulation(**spatial_modulation_cfg)
        for scale in temporal_modulation_cfg["downsample_scales"] if temporal_modulation_cfg else ():
            self.temporal_modulation_ops.append(TemporalModulation(self.in_channels[-1], out_channels, scale))
        for _ in range(self.num_tpn_stages - 1):
            if upsample_cfg is not None:
                self.upsample_ops.append(_upsample(upsample_cfg))
            if downsample_cfg is not None:
                self.downsample_ops.append(DownSample(out_channels, out_channels, **downsample_cfg))
        self.level_fusion_2 = LevelFusion(**level_fusion_cfg)
        joined = 2 * level_fusion_cfg["out_channels"]
        self.pyramid_fusion = ConvModule(joined, _OUT_CHANNELS, 1, bias=False, conv_cfg=_CONV, norm_cfg=_NORM)
        self.aux_head = None if aux_head_cfg is None else AuxHead(self.in_channels[-2], **aux_head_cfg)

    def forward(
        self, x: Sequence[Tensor], data_samples: Sequence[Any] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Join the levels; with `data_samples`, which have `gt_label`, there is `loss_aux` if there is that head."""
        self._check_levels(x)
        losses = {}
        if self.aux_head is not None and data_samples is not None:
            losses = self.aux_head.loss(x[-2], data_samples)
        levels = self.spatial_modulation(x)
        if len(self.temporal_modulation_ops):
            levels = [modulate(level) for modulate, level in zip(self.temporal_modulation_ops, levels, strict=True)]
        outs = list(levels)
        for index in range(len(self.upsample_ops), 0, -1):
            outs[index - 1] = outs[index - 1] + self.upsample_ops[index - 1](outs[index])
        top_down = self.level_fusion_1(outs)
        outs = outs if self.flow_type == "cascade" else list(levels)
        for index, downsample in enumerate(self.downsample_ops):
            outs[index + 1] = outs[index + 1] + downsample(outs[index])
        bottom_up = self.level_fusion_2(outs)
        return self.pyramid_fusion(torch.cat([top_down, bottom_up], 1)), losses

    def _check_levels(self, x: Sequence[Tensor]) -> None:
        channels = None if isinstance(x, Tensor) else tuple(level.shape[1] for level in x)
        if channels != self.in_channels:
            what = f"levels of {channels} channels" if channels else "one level"
            raise ConfigError(
                f"TPN was built with in_channels={self.in_channels}, but the backbone gives {what}: set out_indices of"
                " the backbone and in_channels of the neck so that they agree"
            )


def _check_settings(
    count: int,
    out_channels: int,
    spatial: Mapping[str, Any],
    temporal: Mapping[str, Any] | None,
    fusion: Mapping[str, Any],
) -> None:
    """Do the settings speak of the same levels, and of the channels that these have on their way?"""
    if temporal is None and spatial["out_channels"] != out_channels:
        raise ConfigError(
            f"out_channels={out_channels} of TPN must be that of spatial_modulation_cfg, {spatial['out_channels']},"
            " where there is no temporal_modulation_cfg to change it"
        )
    if temporal is not None and len(temporal["downsample_scales"]) != count:
        raise ConfigError(
            f"downsample_scales of TPN has {len(temporal['downsample_scales'])} entries for the {count} levels of"
            " in_channels"
        )
    if tuple(fusion["in_channels"]) != (out_channels,) * count:
        raise ConfigError(
            f"in_channels of level_fusion_cfg of TPN must be {(out_channels,) * count}, out_channels for each level,"
            f" got {tuple(fusion['in_channels'])}"
        )


def _upsample(cfg: Mapping[str, Any]) -> nn.Module:
    """`torch.nn.Upsample`, which takes tuples only; nothing where it would only copy."""
    settings: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in cfg.items()}
    scale = settings.get("scale_factor")
    copies = all(part == 1 for part in scale) if isinstance(scale, tuple) else scale == 1
    return nn.Identity() if copies else nn.Upsample(**settings)
