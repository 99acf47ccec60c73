"""Video Swin Transformer: attention in windows of a clip, shifted by half a window in every second block.

Source: Video Swin Transformer, Liu et al. 2022, arXiv:2106.13230.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from kinema.checkpoints.pretrained import load_fitted
from kinema.errors import ConfigError
from kinema.models.backbones.base import Backbone
from kinema.models.init import InitCfg
from kinema.models.layers import LayerCfg
from kinema.models.layers.attention import check_heads
from kinema.models.layers.bricks.drop import DropPath, rising_rates
from kinema.models.layers.by_name import build_norm_layer
from kinema.models.layers.inputs import check_clips
from kinema.models.layers.linear import apply_linear
from kinema.models.layers.mlp import Mlp
from kinema.models.layers.settings import check_positive, check_rates, check_sizes, check_triple
from kinema.models.layers.windows import (
    Size,
    attend_in_windows,
    fitted_window,
    from_windows,
    is_small_for,
    relative_positions,
    shifted_kinds,
    to_windows,
)
from kinema.registry import MODELS

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "tiny": {"embed_dims": 96, "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24]},
    "small": {"embed_dims": 96, "depths": [2, 2, 18, 2], "num_heads": [3, 6, 12, 24]},
    "base": {"embed_dims": 128, "depths": [2, 2, 18, 2], "num_heads": [4, 8, 16, 32]},
    "large": {"embed_dims": 192, "depths": [2, 2, 18, 2], "num_heads": [6, 12, 24, 48]},
}
_SHORT = {"t": "tiny", "s": "small", "b": "base", "l": "large"}


class WindowAttention3D(nn.Module):
    """(B, D, H, W, C) -> the same: the tokens of each window look at each other.

    Args:
        embed_dims: C.
        window_size: of a window in tokens: frames, rows, columns.
        num_heads: heads, which divide C.
        qkv_bias: queries, keys and values have a bias.
        qk_scale: of the products of queries and keys; None: one over the root of the channels of a head.
        attn_drop: dropout of the attention.
        proj_drop: dropout of the result.
    """

    def __init__(
        self,
        embed_dims: int,
        window_size: Size,
        num_heads: int,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
    ) -> None:
        super().__init__()
        check_heads(embed_dims, num_heads, "SwinTransformer3D")
        self.embed_dims = embed_dims
        self.window_size = window_size
        self.num_heads = num_heads
        self.scale = qk_scale or (embed_dims // num_heads) ** -0.5
        self.attn_drop_rate = attn_drop
        num_distances = 1
        for size in window_size:
            num_distances *= 2 * size - 1
        self.relative_position_bias_table = nn.Parameter(torch.zeros(num_distances, num_heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        self.register_buffer("relative_position_index", relative_positions(window_size).clone())
        self.qkv = nn.Linear(embed_dims, embed_dims * 3, bias=qkv_bias)
        self.proj = nn.Linear(embed_dims, embed_dims)
        self.proj_drop = nn.Dropout(proj_drop)

    def forward(self, x: Tensor, shift_size: Size) -> Tensor:
        batch, channels = x.shape[0], x.shape[-1]
        clip: Size = tuple(x.shape[1:4])  # type: ignore[assignment]
        window, shift = fitted_window(clip, self.window_size, shift_size)
        padded: Size = tuple(-(-there // size) * size for there, size in zip(clip, window, strict=True))  # type: ignore[assignment]
        if padded != clip:
            ends = [end - there for there, end in zip(clip, padded, strict=True)]
            x = F.pad(x, (0, 0, 0, ends[2], 0, ends[1], 0, ends[0]))
        if any(shift):
            x = torch.roll(x, [-step for step in shift], (1, 2, 3))
        kinds = shifted_kinds(padded, window, shift, x.device) if any(shift) else ()
        rows = to_windows(x, window)
        dropout = self.attn_drop_rate if self.training else 0.0
        bias = self._bias(rows.shape[1])
        rows = attend_in_windows(
            apply_linear(self.qkv, rows), self.num_heads, bias, scale=self.scale, kinds=kinds, dropout=dropout
        )
        x = from_windows(self.proj_drop(apply_linear(self.proj, rows)), window, padded)
        if any(shift):
            x = torch.roll(x, shift, (1, 2, 3))
        return x[:, : clip[0], : clip[1], : clip[2]].reshape(batch, *clip, channels)

    def _bias(self, tokens: int) -> Tensor:
        """(heads, `tokens`, `tokens`). A smaller window takes the first of the table's index, as published."""
        index = self.get_buffer("relative_position_index")[:tokens, :tokens]
        return self.relative_position_bias_table[index.reshape(-1)].view(tokens, tokens, -1).permute(2, 0, 1)


