"""ViViT, the form whose tokens all look at each other: tubelets, learned positions and a class token.

Source: ViViT: A Video Vision Transformer, Arnab et al. 2021, arXiv:2103.15691, model 1. The published
weights are those that transformers hosts; activation and epsilon are theirs.
"""

from collections.abc import Sequence
from math import prod
from typing import ClassVar

import torch
from torch import Tensor, nn

from kinema.checkpoints.file_formats import WRAPPERS, FileFormat, Views
from kinema.checkpoints.file_names import Renames, cut, own_tensors, renamed
from kinema.errors import ConfigError
from kinema.models.backbones.base import Backbone
from kinema.models.features import TokenMaps, lay_out_tokens
from kinema.models.init import InitCfg
from kinema.models.init_report import InitReport
from kinema.models.layers.attention import check_heads
from kinema.models.layers.bricks.drop import rising_rates
from kinema.models.layers.by_name import LayerCfg
from kinema.models.layers.inputs import check_clips
from kinema.models.layers.positions import PositionTable, resize_positions
from kinema.models.layers.recomputation import recomputed
from kinema.models.layers.settings import check_given, check_positive, check_rates, check_sizes, sides
from kinema.models.layers.transformer_block import TransformerBlock
from kinema.models.layers.tubelets import Tubelets
from kinema.registry import MODELS

FAST_GELU: LayerCfg = {"type": "GELU", "approximate": "tanh"}
# Names of transformers 5, and those of the files that it published before.
_EMBEDDINGS: Renames = (
    (r"^(cls_token)$", r"embeddings.\1"),
    (r"^pos_embed$", "embeddings.position_embeddings"),
    (r"^patch_embed\.proj\.", "embeddings.patch_embeddings.projection."),
    (r"^norm\.", "layernorm."),
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
)
_NEW: Renames = (*_EMBEDDINGS, (r"^blocks\.", "layers."), (r"\.attn\.proj\.", ".attention.o_proj."))
_OLD: Renames = (
    *_EMBEDDINGS,
    (r"^blocks\.", "encoder.layer."),
    (r"\.attn\.proj\.", ".attention.output.dense."),
    (r"\.mlp\.fc1\.", ".intermediate.dense."),
    (r"\.mlp\.fc2\.", ".output.dense."),
)
_QKV = r"(.*\.)attn\.qkv\.(weight|bias)"


def names_of_transformers(backbone: nn.Module) -> Views:
    """Tensors of a `ViViT` under the names that `VivitModel` gives them."""
    views = cut(own_tensors(backbone), _QKV, [rf"\1attention.{part}_proj.\2" for part in "qkv"])
    return renamed(views, _NEW)


def older_names_of_transformers(backbone: nn.Module) -> Views:
    """Those under the names of the published files."""
    parts = [rf"\1attention.attention.{part}.\2" for part in ("query", "key", "value")]
    return renamed(cut(own_tensors(backbone), _QKV, parts), _OLD)


def classifier_of_transformers(head: nn.Module) -> Views:
    """Tensors of a `TimeSformerHead` under the names of a video classifier of transformers."""
    return renamed(own_tensors(head), [(r"^fc_cls\.", "classifier.")])


