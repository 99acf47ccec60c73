"""Hiera: a plain hierarchical transformer; tokens are pooled, not shifted, merged or biased.

The clip is cut into mask units, and the tokens of each are ordered so that those that a pooling
joins stand side by side: pooling, and attention inside a unit, are then views of memory. The
published code orders them with the unit varying fastest; here it varies slowest, (B, units, tokens
of a unit, C). Tokens are the same, so nothing but `stage_maps` sees the order.

Source: Hiera, Ryali et al. 2023, arXiv:2306.00989.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kinema.checkpoints.file_formats import FileFormat, Views
from kinema.checkpoints.reading import State
from kinema.errors import ConfigError
from kinema.models.backbones.base import Backbone
from kinema.models.backbones.tokens.hiera_layers import Block, PatchEmbed, Size, reroll, unroll
from kinema.models.features import TokenMaps
from kinema.models.init import InitCfg
from kinema.models.layers import LayerCfg
from kinema.models.layers.bricks.drop import rising_rates
from kinema.models.layers.by_name import build_norm_layer
from kinema.models.layers.inputs import check_clips
from kinema.models.layers.positions import PositionTable
from kinema.models.layers.recomputation import recomputed
from kinema.models.layers.settings import check_positive, check_rates, check_several, check_sizes, check_triple, sides
from kinema.registry import MODELS


def _with_norm(weights: State, views: Views) -> State:
    """Weights of masked autoencoding have no norm of the pooled tokens, which then starts as a new one does."""
    if "decoder_pos_embed" not in weights:
        return weights
    new = {"norm.weight": torch.ones_like, "norm.bias": torch.zeros_like}
    return {**{name: fill(views[name]) for name, fill in new.items() if name in views}, **weights}


@MODELS.register_module()
class Hiera(Backbone):
    """(B, C, T, H, W) float -> (B, E), the norm of the mean of the tokens of the last stage.

    Args:
        img_size: pixels of the clips at each side, or (H, W).
        num_frames: T.
        in_channels: C.
        embed_dims: channels of the first stage.
        num_heads: heads of the first stage, which divide its channels.
        stages: blocks of each stage.
        q_pool: how many stages, from the second on, pool their tokens as they begin.
        q_stride: tokens that a pooling joins, along frames, rows and columns.
        mask_unit_size: tokens of a mask unit along these: `q_stride` to the power of the number of
            stages but one.
        mask_unit_attn: of each stage: do tokens look at their mask unit only? The first block of a
            stage still does as the stage before.
        dim_mul: from stage to stage, the channels are so many times more.
        head_mul: likewise of the heads.
        patch_kernel, patch_stride, patch_padding: of the convolution that makes the tokens, along
            frames, rows and columns.
        mlp_ratio: hidden channels of a block, as a multiple of its channels.
        qkv_bias: queries, keys and values have a bias.
        drop_path_rate: probability that a sample does without a branch of the last block; it rises
            from 0 over the blocks.
        sep_pos_embed: positions in space and in time are tables of their own, which are added; else
            there is one of all tokens.
        norm_cfg: of all norms.
        act_cfg: of the blocks.
        interpolate_positions: tables of positions in files that are for clips of another size are
            stretched, cubic in space and linear in time; else such files are an error.
        with_cp: forget the activations of blocks in training and compute them again in the backward
            pass.
        pretrained: checkpoint that `init_weights` loads.
        init_cfg: replaces the initialisation.

    Attributes:
        out_channels: E.
        widths: channels of each stage.

    Raises:
        ConfigError: the arguments of stages do not fit one another, or sizes do not divide.
    """

    file_formats = (
        FileFormat(
            "Hiera of Meta",
            nn.Module.state_dict,
            lambda head: {f"head.projection.{name}": tensor for name, tensor in head.fc_cls.state_dict().items()},  # type: ignore[union-attr]
            spare=r"^(decoder_|mask_token$|multi_scale_fusion_heads\.|encoder_norm\.)",
            convert=_with_norm,
        ),
    )

    def __init__(
        self,
        img_size: int | Sequence[int] = 224,
        num_frames: int = 16,
        *,
        in_channels: int = 3,
        embed_dims: int = 96,
        num_heads: int = 1,
        stages: Sequence[int] = (2, 3, 16, 3),
        q_pool: int = 3,
        q_stride: Sequence[int] = (1, 2, 2),
        mask_unit_size: Sequence[int] = (1, 8, 8),
        mask_unit_attn: Sequence[bool] = (True, True, False, False),
        dim_mul: float = 2.0,
        head_mul: float = 2.0,
        patch_kernel: Sequence[int] = (3, 7, 7),
        patch_stride: Sequence[int] = (2, 4, 4),
        patch_padding: Sequence[int] = (1, 3, 3),
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        drop_path_rate: float = 0.0,
        sep_pos_embed: bool = True,
        norm_cfg: LayerCfg | None = None,
        act_cfg: LayerCfg | None = None,
        interpolate_positions: bool = False,
        with_cp: bool = False,
        pretrained: str | None = None,
        init_cfg: InitCfg | None = None,
    ) -> None:
        default: InitCfg = [
            {"type": "TruncNormal", "layer": ["Linear", "Conv3d"], "std": 0.02, "bias": 0.02},
            {"type": "Constant", "layer": "LayerNorm", "val": 1.0, "bias": 0.02},
        ]
        super().__init__(init_cfg or default, pretrained=pretrained)
        check_sizes(
            "Hiera",
            num_frames=num_frames,
            in_channels=in_channels,
            embed_dims=embed_dims,
            num_heads=num_heads,
        )
        check_several("Hiera", stages=stages)
        check_triple(
            "Hiera",
            q_stride=q_stride,
            mask_unit_size=mask_unit_size,
            patch_kernel=patch_kernel,
            patch_stride=patch_stride,
        )
        check_triple("Hiera", lowest=0, patch_padding=patch_padding)
        check_sizes("Hiera", lowest=0, q_pool=q_pool)
        check_rates("Hiera", drop_path_rate=drop_path_rate)
        check_positive("Hiera", dim_mul=dim_mul, head_mul=head_mul, mlp_ratio=mlp_ratio)
        rows, columns = sides("Hiera", "img_size", img_size)
        self.in_channels = in_channels
        self.input_size: Size = (num_frames, rows, columns)
        self.stages = tuple(stages)
        self.stride: Size = _size(q_stride)
        self.with_cp = with_cp
        self.interpolate_positions = interpolate_positions
        self._check_stages(q_pool, mask_unit_attn)
        kernel, step, padding = map(_size, (patch_kernel, patch_stride, patch_padding))
        self.tokens: Size = tuple(
            (size + 2 * pad - width) // move + 1
            for size, width, move, pad in zip(self.input_size, kernel, step, padding, strict=True)
        )  # type: ignore[assignment]
        self.units: Size = self._units(_size(mask_unit_size))
        self.patch_embed = PatchEmbed(in_channels, embed_dims, kernel, step, padding)
        frames, in_frame = self.tokens[0], self.tokens[1] * self.tokens[2]
        self.sep_pos_embed = sep_pos_embed
        if sep_pos_embed:
            self.pos_embed_spatial = nn.Parameter(torch.zeros(1, in_frame, embed_dims))
            self.pos_embed_temporal = nn.Parameter(torch.zeros(1, frames, embed_dims))
        else:
            self.pos_embed = nn.Parameter(torch.zeros(1, frames * in_frame, embed_dims))
        norm_cfg = norm_cfg or {"type": "LN", "eps": 1e-6}
        shared: dict[str, Any] = {
            "qkv_bias": qkv_bias,
            "mlp_ratio": mlp_ratio,
            "norm_cfg": norm_cfg,
            "act_cfg": act_cfg or {"type": "GELU"},
        }
        rates = rising_rates(drop_path_rate, sum(stages))
        self.blocks = nn.ModuleList()
        self.widths = [embed_dims]
        for stage, number in enumerate(stages):
            for place in range(number):
                is_first = place == 0 and stage > 0
                width = self.widths[-1]
                if is_first:
                    self.widths.append(int(width * dim_mul))
                    num_heads = int(num_heads * head_mul)
                joined = math.prod(self.stride) if is_first and stage <= q_pool else 1
                is_local = bool(mask_unit_attn[stage - is_first])
                block = Block(
                    width,
                    self.widths[-1],
                    num_heads,
                    joined,
                    is_local,
                    drop_path_rate=rates[len(self.blocks)],
                    **shared,
                )
                self.blocks.append(block)
        self.q_pool = q_pool
        self.out_channels = self.widths[-1]
        self.norm = build_norm_layer(norm_cfg, self.out_channels)[1]

    def _init_weights(self, report: Any) -> None:
        for name in ("pos_embed_spatial", "pos_embed_temporal", "pos_embed"):
            if (table := getattr(self, name, None)) is not None:
                nn.init.trunc_normal_(table, std=0.02)
        super()._init_weights(report)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Features of clips.

        Args:
            x: (B, C, T, H, W).
            mask: (B, units) bool: the mask units to look at, as many in each clip.

        Returns:
            (B, E); with a mask (B, units * tokens of a unit, E), the tokens of the last stage as they are.

        Raises:
            ConfigError: the clips have another size or other channels.
            ValueError: the mask has another shape, or keeps more units of some clips than of others.
        """
        x = self._unrolled(x)
        if mask is not None:
            x = self._kept(x, mask)
        for stage in range(len(self.stages)):
            x = self._stage(stage, x)
        return self.norm(x.mean((1, 2))) if mask is None else x.flatten(1, 2)

    def position_tables(self) -> dict[str, PositionTable]:
        """Those of its tokens: cubic in space, linear in time."""
        if not self.sep_pos_embed:
            return {"pos_embed": PositionTable(self.tokens)}
        space, time = PositionTable(self.tokens[1:]), PositionTable(self.tokens[:1])
        return {"pos_embed_spatial": space, "pos_embed_temporal": time}

    def token_maps(self) -> TokenMaps:
        """Where the tokens of its blocks lie."""
        left = len(self.stages) - 1 - min(len(self.stages) - 1, self.q_pool)
        return TokenMaps("blocks", lambda x: reroll(x, self.units, self.stride, left).permute(0, 4, 1, 2, 3))

    def stage_maps(self, x: Tensor) -> list[Tensor]:
        """(B, C, T, H, W) clips -> what each stage gives, (B, E, T', H', W') with the channels of the stage."""
        x = self._unrolled(x)
        maps = []
        for stage in range(len(self.stages)):
            x = self._stage(stage, x)
            left = len(self.stages) - 1 - min(stage, self.q_pool)
            maps.append(reroll(x, self.units, self.stride, left).permute(0, 4, 1, 2, 3))
        return maps

    def _unrolled(self, x: Tensor) -> Tensor:
        """Clips -> the tokens of each mask unit, with their positions."""
        check_clips(x, self.in_channels, "Hiera")
        if tuple(x.shape[2:]) != self.input_size:
            (frames, rows, columns), (own_frames, *own) = x.shape[2:], self.input_size
            raise ConfigError(
                f"Hiera was built for {own_frames} frames of {own[0]} x {own[1]} pixels (num_frames, img_size), but the"
                f" clips have {frames} of {rows} x {columns}: set clip_len and crops"
            )
        x = self.patch_embed(x)
        return unroll(x + self._positions().to(x.dtype), self.stride, len(self.stages) - 1)

    def _positions(self) -> Tensor:
        """(1, T', H', W', C)."""
        if not self.sep_pos_embed:
            return self.pos_embed.unflatten(1, self.tokens)
        in_space = self.pos_embed_spatial.unflatten(1, (1, *self.tokens[1:]))
        return in_space + self.pos_embed_temporal[:, :, None, None]

    def _kept(self, x: Tensor, mask: Tensor) -> Tensor:
        batch, units = x.shape[:2]
        if mask.shape != (batch, units):
            raise ValueError(
                f"the mask of Hiera must be {batch} x {units}, clips x mask units, got {tuple(mask.shape)}"
            )
        counts = mask.sum(1)
        if bool((counts != counts[0]).any()):
            raise ValueError(f"the mask of Hiera must keep as many units of each clip, got {counts.tolist()}")
        return x[mask].unflatten(0, (batch, -1))

    def _stage(self, stage: int, x: Tensor) -> Tensor:
        """The tokens behind a stage, from those before it."""
        first = sum(self.stages[:stage])
        for block in self.blocks[first : first + self.stages[stage]]:
            x = recomputed(block, block, x) if self.with_cp and x.requires_grad else block(x)
        return x

    def _check_stages(self, q_pool: int, mask_unit_attn: Sequence[bool]) -> None:
        if not 0 <= q_pool < len(self.stages):
            raise ConfigError(
                f"q_pool of Hiera must be from 0 to {len(self.stages) - 1}, the stages but one, got {q_pool}"
            )
        if len(mask_unit_attn) != len(self.stages):
            raise ConfigError(
                f"mask_unit_attn of Hiera must have an entry for each of the {len(self.stages)} stages, got"
                f" {list(mask_unit_attn)}"
            )

    def _units(self, mask_unit_size: Size) -> Size:
        """Mask units along frames, rows and columns."""
        poolings = len(self.stages) - 1
        expected = tuple(step**poolings for step in self.stride)
        if mask_unit_size != expected:
            raise ConfigError(
                f"mask_unit_size of Hiera must be q_stride to the power of the {poolings} stages behind the first,"
                f" {list(expected)}, got {list(mask_unit_size)}"
            )
        if any(size < 1 or size % unit for size, unit in zip(self.tokens, expected, strict=True)):
            raise ConfigError(
                f"Hiera makes {' x '.join(map(str, self.tokens))} tokens (frames, rows, columns) of num_frames and"
                f" img_size {' x '.join(map(str, self.input_size))}: mask_unit_size={list(expected)} does not divide"
                " them"
            )
        return tuple(size // unit for size, unit in zip(self.tokens, expected, strict=True))  # type: ignore[return-value]


def _size(values: Sequence[int]) -> Size:
    frames, rows, columns = values
    return frames, rows, columns
