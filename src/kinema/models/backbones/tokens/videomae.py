"""The vision transformer of VideoMAE: tubelets, fixed positions, and attention over all of them.

Source: VideoMAE, Tong et al. 2022, arXiv:2203.12602; VideoMAE V2, Wang et al. 2023, arXiv:2303.16727.
"""

from collections.abc import Sequence
from math import prod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from kinema.checkpoints.file_formats import FileFormat
from kinema.errors import ConfigError
from kinema.models.backbones.base import Backbone
from kinema.models.backbones.tokens.videomae_files import FORMATS
from kinema.models.features import TokenMaps, lay_out_tokens
from kinema.models.init import InitCfg
from kinema.models.layers import LayerCfg
from kinema.models.layers.attention import SelfAttention, check_heads
from kinema.models.layers.bricks.attention import FFN
from kinema.models.layers.bricks.drop import DropPath, rising_rates
from kinema.models.layers.by_name import build_conv_layer, build_norm_layer
from kinema.models.layers.cosine_attention import CosineAttention
from kinema.models.layers.inputs import check_clips
from kinema.models.layers.positions import PositionTable, resize_positions, sinusoid_table
from kinema.models.layers.recomputation import recomputed
from kinema.models.layers.settings import check_positive, check_rates, check_sizes, sides
from kinema.registry import MODELS


class TubeletEmbed(nn.Module):
    """(B, C, T, H, W) -> (B, N, E): each tubelet of frames and pixels becomes a token.

    Args:
        in_channels: C.
        embed_dims: E.
        patch_size: pixels of a tubelet at each side.
        tubelet_size: frames of a tubelet.
    """

    def __init__(self, in_channels: int, embed_dims: int, patch_size: int, tubelet_size: int) -> None:
        super().__init__()
        size = (tubelet_size, patch_size, patch_size)
        self.projection = build_conv_layer({"type": "Conv3d"}, in_channels, embed_dims, size, stride=size)

    def forward(self, x: Tensor) -> Tensor:
        return self.projection(x).flatten(2).transpose(1, 2)


