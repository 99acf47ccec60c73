"""InternVideo2: a vision transformer over patches of frames with a class token, and pooling by attention.

Source: InternVideo2, Wang et al. 2024, arXiv:2403.15377. Weights have the names of the authors' files.
The released networks were trained with the tanh approximation of GELU, which is the default here.
"""

import os
from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.checkpoints.file_formats import WRAPPERS, FileFormat, Views
from kinema.checkpoints.reading import State
from kinema.errors import ConfigError
from kinema.models.backbones.base import Backbone
from kinema.models.features import TokenMaps, lay_out_tokens
from kinema.models.init import InitCfg
from kinema.models.layers import LayerCfg
from kinema.models.layers.attention import check_heads
from kinema.models.layers.bricks.drop import DropPath, rising_rates
from kinema.models.layers.inputs import check_clips
from kinema.models.layers.linear import apply_linear, linear
from kinema.models.layers.mlp import Mlp
from kinema.models.layers.normed_attention import NormedAttention
from kinema.models.layers.positions import POSITIONS_ADVICE, PositionTable, resize_positions, sincos_table
from kinema.models.layers.recomputation import recomputed
from kinema.models.layers.rms_norm import RMSNorm
from kinema.models.layers.settings import check_positive, check_rates, check_sizes, sides
from kinema.models.layers.transformer_block import ChannelScale
from kinema.models.layers.tubelets import Tubelets
from kinema.registry import MODELS

_EPS, _POOL_EPS = 1e-6, 1e-5
# What files of the distillation and of masked pretraining hold beside the encoder.
_OF_PRETRAINING = r"^((final_)?clip_decoder|mae_decoder)\.|^(clip|mae|img|clip_img)_pos_embed"


class Block(nn.Module):
    """(B, N, E) -> (B, N, E): attention and two linear layers, each behind an RMS norm, scaled and added.

    Args:
        embed_dims: E.
        attention: (B, N, E) -> (B, N, E).
        hidden: channels between the linear layers.
        act_cfg: the activation between them.
        init_values: start of the scales; None: there are none.
        drop_path_rate: probability that a sample does without a branch in training.
    """

    def __init__(
        self,
        embed_dims: int,
        attention: nn.Module,
        hidden: int,
        *,
        act_cfg: LayerCfg,
        init_values: float | None,
        drop_path_rate: float,
    ) -> None:
        super().__init__()
        self.norm1 = RMSNorm(embed_dims, eps=_EPS)
        self.attn = attention
        self.ls1 = nn.Identity() if init_values is None else ChannelScale(embed_dims, init_values)
        self.norm2 = RMSNorm(embed_dims, eps=_EPS)
        self.mlp = Mlp(embed_dims, hidden, act_cfg=act_cfg)
        self.ls2 = nn.Identity() if init_values is None else ChannelScale(embed_dims, init_values)
        self.drop_path = DropPath(drop_path_rate) if drop_path_rate else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.ls1(self.attn(self.norm1(x))))
        return x + self.drop_path(self.ls2(self.mlp(self.norm2(x))))


class PoolAttention(nn.Module):
    """What a query sees among keys and values: (B, 1, E), (B, N, E), (B, N, E) -> (B, D).

    The biases are parameters of their own, as in the files.
    """

    def __init__(self, embed_dims: int, num_heads: int, out_channels: int) -> None:
        super().__init__()
        check_heads(embed_dims, num_heads, "InternVideo2's pooling")
        self.num_heads = num_heads
        self.q, self.k, self.v = (nn.Linear(embed_dims, embed_dims, bias=False) for _ in range(3))
        self.q_bias, self.k_bias, self.v_bias = (nn.Parameter(torch.zeros(embed_dims)) for _ in range(3))
        self.proj = nn.Linear(embed_dims, out_channels)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        layers = ((query, self.q, self.q_bias), (key, self.k, self.k_bias), (value, self.v, self.v_bias))
        heads = (
            linear(x, layer.weight, bias).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
            for x, layer, bias in layers
        )
        out: Tensor = apply_linear(self.proj, F.scaled_dot_product_attention(*heads).flatten(1))
        return out


