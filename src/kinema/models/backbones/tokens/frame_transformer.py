"""Image transformers over the frames of a video: ViT, DINOv2, and the encoders of CLIP and SigLIP.

Sources: An Image is Worth 16x16 Words, Dosovitskiy et al. 2021, arXiv:2010.11929; CLIP, Radford et al.
2021, arXiv:2103.00020; SigLIP, Zhai et al. 2023, arXiv:2303.15343; DINOv2, Oquab et al. 2023,
arXiv:2304.07193. The names of weights are those of timm, except in `attn_pool`.
"""

from collections.abc import Sequence
from math import prod
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from kinema.arguments import takes_arguments_of
from kinema.checkpoints.file_formats import FileFormat
from kinema.errors import ConfigError
from kinema.models.backbones.base import Backbone
from kinema.models.backbones.tokens.frame_transformer_files import FORMATS
from kinema.models.features import TokenMaps, lay_out_tokens
from kinema.models.init import InitCfg
from kinema.models.init_report import InitReport
from kinema.models.layers.attention import check_heads
from kinema.models.layers.bricks.drop import rising_rates
from kinema.models.layers.by_name import LayerCfg, build_conv_layer
from kinema.models.layers.inputs import check_frames
from kinema.models.layers.latent_pooling import LatentPooling
from kinema.models.layers.positions import PositionTable, resize_positions
from kinema.models.layers.recomputation import recomputed
from kinema.models.layers.settings import check_given, check_positive, check_rates, check_sizes
from kinema.models.layers.transformer_block import TransformerBlock
from kinema.registry import MODELS

Pooling = Literal["token", "mean", "attention"]
QUICK_GELU: LayerCfg = {"type": "QuickGELU"}
TANH_GELU: LayerCfg = {"type": "GELU", "approximate": "tanh"}