class SwinBlock(nn.Module):
    """Attention in windows and two linear layers, each behind a norm and with a residual connection.

    Args:
        attention: the attention.
        shift_size: by which its windows are shifted.
        mlp_ratio: hidden channels, as a multiple of C.
        drop: dropout of the linear layers.
        drop_path: probability that a sample does without a branch.
        act_cfg: activation of the linear layers.
        norm_cfg: of both norms.
        with_cp: compute both branches again in the backward pass instead of keeping what is in them.
    """

    def __init__(
        self,
        attention: WindowAttention3D,
        shift_size: Size,
        mlp_ratio: float,
        drop: float,
        drop_path: float,
        act_cfg: LayerCfg,
        norm_cfg: LayerCfg,
        with_cp: bool,
    ) -> None:
        super().__init__()
        channels = attention.embed_dims
        self.shift_size = shift_size
        self.with_cp = with_cp
        self.norm1 = build_norm_layer(norm_cfg, channels)[1]
        self.attn = attention
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()
        self.norm2 = build_norm_layer(norm_cfg, channels)[1]
        self.mlp = Mlp(channels, int(channels * mlp_ratio), act_cfg=act_cfg, drop=drop)

    def _attend(self, x: Tensor) -> Tensor:
        return self.drop_path(self.attn(self.norm1(x), self.shift_size))

    def _feed(self, x: Tensor) -> Tensor:
        return self.drop_path(self.mlp(self.norm2(x)))

    def forward(self, x: Tensor) -> Tensor:
        for branch in (self._attend, self._feed):
            is_kept = not (self.with_cp and x.requires_grad)
            x = x + (branch(x) if is_kept else checkpoint(branch, x, use_reentrant=False))
        return x