@MODELS.register_module()
class ViViT(Backbone):
    """(B, C, T, H, W) float -> (B, E), the class token; T = `num_frames`, H and W as `img_size` says.

    Args:
        img_size: pixels of the clips at each side, or (H, W).
        num_frames: T.
        tubelet_size: frames, rows and columns of a tubelet, which divide the clip.
        pos_grid: tokens (T', H', W') of the positions, where these are of other clips than the ones that
            come: they are stretched, in space by cubics and in time linearly; None: of these.
        in_channels: C.
        embed_dims: E.
        depth: number of blocks.
        num_heads: heads of each attention, which divide E.
        feedforward_channels: channels between the linear layers of a block; None: 4 E.
        qkv_bias: queries, keys and values have a bias.
        act_cfg: activation of the blocks.
        norm_eps: epsilon of the norms.
        drop_rate: dropout of the blocks' branches and behind the positions.
        attn_drop_rate: dropout of the attention.
        drop_path_rate: probability that a sample does without a branch of the last block; it rises from
            0 over the blocks.
        interpolate_positions: a table of positions in a file that is for clips of another size is
            stretched, cubic in space and linear in time; else such a file is an error. Departs from
            transformers, which does this for square tables over space alone.
        with_cp: compute activations again in the backward pass: less memory, more time.
        pretrained: checkpoint that `init_weights` loads, also a file or folder of transformers.
        init_cfg: replaces the initialisation.

    Attributes:
        out_channels: E.

    Raises:
        ConfigError: tubelets or heads do not divide what they should.
    """

    file_formats: ClassVar[tuple[FileFormat, ...]] = tuple(
        FileFormat(
            name,
            backbone=views,
            head=classifier_of_transformers,
            of_head=r"^classifier\.",
            prefixes=("vivit.", *WRAPPERS),
            spare=r"^pooler\.",  # of the bare model: untrained in all published files
        )
        for name, views in (
            ("ViViT of transformers", names_of_transformers),
            ("ViViT of transformers before version 5", older_names_of_transformers),
        )
    )

    def __init__(
        self,
        img_size: int | Sequence[int] = 224,
        num_frames: int = 32,
        *,
        tubelet_size: Sequence[int] = (2, 16, 16),
        pos_grid: Sequence[int] | None = None,
        in_channels: int = 3,
        embed_dims: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        feedforward_channels: int | None = None,
        qkv_bias: bool = True,
        act_cfg: LayerCfg = FAST_GELU,
        norm_eps: float = 1e-6,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        interpolate_positions: bool = False,
        with_cp: bool = False,
        pretrained: str | None = None,
        init_cfg: InitCfg | None = None,
    ) -> None:
        super().__init__(
            init_cfg or {"type": "TruncNormal", "layer": ["Linear", "Conv3d"], "std": 0.02, "bias": 0.0},
            pretrained=pretrained,
        )
        check_sizes(
            "ViViT",
            num_frames=num_frames,
            in_channels=in_channels,
            embed_dims=embed_dims,
            depth=depth,
            num_heads=num_heads,
        )
        check_given("ViViT", feedforward_channels=feedforward_channels)
        check_rates("ViViT", drop_rate=drop_rate, attn_drop_rate=attn_drop_rate, drop_path_rate=drop_path_rate)
        check_positive("ViViT", norm_eps=norm_eps)
        check_heads(embed_dims, num_heads, "ViViT")
        height, width = sides("ViViT", "img_size", img_size)
        self.clip_size = (num_frames, height, width)
        tubelet = tuple(tubelet_size)
        if len(tubelet) != 3:
            raise ConfigError(f"ViViT: tubelet_size is (frames, rows, columns), got {tubelet_size!r}")
        for what, whole, part in zip(("num_frames", "img_size", "img_size"), self.clip_size, tubelet, strict=True):
            if part < 1 or whole < part or whole % part:
                raise ConfigError(f"ViViT: tubelet_size={tubelet} does not divide {what}={whole}")
        self.in_channels = in_channels
        self.embed_dims = self.out_channels = embed_dims
        self.with_cp = with_cp
        self.interpolate_positions = interpolate_positions
        # Tokens in time, rows and columns.
        self.grid_size = tuple(whole // part for whole, part in zip(self.clip_size, tubelet, strict=True))
        self.pos_grid = self.grid_size if pos_grid is None else tuple(pos_grid)
        if len(self.pos_grid) != 3 or min(self.pos_grid) < 1:
            raise ConfigError(f"ViViT: pos_grid must be (frames, rows, columns) of tokens, got {pos_grid!r}")
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dims))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + prod(self.pos_grid), embed_dims))
        self.patch_embed = Tubelets(in_channels, embed_dims, tubelet)
        self.pos_drop = nn.Dropout(drop_rate)
        self.blocks = nn.ModuleList(
            TransformerBlock(
                embed_dims,
                num_heads,
                embed_dims * 4 if feedforward_channels is None else feedforward_channels,
                act_cfg=act_cfg,
                norm_eps=norm_eps,
                qkv_bias=qkv_bias,
                drop=drop_rate,
                attn_drop=attn_drop_rate,
                drop_path=rate,
            )
            for rate in rising_rates(drop_path_rate, depth)
        )
        self.norm = nn.LayerNorm(embed_dims, eps=norm_eps)

    def _init_weights(self, report: InitReport) -> None:
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        super()._init_weights(report)

    def forward(self, x: Tensor) -> Tensor:
        return self.tokens(x)[:, 0]

    def position_tables(self) -> dict[str, PositionTable]:
        """That of all tokens, the class token apart."""
        return {"pos_embed": PositionTable(self.pos_grid, num_first=1)}

    def token_maps(self) -> TokenMaps:
        """Where the tokens of its blocks lie."""
        return TokenMaps("blocks", lambda tokens: lay_out_tokens(tokens, self.grid_size))

    def tokens(self, x: Tensor) -> Tensor:
        """All tokens of clips behind the last norm.

        Args:
            x: (B, C, T, H, W).

        Returns:
            (B, 1 + N, E): the class token, then the tubelets frame by frame, row by row.
        """
        check_clips(x, self.in_channels, "ViViT")
        if tuple(x.shape[2:]) != self.clip_size:
            frames, height, width = self.clip_size
            given = "{} of {} x {}".format(*x.shape[2:])
            raise ConfigError(
                f"ViViT was built for {frames} frames of {height} x {width} pixels (num_frames, img_size), but the"
                f" clips have {given}: set clip_len and crops, or num_frames, img_size and pos_grid={self.pos_grid}"
            )
        x = self.patch_embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1)
        x = self.pos_drop(x + resize_positions(self.pos_embed, self.pos_grid, self.grid_size, num_first=1))
        for block in self.blocks:
            x = recomputed(block, block, x) if self.with_cp and self.training else block(x)
        return self.norm(x)