class Patches(nn.Module):
    """(B, C, H, W) -> (B, N, E): each patch becomes a token, row by row."""

    def __init__(self, in_channels: int, embed_dims: int, patch_size: int, bias: bool) -> None:
        super().__init__()
        self.proj = build_conv_layer(
            {"type": "Conv2d"}, in_channels, embed_dims, patch_size, stride=patch_size, bias=bias
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.proj(x)
        return out.flatten(2).transpose(1, 2)


@MODELS.register_module()
class FrameTransformer(Backbone):
    """(B, C, H, W) float -> (B, E, 1, 1), or (B, P, 1, 1) with a projection; H = W = `img_size`.

    In a model it needs `Recognizer2D`. `clip_vision` and `siglip_vision` are the published forms.

    Args:
        img_size: pixels of the frames at each side.
        patch_size: pixels of a patch at each side, which divide `img_size`; what is left over at the
            border is not seen.
        pos_grid: rows and columns of patches of the positions, where these are of frames of another size
            than the ones that come: they are stretched by cubics; None: of these.
        in_channels: C.
        embed_dims: E.
        depth: number of blocks.
        num_heads: heads of each attention, which divide E.
        feedforward_channels: channels between the linear layers of a block; None: 4 E.
        pooling: the output is the class token (`"token"`), the mean of the patches (`"mean"`) or what a
            learned query gathers from them (`"attention"`).
        class_token: there is a class token.
        num_registers: further tokens that are dropped behind the last block.
        token_positions: the class token has a position of its own.
        pre_norm: a norm stands in front of the blocks, and patches have no bias.
        norm_after_pooling: the last norm comes behind the pooling and is called `fc_norm`.
        projection: P, channels of a last linear layer called `head`; None: there is none.
        projection_bias: it has a bias.
        qkv_bias: queries, keys and values have a bias.
        act_cfg: activation of the blocks; None: `GELU`.
        norm_eps: epsilon of all norms.
        layer_scale: start of the scale of each branch's channels; None: there is none.
        drop_path_rate: probability that a frame does without a branch of the last block; it rises from 0
            over the blocks.
        interpolate_positions: a table of positions in a file that is for frames of another size is
            stretched, bicubically; else such a file is an error.
        with_cp: compute activations again in the backward pass: less memory, more time.
        pretrained: checkpoint that `init_weights` loads, also of timm or transformers.
        init_cfg: replaces the initialisation.

    Attributes:
        out_channels: E, or P.

    Raises:
        ConfigError: patches or heads do not divide what they should, or the pooling does not fit.
    """

    file_formats: ClassVar[tuple[FileFormat, ...]] = FORMATS

    def __init__(
        self,
        img_size: int = 224,
        patch_size: int = 16,
        *,
        pos_grid: Sequence[int] | None = None,
        in_channels: int = 3,
        embed_dims: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        feedforward_channels: int | None = None,
        pooling: Pooling = "token",
        class_token: bool = True,
        num_registers: int = 0,
        token_positions: bool = True,
        pre_norm: bool = False,
        norm_after_pooling: bool = False,
        projection: int | None = None,
        projection_bias: bool = False,
        qkv_bias: bool = True,
        act_cfg: LayerCfg | None = None,
        norm_eps: float = 1e-6,
        layer_scale: float | None = None,
        drop_path_rate: float = 0.0,
        interpolate_positions: bool = False,
        with_cp: bool = False,
        pretrained: str | None = None,
        init_cfg: InitCfg | None = None,
    ) -> None:
        super().__init__(
            init_cfg or {"type": "TruncNormal", "layer": ["Linear", "Conv2d"], "std": 0.02, "bias": 0.0},
            pretrained=pretrained,
        )
        check_sizes(
            "FrameTransformer",
            img_size=img_size,
            patch_size=patch_size,
            in_channels=in_channels,
            embed_dims=embed_dims,
            depth=depth,
            num_heads=num_heads,
        )
        check_given("FrameTransformer", feedforward_channels=feedforward_channels, projection=projection)
        check_sizes("FrameTransformer", lowest=0, num_registers=num_registers)
        check_rates("FrameTransformer", drop_path_rate=drop_path_rate)
        check_positive("FrameTransformer", norm_eps=norm_eps, layer_scale=layer_scale)
        check_heads(embed_dims, num_heads, "FrameTransformer")
        if pooling not in get_args(Pooling):
            raise ConfigError(
                f"FrameTransformer: pooling must be one of {', '.join(get_args(Pooling))}, got {pooling!r}"
            )
        if pooling == "token" and not class_token:
            raise ConfigError("FrameTransformer: pooling='token' needs class_token=True; or set 'mean' or 'attention'")
        if patch_size < 1 or img_size < patch_size:
            raise ConfigError(f"FrameTransformer: patch_size={patch_size} must be from 1 to img_size={img_size}")
        self.in_channels = in_channels
        self.embed_dims = embed_dims
        self.out_channels = embed_dims if projection is None else projection
        self.img_size, self.patch_size = img_size, patch_size
        self.grid_size = (img_size // patch_size,) * 2
        self.pooling = pooling
        self.token_positions = token_positions
        self.with_cp = with_cp
        self.interpolate_positions = interpolate_positions
        self.num_first = int(class_token) + num_registers
        hidden = embed_dims * 4 if feedforward_channels is None else feedforward_channels
        self.pos_grid = self.grid_size if pos_grid is None else tuple(pos_grid)
        if len(self.pos_grid) != 2 or min(self.pos_grid) < 1:
            raise ConfigError(f"FrameTransformer: pos_grid must be (rows, columns) of patches, got {pos_grid!r}")
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dims)) if class_token else None
        self.reg_token = nn.Parameter(torch.zeros(1, num_registers, embed_dims)) if num_registers else None
        positions = prod(self.pos_grid) + (self.num_first if token_positions else 0)
        self.pos_embed = nn.Parameter(torch.zeros(1, positions, embed_dims))
        self.patch_embed = Patches(in_channels, embed_dims, patch_size, bias=not pre_norm)
        self.norm_pre = nn.LayerNorm(embed_dims, eps=norm_eps) if pre_norm else nn.Identity()
        self.blocks = nn.ModuleList(
            TransformerBlock(
                embed_dims,
                num_heads,
                hidden,
                act_cfg=act_cfg,
                norm_eps=norm_eps,
                qkv_bias=qkv_bias,
                drop_path=rate,
                layer_scale=layer_scale,
            )
            for rate in rising_rates(drop_path_rate, depth)
        )
        last_norm = nn.LayerNorm(embed_dims, eps=norm_eps)
        self.norm = nn.Identity() if norm_after_pooling else last_norm
        self.fc_norm = last_norm if norm_after_pooling else nn.Identity()
        if pooling == "attention":
            self.attn_pool = LatentPooling(embed_dims, num_heads, hidden, act_cfg=act_cfg, norm_eps=norm_eps)
        self.head = nn.Identity() if projection is None else nn.Linear(embed_dims, projection, bias=projection_bias)

    def _init_weights(self, report: InitReport) -> None:
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        for token in (self.cls_token, self.reg_token):
            if token is not None:
                nn.init.trunc_normal_(token, std=0.02)
        super()._init_weights(report)

    def forward(self, x: Tensor) -> Tensor:
        return self.pooled(self.norm(self.tokens(x)))[:, :, None, None]

    def position_tables(self) -> dict[str, PositionTable]:
        """That of the patches, behind those of other tokens."""
        return {"pos_embed": PositionTable(self.pos_grid, num_first=self.num_first if self.token_positions else 0)}

    def token_maps(self) -> TokenMaps:
        """Where the tokens of its blocks lie."""
        return TokenMaps("blocks", lambda tokens: lay_out_tokens(tokens, (1, *self.grid_size)))

    def tokens(self, x: Tensor) -> Tensor:
        """All tokens of frames behind the last block, before the last norm.

        Args:
            x: (B, C, H, W).

        Returns:
            (B, tokens, E): the class token and registers, if any, then the patches row by row.
        """
        check_frames(x, self.in_channels, "FrameTransformer")
        if tuple(x.shape[2:]) != (self.img_size, self.img_size):
            raise ConfigError(
                f"FrameTransformer was built for frames of {self.img_size} x {self.img_size} pixels (img_size), but"
                f" they have {x.shape[2]} x {x.shape[3]}: set crops, or img_size and pos_grid={self.pos_grid}"
            )
        x = self.patch_embed(x)
        first = [token.expand(len(x), -1, -1) for token in (self.cls_token, self.reg_token) if token is not None]
        num_first = self.num_first if self.token_positions else 0
        positions = resize_positions(self.pos_embed, self.pos_grid, self.grid_size, num_first=num_first)
        x = torch.cat([*first, x], 1) + positions if self.token_positions else torch.cat([*first, x + positions], 1)
        x = self.norm_pre(x)
        for block in self.blocks:
            x = recomputed(block, block, x) if self.with_cp and self.training else block(x)
        return x

    def pooled(self, x: Tensor) -> Tensor:
        """(B, tokens, E), behind the last norm -> (B, `out_channels`)."""
        if self.pooling == "token":
            x = x[:, 0]
        elif self.pooling == "mean":
            x = x[:, self.num_first :].mean(1)
        else:
            x = self.attn_pool(x[:, self.num_first :])
        out: Tensor = self.head(self.fc_norm(x))
        return out