class PatchMerging(nn.Module):
    """(B, D, H, W, C) -> (B, D, H / 2, W / 2, 2 C), rounded up: four neighbours of a frame become one token."""

    def __init__(self, embed_dims: int, norm_cfg: LayerCfg) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * embed_dims, 2 * embed_dims, bias=False)
        self.norm = build_norm_layer(norm_cfg, 4 * embed_dims)[1]

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = x.shape[2:4]
        if rows % 2 or columns % 2:
            x = F.pad(x, (0, 0, 0, columns % 2, 0, rows % 2))
        corners = [x[:, :, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        return apply_linear(self.reduction, self.norm(torch.cat(corners, -1)))


class SwinStage(nn.Module):
    """Blocks, and the merging of patches behind them."""

    def __init__(self, blocks: Sequence[nn.Module], downsample: PatchMerging | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x

    def merge(self, x: Tensor) -> Tensor:
        """Merge the patches, where that follows."""
        return x if self.downsample is None else self.downsample(x)


class PatchEmbed3D(nn.Module):
    """(B, C, T, H, W) -> (B, D, H', W', E); what a patch does not fill is padded with zeros."""

    def __init__(self, patch_size: Size, in_channels: int, embed_dims: int, norm_cfg: LayerCfg | None) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.proj = nn.Conv3d(in_channels, embed_dims, patch_size, stride=patch_size)
        self.norm = None if norm_cfg is None else build_norm_layer(norm_cfg, embed_dims)[1]

    def forward(self, x: Tensor) -> Tensor:
        frames, rows, columns = (-there % size for there, size in zip(x.shape[2:], self.patch_size, strict=True))
        if frames or rows or columns:
            x = F.pad(x, (0, columns, 0, rows, 0, frames))
        x = self.proj(x).permute(0, 2, 3, 4, 1)
        return x if self.norm is None else self.norm(x)


@MODELS.register_module()
class SwinTransformer3D(Backbone):
    """(B, C, T, H, W) float -> (B, 8 E, T / 2, H / 32, W / 32), rounded up, with the default patches.

    Args:
        arch: `"tiny"`, `"small"`, `"base"`, `"large"`, or a dict of `embed_dims` (E), `depths` and
            `num_heads` of the stages.
        pretrained: checkpoint that `init_weights` loads.
        pretrained2d: it is of a Swin Transformer over images, whose weights are fitted to this one.
        patch_size: pixels of a token: frames, rows, columns; or one number for all.
        in_channels: C.
        window_size: tokens of a window: frames, rows, columns.
        mlp_ratio: hidden channels of a block, as a multiple of its channels.
        qkv_bias, qk_scale: see `WindowAttention3D`.
        drop_rate: dropout behind the patches, and in each block.
        attn_drop_rate: dropout of the attention.
        drop_path_rate: probability that a sample does without a branch of the last block; it rises
            from 0 over the blocks.
        act_cfg: activation of the blocks.
        norm_cfg: of all norms.
        patch_norm: there is one behind the patches.
        frozen_stages: the patches (0) and this many stages are not trained; -1: everything is.
        with_cp: compute again in the backward pass instead of keeping what is in the blocks.
        out_indices: stages, from 0, whose output is returned: one tensor, or a tuple of several.
        out_after_downsample: their output is that behind the merging of patches.
        init_cfg: replaces the initialisation.

    Attributes:
        out_channels: channels of the output; a tuple where `forward` returns one.

    Raises:
        ConfigError: there is no such architecture, or heads or stages do not fit it.
    """

    def __init__(
        self,
        arch: str | Mapping[str, Any],
        pretrained: str | None = None,
        pretrained2d: bool = True,
        patch_size: int | Sequence[int] = (2, 4, 4),
        in_channels: int = 3,
        window_size: Sequence[int] = (8, 7, 7),
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.1,
        act_cfg: LayerCfg | None = None,
        norm_cfg: LayerCfg | None = None,
        patch_norm: bool = True,
        frozen_stages: int = -1,
        with_cp: bool = False,
        out_indices: Sequence[int] = (3,),
        out_after_downsample: bool = False,
        init_cfg: InitCfg | None = None,
    ) -> None:
        default: InitCfg = [
            {"type": "TruncNormal", "layer": "Linear", "std": 0.02, "bias": 0.0},
            {"type": "Constant", "layer": "LayerNorm", "val": 1.0, "bias": 0.0},
        ]
        super().__init__(
            init_cfg or default, pretrained=pretrained, from_images=pretrained2d, frozen_stages=frozen_stages
        )
        check_sizes("SwinTransformer3D", in_channels=in_channels)
        check_rates(
            "SwinTransformer3D", drop_rate=drop_rate, attn_drop_rate=attn_drop_rate, drop_path_rate=drop_path_rate
        )
        check_positive("SwinTransformer3D", mlp_ratio=mlp_ratio, qk_scale=qk_scale)
        settings = _architecture(arch)
        self.arch_settings = settings
        self.embed_dims: int = settings["embed_dims"]
        self.depths, self.num_heads = list(settings["depths"]), list(settings["num_heads"])
        self.num_layers = len(self.depths)
        self.in_channels = in_channels
        self.pretrained2d = pretrained2d
        self.window_size = _triple(window_size, "window_size")
        self.patch_size = _triple(patch_size, "patch_size")
        self.out_indices = tuple(out_indices)
        self.out_after_downsample = out_after_downsample
        if not self.out_indices or not all(0 <= index < self.num_layers for index in self.out_indices):
            raise ConfigError(
                f"SwinTransformer3D: out_indices must be stages from 0 to {self.num_layers - 1}, got {out_indices}"
            )
        act_cfg, norm_cfg = act_cfg or {"type": "GELU"}, norm_cfg or {"type": "LN"}
        self.patch_embed = PatchEmbed3D(self.patch_size, in_channels, self.embed_dims, norm_cfg if patch_norm else None)
        self.pos_drop = nn.Dropout(drop_rate)
        rates = iter(rising_rates(drop_path_rate, sum(self.depths)))
        half: Size = tuple(size // 2 for size in self.window_size)  # type: ignore[assignment]
        self.layers = nn.ModuleList()
        for stage, (depth, heads) in enumerate(zip(self.depths, self.num_heads, strict=True)):
            channels = self.embed_dims * 2**stage
            blocks = [
                SwinBlock(
                    WindowAttention3D(channels, self.window_size, heads, qkv_bias, qk_scale, attn_drop_rate, drop_rate),
                    half if number % 2 else (0, 0, 0),
                    mlp_ratio,
                    drop_rate,
                    next(rates),
                    act_cfg,
                    norm_cfg,
                    with_cp,
                )
                for number in range(depth)
            ]
            is_last = stage == self.num_layers - 1
            self.layers.append(SwinStage(blocks, None if is_last else PatchMerging(channels, norm_cfg)))
        self.num_features = widths = [
            self.embed_dims * 2 ** (stage + (out_after_downsample and stage < self.num_layers - 1))
            for stage in range(self.num_layers)
        ]
        self.warns_of_windows = True  # of windows that are larger than a map, once
        for stage in self.out_indices:
            self.add_module(f"norm{stage}", build_norm_layer(norm_cfg, widths[stage])[1])
        given = tuple(widths[stage] for stage in sorted(self.out_indices))
        self.out_channels: int | tuple[int, ...] = given[0] if len(given) == 1 else given
        self.hold()

    def load_pretrained(self, path: str) -> None:
        """Load the weights at `path`; with `pretrained2d` those of a Swin Transformer over images.

        Its patches are repeated over the frames, its tables of positions over the distances in time,
        after they were interpolated where its windows have another size.
        """
        if not self.pretrained2d:
            load_fitted(self, path, lambda name, tensor, own: tensor)
            return
        last = f"norm{self.num_layers - 1}."  # a network over images has one norm, behind its last stage
        load_fitted(self, path, self._inflated, rename=(r"^norm\.", last))

    def _inflated(self, name: str, tensor: Tensor, target: Tensor) -> Tensor:
        """A weight of the network over images -> one of the shape of `target`, where it has the same part."""
        if tensor.dim() == 4 and target.dim() == 5:
            frames = target.shape[2]
            return tensor[:, :, None].repeat(1, 1, frames, 1, 1) / frames
        steps, rows, columns = (2 * size - 1 for size in self.window_size)
        is_table = tensor.dim() == target.dim() == 2 and len(target) == steps * rows * columns
        side = math.isqrt(len(tensor)) if tensor.dim() else 0
        if not is_table or tensor.shape[1] != target.shape[1] or side * side != len(tensor):
            return tensor
        if (side, side) != (rows, columns):
            image = tensor.T.reshape(1, -1, side, side)
            tensor = F.interpolate(image, (rows, columns), mode="bicubic").reshape(-1, rows * columns).T
        return tensor.repeat(steps, 1)

    def parts_by_stage(self) -> list[list[nn.Module]]:
        """The patches, then each stage."""
        return [[self.patch_embed, self.pos_drop], *([layer] for layer in self.layers)]

    def forward(self, x: Tensor) -> Any:
        check_clips(x, self.in_channels, "SwinTransformer3D")
        pixels = x.shape[-2:]
        x = self.pos_drop(self.patch_embed(x))
        if self.warns_of_windows and is_small_for(self.window_size, x.shape[2:4], pixels, self.num_layers):
            self.warns_of_windows = False
        outs = []
        stages: list[SwinStage] = list(self.layers)  # type: ignore[arg-type]
        for stage, layer in enumerate(stages):
            x = layer(x)
            merged = layer.merge(x)
            if stage in self.out_indices:
                out = self.get_submodule(f"norm{stage}")(merged if self.out_after_downsample else x)
                outs.append(out.permute(0, 4, 1, 2, 3))
            x = merged
        return outs[0] if len(outs) == 1 else tuple(outs)


def _architecture(arch: str | Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(arch, str):
        name = _SHORT.get(arch.lower(), arch.lower())
        if name not in ARCHITECTURES:
            raise ConfigError(
                f"SwinTransformer3D: arch must be one of {', '.join(ARCHITECTURES)}, or a dict, got {arch!r}"
            )
        return ARCHITECTURES[name]
    if set(arch) != {"embed_dims", "depths", "num_heads"} or len(arch["depths"]) != len(arch["num_heads"]):
        raise ConfigError(
            "SwinTransformer3D: arch must be a dict of embed_dims, depths and num_heads, the last two a number a stage,"
            f" got {dict(arch)}"
        )
    return arch


def _triple(size: int | Sequence[int], name: str) -> Size:
    sizes = (size,) * 3 if isinstance(size, int) else tuple(size)
    check_triple("SwinTransformer3D", **{name: sizes})  # type: ignore[arg-type]
    return sizes  # type: ignore[return-value]