class MeanQueryPooling(nn.Module):
    """(B, N, E) -> (B, D): the mean of all tokens, that of the class among them, asks them.

    Args:
        embed_dims: E.
        num_heads: heads, which divide E.
        out_channels: D.
    """

    def __init__(self, embed_dims: int, num_heads: int, out_channels: int) -> None:
        super().__init__()
        self.norm1_q, self.norm1_k, self.norm1_v = (nn.LayerNorm(embed_dims, eps=_POOL_EPS) for _ in range(3))
        self.cross_attn = PoolAttention(embed_dims, num_heads, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        query = x.mean(1, keepdim=True)
        return self.cross_attn(self.norm1_q(query), self.norm1_k(x), self.norm1_v(x))


def own_names(backbone: nn.Module) -> Views:
    """The tensors of an `InternVideo2` under the names of its authors' files, which are its own."""
    return dict(backbone.named_parameters())


def names_of_head(head: nn.Module) -> Views:
    """The same of an `InternVideo2Head`."""
    return {
        f"head.{name.removeprefix('fc_cls.')}" if name.startswith("fc_cls.") else name: tensor
        for name, tensor in head.named_parameters()
    }


def _spread_over_tubelet(weights: State, views: Views) -> State:
    """Patches of single frames become tubelets: each frame has its part of the kernel."""
    name = "patch_embed.proj.weight"
    given, own = weights.get(name), views[name]
    if given is None or given.dim() != 5 or given.shape[2] != 1 or own.shape[2] == 1:
        return weights
    return {**weights, name: given.repeat(1, 1, own.shape[2], 1, 1) / own.shape[2]}


@MODELS.register_module()
class InternVideo2(Backbone):
    """(B, C, T, H, W) float -> (B, D); T = `num_frames`, H = W = `img_size`.

    Args:
        embed_dims: E, channels of a token.
        depth: number of blocks.
        num_heads: of the attention, which divide E.
        mlp_ratio: hidden channels of the linear layers, as a multiple of E, rounded down.
        img_size: pixels of the clips at each side, or (height, width).
        patch_size: pixels of a patch at each side, which divide those.
        num_frames: T.
        tubelet_size: frames of a patch, which divide T.
        in_channels: C.
        out_channels: D, channels that the pooling gives.
        pool_heads: heads of the pooling, which divide E.
        qkv_bias: queries, keys and values have a bias.
        qk_norm: queries and keys pass through a norm.
        init_values: start of the scale of both branches; None: there is none.
        act_cfg: the activation; None: GELU by its tanh approximation, as the released weights want it.
        sep_pos_embed: places, times and the class have tables of positions of their own, whose sum is
            added; else each token has its own row.
        pos_grid: tokens (T', H', W') of the positions, where these are of another clip than the one
            described here: they are stretched to it, bicubically in space and linearly in time.
        interpolate_positions: tables of positions in files that are for clips of another size are
            stretched as those of `pos_grid` are; else such files are an error.
        drop_path_rate: of the last block; it rises from 0 over the blocks.
        return_feat_map: give (B, E, T', H', W') instead, the tokens behind the last block without that
            of the class, and without pooling.
        with_cp: compute the blocks' activations again in the backward pass.
        pretrained: checkpoint that `init_weights` loads, one of the authors' among others.
        init_cfg: replaces the initialisation.

    Attributes:
        out_channels: D, or E under `return_feat_map`.

    Raises:
        ConfigError: patches, tubelets or heads do not divide what they should, E is not a multiple of
            16, or a setting is no number of its kind.
    """

    file_formats: ClassVar[tuple[FileFormat, ...]] = (
        FileFormat(
            "InternVideo2",
            own_names,
            names_of_head,
            of_head=r"^(head|fc_norm|extra_mlp)\.",
            classes=r"^head\.",
            prefixes=(*WRAPPERS, "backbone.", "encoder."),
            spare=rf"{_OF_PRETRAINING}|^clip_projector\.",
            convert=_spread_over_tubelet,
            advice=POSITIONS_ADVICE,
        ),
    )

    def __init__(
        self,
        embed_dims: int = 384,
        depth: int = 12,
        *,
        num_heads: int = 6,
        mlp_ratio: float = 4.0,
        img_size: int | Sequence[int] = 224,
        patch_size: int = 14,
        num_frames: int = 8,
        tubelet_size: int = 1,
        in_channels: int = 3,
        out_channels: int = 768,
        pool_heads: int = 16,
        qkv_bias: bool = False,
        qk_norm: bool = True,
        init_values: float | None = 1e-5,
        act_cfg: LayerCfg | None = None,
        sep_pos_embed: bool = False,
        pos_grid: Sequence[int] | None = None,
        interpolate_positions: bool = False,
        drop_path_rate: float = 0.0,
        return_feat_map: bool = False,
        with_cp: bool = False,
        pretrained: str | os.PathLike[str] | None = None,
        init_cfg: InitCfg | None = None,
    ) -> None:
        default: InitCfg = [
            {"type": "TruncNormal", "layer": ["Linear", "Conv3d"], "std": 0.02, "bias": 0.0},
            {"type": "Constant", "layer": "LayerNorm", "val": 1.0, "bias": 0.0},
        ]
        super().__init__(init_cfg or default, pretrained=pretrained)
        check_sizes(
            "InternVideo2",
            embed_dims=embed_dims,
            depth=depth,
            num_heads=num_heads,
            patch_size=patch_size,
            num_frames=num_frames,
            tubelet_size=tubelet_size,
            in_channels=in_channels,
            out_channels=out_channels,
            pool_heads=pool_heads,
        )
        check_rates("InternVideo2", drop_path_rate=drop_path_rate)
        check_positive("InternVideo2", mlp_ratio=mlp_ratio, init_values=init_values or None)
        check_heads(embed_dims, num_heads, "InternVideo2")
        if embed_dims % 16:
            raise ConfigError(
                f"InternVideo2: embed_dims={embed_dims} is not a multiple of 16, as its positions need it"
            )
        size = sides("InternVideo2", "img_size", img_size)
        self.clip_size = (num_frames, *size)
        self.grid_size = tuple(
            _divided(name, whole, part_name, part)
            for name, whole, part_name, part in (
                ("num_frames", num_frames, "tubelet_size", tubelet_size),
                ("img_size", size[0], "patch_size", patch_size),
                ("img_size", size[1], "patch_size", patch_size),
            )
        )
        self.pos_grid = self.grid_size if pos_grid is None else tuple(pos_grid)
        if len(self.pos_grid) != 3 or min(self.pos_grid) < 1:
            raise ConfigError(f"pos_grid must be (frames, rows, columns) of tokens, got {pos_grid!r}")
        self.in_channels, self.embed_dims = in_channels, embed_dims
        self.interpolate_positions = interpolate_positions
        self.sep_pos_embed, self.return_feat_map, self.with_cp = sep_pos_embed, return_feat_map, with_cp
        self.patch_embed = Tubelets(in_channels, embed_dims, (tubelet_size, patch_size, patch_size))
        self.cls_token = nn.Parameter(nn.init.normal_(torch.empty(1, 1, embed_dims), std=0.02))
        self._add_positions()
        act_cfg = act_cfg or {"type": "GELU", "approximate": "tanh"}
        self.blocks = nn.ModuleList(
            Block(
                embed_dims,
                NormedAttention(embed_dims, num_heads, qkv_bias=qkv_bias, qk_norm=qk_norm, norm_eps=_EPS),
                int(embed_dims * mlp_ratio),
                act_cfg=act_cfg,
                init_values=init_values,
                drop_path_rate=rate,
            )
            for rate in rising_rates(drop_path_rate, depth)
        )
        self.out_channels = embed_dims if return_feat_map else out_channels
        if not return_feat_map:
            self.clip_projector = MeanQueryPooling(embed_dims, pool_heads, out_channels)

    def _add_positions(self) -> None:
        table = sincos_table(self.pos_grid, self.embed_dims)
        if self.sep_pos_embed:
            frames, rows, columns = self.pos_grid
            self.pos_embed_spatial = nn.Parameter(torch.zeros(1, rows * columns, self.embed_dims))
            self.pos_embed_temporal = nn.Parameter(torch.zeros(1, frames, self.embed_dims))
            self.pos_embed_cls = nn.Parameter(torch.zeros(1, 1, self.embed_dims))
        else:
            self.pos_embed = nn.Parameter(F.pad(table, (0, 0, 1, 0)))  # the class has none at first

    def position_tables(self) -> dict[str, PositionTable]:
        """Those of the tokens, the class token apart: cubic in space, linear in time."""
        if not self.sep_pos_embed:
            return {"pos_embed": PositionTable(self.pos_grid, num_first=1)}
        space, time = PositionTable(self.pos_grid[1:]), PositionTable(self.pos_grid[:1])
        return {"pos_embed_spatial": space, "pos_embed_temporal": time}

    def positions(self) -> Tensor:
        """What is added to the class token and the others, (1, 1 + N, E)."""
        if not self.sep_pos_embed:
            return resize_positions(self.pos_embed, self.pos_grid, self.grid_size, num_first=1)
        space = resize_positions(self.pos_embed_spatial, self.pos_grid[1:], self.grid_size[1:])
        time = resize_positions(self.pos_embed_temporal, self.pos_grid[:1], self.grid_size[:1])
        return torch.cat([self.pos_embed_cls, (time[:, :, None] + space[:, None]).flatten(1, 2)], 1)

    def tokens(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, 1 + N, E), behind the last block: the class token, then frame by frame."""
        check_clips(x, self.in_channels, "InternVideo2")
        self._check_size(x)
        x = self.patch_embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1).to(x.dtype), x], 1)
        x = x + self.positions().to(x.dtype)
        for block in self.blocks:
            x = recomputed(block, block, x) if self.with_cp and self.training else block(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        x = self.tokens(x)
        if self.return_feat_map:
            return lay_out_tokens(x, self.grid_size)
        return self.clip_projector(x)

    def token_maps(self) -> TokenMaps:
        """Where the tokens of its blocks lie."""
        return TokenMaps("blocks", lambda tokens: lay_out_tokens(tokens, self.grid_size))

    def _check_size(self, x: Tensor) -> None:
        if tuple(x.shape[2:]) != self.clip_size:
            own, given = (
                f"{frames} frames of {rows} x {columns}" for frames, rows, columns in (self.clip_size, x.shape[2:])
            )
            raise ConfigError(
                f"InternVideo2 was built for {own} pixels (num_frames, img_size), but the clips have {given}: set"
                f" clip_len and crops, or num_frames, img_size and pos_grid={self.pos_grid}"
            )


def _divided(name: str, whole: int, part_name: str, part: int) -> int:
    if part < 1 or whole < 1 or whole % part:
        raise ConfigError(f"InternVideo2: {part_name}={part} does not divide {name}={whole}")
    return whole // part