class Block(nn.Module):
    """Attention and two linear layers, each behind a norm and with a residual connection.

    Args:
        embed_dims: E.
        num_heads: of the attention.
        mlp_ratio: hidden channels, as a multiple of E.
        qkv_bias, qk_scale, attn_drop_rate: see `SelfAttention`.
        drop_rate: dropout of both branches.
        drop_path_rate: probability that a sample does without a branch.
        init_values: start of the scale of both branches' channels; 0: they have none.
        norm_cfg: of both norms.
        act_cfg: the activation between the linear layers; None: `GELU`.
        cos_attn: attend by the angle of queries and keys, see `CosineAttention`.

    Raises:
        ConfigError: a `qk_scale` for `cos_attn`, which trains its own.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        init_values: float = 0.0,
        norm_cfg: LayerCfg | None = None,
        *,
        act_cfg: LayerCfg | None = None,
        cos_attn: bool = False,
    ) -> None:
        super().__init__()
        if cos_attn and qk_scale is not None:
            raise ConfigError(f"cos_attn trains the scale of its products: leave out {qk_scale=}")
        norm_cfg = norm_cfg or {"type": "LN", "eps": 1e-6}
        self.norm1 = build_norm_layer(norm_cfg, embed_dims)[1]
        self.attn: nn.Module
        if cos_attn:
            self.attn = CosineAttention(embed_dims, num_heads, qkv_bias, attn_drop_rate, drop_rate)
        else:
            self.attn = SelfAttention(embed_dims, num_heads, qkv_bias, qk_scale, attn_drop_rate, drop_rate)
        self.drop_path = DropPath(drop_path_rate) if drop_path_rate else nn.Identity()
        self.norm2 = build_norm_layer(norm_cfg, embed_dims)[1]
        hidden = int(embed_dims * mlp_ratio)
        act_cfg = act_cfg or {"type": "GELU"}
        self.mlp = FFN(embed_dims, hidden, act_cfg=act_cfg, ffn_drop=drop_rate, add_identity=False)
        self.gamma_1, self.gamma_2 = (self._scale(embed_dims, init_values) for _ in range(2))

    @staticmethod
    def _scale(channels: int, start: float) -> nn.Parameter | None:
        return nn.Parameter(torch.full((channels,), float(start))) if start else None

    def forward(self, x: Tensor) -> Tensor:
        branch = self.attn(self.norm1(x))
        x = x + self.drop_path(branch if self.gamma_1 is None else self.gamma_1 * branch)
        branch = self.mlp(self.norm2(x))
        return x + self.drop_path(branch if self.gamma_2 is None else self.gamma_2 * branch)


@MODELS.register_module()
class VisionTransformer(Backbone):
    """(B, C, T, H, W) float -> (B, E); T = `num_frames`, H = W = `img_size`.

    It reads the files of VideoMAE's, VideoMAE V2's and Unmasked Teacher's authors, and of transformers.

    Args:
        img_size: pixels of the clips at each side, or (height, width).
        patch_size: pixels of a tubelet at each side, which divide `img_size`.
        in_channels: C.
        embed_dims: E.
        depth: number of blocks.
        num_heads, mlp_ratio, qkv_bias, qk_scale, drop_rate, attn_drop_rate, init_values, norm_cfg: see
            `Block`.
        drop_path_rate: of the last block; it rises from 0 over the blocks.
        use_learnable_pos_emb: positions are trained, from 0; else they are sines and cosines.
        num_frames: T.
        tubelet_size: frames of a tubelet, which divide T.
        use_mean_pooling: the output is the mean of the tokens; else the first token.
        pretrained: checkpoint that `init_weights` loads.
        return_feat_map: give (B, E, T', H', W') instead, the tokens behind the last block; of clips of any
            size of whole tubelets, to which the positions are stretched.
        init_cfg: replaces the initialisation.
        with_cp: compute the activations of blocks again in the backward pass: less memory, more time.
        act_cfg, cos_attn: see `Block`.
        pool_norm_cfg: the norm behind the mean of the tokens; None: `norm_cfg`.
        pos_grid: tokens (T', H', W') of the table of positions where it is of other clips, such as those
            that the weights were trained on first: it is stretched to the clips described here,
            bicubically in space and linearly in time. None: the table is of their own tokens, which of
            sines and cosines are other numbers.
        interpolate_positions: tables of positions in files that are for clips of another size are
            stretched, cubic in space and linear in time; else they do not fit.

    Attributes:
        out_channels: E.

    Raises:
        ConfigError: patches, tubelets or heads do not divide what they should; or `pos_grid` is no grid.
    """

    file_formats: ClassVar[tuple[FileFormat, ...]] = FORMATS

    def __init__(
        self,
        img_size: int | Sequence[int] = 224,
        patch_size: int = 16,
        in_channels: int = 3,
        embed_dims: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        norm_cfg: LayerCfg | None = None,
        init_values: float = 0.0,
        use_learnable_pos_emb: bool = False,
        num_frames: int = 16,
        tubelet_size: int = 2,
        use_mean_pooling: bool = True,
        pretrained: str | None = None,
        return_feat_map: bool = False,
        init_cfg: InitCfg | None = None,
        *,
        with_cp: bool = False,
        act_cfg: LayerCfg | None = None,
        cos_attn: bool = False,
        pool_norm_cfg: LayerCfg | None = None,
        pos_grid: Sequence[int] | None = None,
        interpolate_positions: bool = False,
    ) -> None:
        default: InitCfg = [
            {"type": "TruncNormal", "layer": "Linear", "std": 0.02, "bias": 0.0},
            {"type": "Constant", "layer": "LayerNorm", "val": 1.0, "bias": 0.0},
        ]
        super().__init__(init_cfg or default, pretrained=pretrained)
        check_sizes(
            "VisionTransformer",
            patch_size=patch_size,
            in_channels=in_channels,
            embed_dims=embed_dims,
            depth=depth,
            num_heads=num_heads,
            num_frames=num_frames,
            tubelet_size=tubelet_size,
        )
        check_rates(
            "VisionTransformer", drop_rate=drop_rate, attn_drop_rate=attn_drop_rate, drop_path_rate=drop_path_rate
        )
        check_positive("VisionTransformer", mlp_ratio=mlp_ratio, qk_scale=qk_scale, init_values=init_values or None)
        self.with_cp = with_cp
        check_heads(embed_dims, num_heads, "VisionTransformer")
        height, width = sides("VisionTransformer", "img_size", img_size)
        for name, whole, size_name, part in (
            ("img_size", height, "patch_size", patch_size),
            ("img_size", width, "patch_size", patch_size),
            ("num_frames", num_frames, "tubelet_size", tubelet_size),
        ):
            if whole % part:
                raise ConfigError(f"VisionTransformer: {size_name}={part} does not divide {name}={whole}")
        self.in_channels = in_channels
        self.embed_dims = self.out_channels = embed_dims
        self.img_size, self.patch_size = (height, width), patch_size
        self.num_frames, self.tubelet_size = num_frames, tubelet_size
        self.return_feat_map = return_feat_map
        self.interpolate_positions = interpolate_positions
        self.grid_size = (height // patch_size, width // patch_size)
        norm_cfg = norm_cfg or {"type": "LN", "eps": 1e-6}
        self.token_grid = (num_frames // tubelet_size, *self.grid_size)
        grid = self.token_grid if pos_grid is None else tuple(pos_grid)
        if len(grid) != 3 or min(grid) < 1:
            raise ConfigError(f"pos_grid must be (frames, rows, columns) of tokens, got {pos_grid!r}")
        if use_learnable_pos_emb:
            self.pos_embed: Tensor = nn.Parameter(torch.zeros(1, prod(grid), embed_dims))
            nn.init.trunc_normal_(self.pos_embed, std=0.02)
            self.pos_grid = grid
        else:  # nothing changes it, so it is stretched once
            table = sinusoid_table(prod(grid), embed_dims)
            self.register_buffer("pos_embed", resize_positions(table, grid, self.token_grid))
            self.pos_grid = self.token_grid
        self.patch_embed = TubeletEmbed(in_channels, embed_dims, patch_size, tubelet_size)
        self.pos_drop = nn.Dropout(drop_rate)
        rates = rising_rates(drop_path_rate, depth)
        shared: dict[str, Any] = {
            "mlp_ratio": mlp_ratio,
            "qkv_bias": qkv_bias,
            "qk_scale": qk_scale,
            "drop_rate": drop_rate,
            "attn_drop_rate": attn_drop_rate,
            "init_values": init_values,
            "norm_cfg": norm_cfg,
            "act_cfg": act_cfg,
            "cos_attn": cos_attn,
        }
        self.blocks = nn.ModuleList(Block(embed_dims, num_heads, drop_path_rate=rate, **shared) for rate in rates)
        if use_mean_pooling:
            self.norm: nn.Module = nn.Identity()
            self.fc_norm: nn.Module | None = build_norm_layer(pool_norm_cfg or norm_cfg, embed_dims)[1]
        else:
            self.norm = build_norm_layer(norm_cfg, embed_dims)[1]
            self.fc_norm = None

    def positions(self, grid: tuple[int, ...] | None = None) -> Tensor:
        """What is added to the tokens, (1, N, E)."""
        return resize_positions(self.pos_embed, self.pos_grid, grid or self.token_grid)

    def forward(self, x: Tensor) -> Tensor:
        check_clips(x, self.in_channels, "VisionTransformer")
        grid = self._grid_of(x)
        x = self.patch_embed(x)
        x = self.pos_drop(x + self.positions(grid).to(x.dtype))
        for block in self.blocks:
            x = recomputed(block, block, x) if self.with_cp and self.training else block(x)
        x = self.norm(x)
        if self.return_feat_map:
            return lay_out_tokens(x, grid)
        return x[:, 0] if self.fc_norm is None else self.fc_norm(x.mean(1))

    def position_tables(self) -> dict[str, PositionTable]:
        """That of all tokens: cubic in space, linear in time."""
        return {"pos_embed": PositionTable(self.pos_grid)}

    def token_maps(self) -> TokenMaps:
        """Where the tokens of its blocks lie."""
        grid = (self.num_frames // self.tubelet_size, *self.grid_size)
        return TokenMaps("blocks", lambda tokens: lay_out_tokens(tokens, grid))

    def _grid_of(self, x: Tensor) -> tuple[int, ...]:
        """Tokens (T', H', W') of clips."""
        frames, height, width = x.shape[2:]
        fits = self.return_feat_map and height % self.patch_size == 0 == width % self.patch_size
        if frames != self.num_frames or not (fits or (height, width) == self.img_size):
            raise ConfigError(
                f"VisionTransformer was built for {self.num_frames} frames of {self.img_size[0]} x {self.img_size[1]}"
                f" pixels (num_frames, img_size), but the clips have {frames} of {height} x {width}: set clip_len and"
                " crops"
            )
        return (self.token_grid[0], height // self.patch_size, width // self.patch_size)