_FIXED = (
    *(
        "class_token",
        "num_registers",
        "token_positions",
        "pre_norm",
        "norm_after_pooling",
        "projection_bias",
        "qkv_bias",
    ),
    *("layer_scale", "init_cfg"),
)


@MODELS.register_module()
@takes_arguments_of(FrameTransformer, without=(*_FIXED, "pooling"))
def clip_vision(
    img_size: int = 224,
    patch_size: int = 16,
    *,
    act_cfg: LayerCfg | None = QUICK_GELU,
    norm_eps: float = 1e-5,
    **settings: Any,
) -> FrameTransformer:
    """The image encoder of CLIP (B/16); `projection=512` gives embeddings that compare with texts.

    Args: see `FrameTransformer`.
    """
    return FrameTransformer(img_size, patch_size, pre_norm=True, act_cfg=act_cfg, norm_eps=norm_eps, **settings)


@MODELS.register_module()
@takes_arguments_of(FrameTransformer, without=(*_FIXED, "projection"))
def siglip_vision(
    img_size: int = 224,
    patch_size: int = 16,
    *,
    pooling: Pooling = "attention",
    act_cfg: LayerCfg | None = TANH_GELU,
    **settings: Any,
) -> FrameTransformer:
    """The image encoder of SigLIP, and of SigLIP 2 with a fixed size (B/16).

    Args: see `FrameTransformer`.
    """
    return FrameTransformer(img_size, patch_size, class_token=False, pooling=pooling, act_cfg=act_cfg, **settings)
