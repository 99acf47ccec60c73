"""MViT v2: attention over tokens that are pooled, to fewer of more channels from stage to stage.

Source: MViTv2, Li et al. 2022, arXiv:2112.01526.
"""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.checkpoints.pretrained import load_fitted
from kinema.errors import ConfigError
from kinema.models.backbones.base import Backbone
from kinema.models.features import TokenMaps, lay_out_tokens
from kinema.models.init import InitCfg
from kinema.models.init_report import InitReport
from kinema.models.layers import LayerCfg
from kinema.models.layers.bricks.drop import DropPath, rising_rates
from kinema.models.layers.by_name import build_norm_layer
from kinema.models.layers.inputs import check_clips
from kinema.models.layers.linear import apply_linear
from kinema.models.layers.mlp import Mlp
from kinema.models.layers.pooled_attention import PooledAttention, Size, pool_tokens
from kinema.models.layers.recomputation import recomputed
from kinema.models.layers.settings import check_positive, check_rates, check_several, check_sizes, check_triple
from kinema.registry import MODELS

# How torch resizes tables of positions over frames, rows and columns.
INTERPOLATIONS = ("trilinear", "nearest", "nearest-exact", "area")

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "tiny": {"embed_dims": 96, "num_layers": 10, "num_heads": 1, "downscale_indices": [1, 3, 8]},
    "small": {"embed_dims": 96, "num_layers": 16, "num_heads": 1, "downscale_indices": [1, 3, 14]},
    "base": {"embed_dims": 96, "num_layers": 24, "num_heads": 1, "downscale_indices": [2, 5, 21]},
    "large": {"embed_dims": 144, "num_layers": 48, "num_heads": 2, "downscale_indices": [2, 8, 44]},
}


class PooledBlock(nn.Module):
    """Pooled attention and two linear layers, each behind a norm and with a residual connection.

    Args:
        in_dims: channels of the tokens.
        out_dims: channels of the result.
        num_heads, stride_q, input_size: see `PooledAttention`.
        mlp_ratio: hidden channels, as a multiple of those that the attention gives.
        drop_path: probability that a sample does without a branch.
        norm_cfg: of all norms.
        dim_mul_in_attention: the attention gives `out_dims`; else the linear layers do.
        **settings: further arguments of `PooledAttention`.
    """

    def __init__(
        self,
        in_dims: int,
        out_dims: int,
        num_heads: int,
        stride_q: Size,
        input_size: Size,
        mlp_ratio: float,
        drop_path: float,
        norm_cfg: LayerCfg,
        dim_mul_in_attention: bool,
        **settings: Any,
    ) -> None:
        super().__init__()
        self.dim_mul_in_attention = dim_mul_in_attention
        self.with_cls_token = settings["with_cls_token"]
        self.in_dims, self.out_dims = in_dims, out_dims
        attn_dims = out_dims if dim_mul_in_attention else in_dims
        self.norm1 = build_norm_layer(norm_cfg, in_dims)[1]
        self.attn = PooledAttention(
            in_dims, attn_dims, num_heads, norm_cfg=norm_cfg, stride_q=stride_q, input_size=input_size, **settings
        )
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()
        self.norm2 = build_norm_layer(norm_cfg, attn_dims)[1]
        self.mlp = Mlp(attn_dims, int(attn_dims * mlp_ratio), out_dims)
        self.proj = nn.Linear(in_dims, out_dims) if in_dims != out_dims else None
        self.pool_skip: nn.Module | None = None
        if math.prod(stride_q) > 1:
            kernel = tuple(step + 1 if step > 1 else step for step in stride_q)
            self.pool_skip = nn.MaxPool3d(kernel, stride_q, tuple(size // 2 for size in kernel))

    def forward(self, x: Tensor, size: Size) -> tuple[Tensor, Size]:
        normed = self.norm1(x)
        branch, smaller = self.attn(normed, size)
        skip = x if self.proj is None or not self.dim_mul_in_attention else apply_linear(self.proj, normed)
        if self.pool_skip is not None:
            skip = pool_tokens(skip, self.pool_skip, size, self.with_cls_token)[0]
        x = skip + self.drop_path(branch)
        normed = self.norm2(x)
        skip = x if self.proj is None or self.dim_mul_in_attention else apply_linear(self.proj, normed)
        return skip + self.drop_path(self.mlp(normed)), smaller


class PatchEmbed3D(nn.Module):
    """(B, C, T, H, W) -> (B, N, E), and the size of the clip in tokens."""

    def __init__(self, in_channels: int, embed_dims: int, **convolution: Any) -> None:
        super().__init__()
        self.projection = nn.Conv3d(in_channels, embed_dims, **convolution)

    def forward(self, x: Tensor) -> tuple[Tensor, Size]:
        x = self.projection(x)
        size: Size = tuple(x.shape[2:])  # type: ignore[assignment]
        return x.flatten(2).transpose(1, 2), size


@MODELS.register_module()
class MViT(Backbone):
    """(B, C, T, H, W) float -> a tuple with, for each scale, a map (B, C', T', H', W') and the class token (B, C').

    Args:
        arch: `"tiny"`, `"small"`, `"base"`, `"large"`, or a dict of `embed_dims`, `num_layers`, `num_heads` and
            `downscale_indices`, the blocks that begin a stage, in ascending order. `dim_mul_indices`:
            blocks in which (or before which, see `dim_mul_in_attention`) channels and heads grow; left
            out: those.
        spatial_size: pixels of the clips at each side, for which tables of positions are made; other
            sizes are interpolated.
        temporal_size: frames of the clips.
        in_channels: C.
        pretrained: checkpoint that `init_weights` loads.
        pretrained_type: what it was trained on, `"imagenet"` or `"maskfeat"`; its weights are fitted
            to this network whatever this says.
        out_scales: stages, from 0, whose output is returned; -1: the last.
        drop_path_rate: probability that a sample does without a branch of the last block; it rises
            from 0 over the blocks.
        use_abs_pos_embed: each place has a learned position, too.
        interpolate_mode: how those are interpolated.
        pool_kernel: of the poolings.
        dim_mul: by which channels grow from stage to stage.
        head_mul: by which heads do.
        adaptive_kv_stride: steps of the pooling of keys and values in the first stage; they fall as the
            clip gets smaller.
        rel_pos_embed, residual_pooling, rel_pos_zero_init, qkv_bias: see `PooledAttention`.
        dim_mul_in_attention: channels grow in the attention, not in the linear layers.
        with_cls_token: there is a class token.
        output_cls_token: it is returned; else maps alone.
        mlp_ratio: hidden channels of a block, as a multiple of its channels.
        norm_cfg: of all norms.
        patch_cfg: changes of the convolution that makes tokens.
        init_cfg: replaces the initialisation.
        with_cp: compute the activations of blocks again in the backward pass: less memory, more time.

    Attributes:
        out_channels: channels of the output; a tuple where there are several scales.
        arch_zoo: the settings of each named architecture.

    Raises:
        ConfigError: there is no such architecture or scale, or heads do not divide channels.
    """

    arch_zoo: ClassVar[Mapping[str, Mapping[str, Any]]] = ARCHITECTURES

    def __init__(
        self,
        arch: str | Mapping[str, Any] = "base",
        spatial_size: int = 224,
        temporal_size: int = 16,
        in_channels: int = 3,
        pretrained: str | None = None,
        pretrained_type: str | None = None,
        out_scales: int | Sequence[int] = -1,
        drop_path_rate: float = 0.0,
        use_abs_pos_embed: bool = False,
        interpolate_mode: str = "trilinear",
        pool_kernel: Sequence[int] = (3, 3, 3),
        dim_mul: int = 2,
        head_mul: int = 2,
        adaptive_kv_stride: Sequence[int] = (1, 8, 8),
        rel_pos_embed: bool = True,
        residual_pooling: bool = True,
        dim_mul_in_attention: bool = True,
        with_cls_token: bool = True,
        output_cls_token: bool = True,
        rel_pos_zero_init: bool = False,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        norm_cfg: LayerCfg | None = None,
        patch_cfg: Mapping[str, Any] | None = None,
        init_cfg: InitCfg | None = None,
        *,
        with_cp: bool = False,
    ) -> None:
        default: InitCfg = [
            {"type": "TruncNormal", "layer": ["Conv2d", "Conv3d"], "std": 0.02},
            {"type": "TruncNormal", "layer": "Linear", "std": 0.02, "bias": 0.02},
            {"type": "Constant", "layer": "LayerNorm", "val": 1.0, "bias": 0.02},
        ]
        super().__init__(init_cfg or default, pretrained=pretrained)
        check_sizes(
            "MViT",
            spatial_size=spatial_size,
            temporal_size=temporal_size,
            in_channels=in_channels,
            dim_mul=dim_mul,
            head_mul=head_mul,
        )
        check_triple("MViT", pool_kernel=pool_kernel, adaptive_kv_stride=adaptive_kv_stride)
        check_rates("MViT", drop_path_rate=drop_path_rate)
        check_positive("MViT", mlp_ratio=mlp_ratio)
        if interpolate_mode not in INTERPOLATIONS:
            raise ConfigError(
                f"MViT: interpolate_mode must be one of {', '.join(INTERPOLATIONS)}, got {interpolate_mode!r}"
            )
        self.with_cp = with_cp
        settings = _architecture(arch)
        self.arch_settings = settings
        self.embed_dims: int = settings["embed_dims"]
        self.num_layers: int = settings["num_layers"]
        self.num_heads: int = settings["num_heads"]
        self.downscale_indices = list(settings["downscale_indices"])
        self.dim_mul_indices = list(settings.get("dim_mul_indices", self.downscale_indices))
        grow_late = int(not dim_mul_in_attention)  # the linear layers of the block in front do it
        self.num_scales = len(self.downscale_indices) + 1
        self.in_channels = in_channels
        self.with_cls_token, self.output_cls_token = with_cls_token, output_cls_token
        self.interpolate_mode = interpolate_mode
        self.pretrained_type = pretrained_type
        if output_cls_token and not with_cls_token:
            raise ConfigError("MViT: output_cls_token=True needs with_cls_token=True")
        if pretrained_type not in (None, "imagenet", "maskfeat"):
            raise ConfigError(f"MViT: pretrained_type must be 'imagenet', 'maskfeat' or None, got {pretrained_type!r}")
        norm_cfg = norm_cfg or {"type": "LN", "eps": 1e-6}
        scales = [out_scales] if isinstance(out_scales, int) else out_scales
        check_several("MViT", lowest=-self.num_scales, out_scales=scales)
        self.out_scales = sorted(
            scale % self.num_scales for scale in scales if -self.num_scales <= scale < self.num_scales
        )
        if not scales or len(self.out_scales) != len(scales):
            raise ConfigError(f"MViT: out_scales must be stages from 0 to {self.num_scales - 1}, got {out_scales}")
        convolution = {"kernel_size": (3, 7, 7), "stride": (2, 4, 4), "padding": (1, 3, 3), **(patch_cfg or {})}
        self.patch_embed = PatchEmbed3D(in_channels, self.embed_dims, **convolution)
        size = self._size_of((temporal_size, spatial_size, spatial_size))
        self.patch_resolution = size
        # Files have it in any case.
        self.cls_token = nn.Parameter(torch.zeros(1, 1, self.embed_dims), requires_grad=with_cls_token)
        self.use_abs_pos_embed = use_abs_pos_embed
        if use_abs_pos_embed:
            # The class token has a place in files in any case.
            self.pos_embed = nn.Parameter(torch.zeros(1, 1 + math.prod(size), self.embed_dims))
        # What stage each block ends: its output may be returned.
        self.stage_indices = {index - 1: stage for stage, index in enumerate(self.downscale_indices)}
        self.stage_indices[self.num_layers - 1] = self.num_scales - 1
        if 0 in self.out_scales and 0 in self.downscale_indices:
            raise ConfigError("MViT: out_scales names stage 0, but block 0 begins stage 1 (downscale_indices of arch)")
        self._widths: dict[int, int] = {}
        self.blocks = nn.ModuleList()
        rates = rising_rates(drop_path_rate, self.num_layers)
        stride_kv: Size = tuple(adaptive_kv_stride)  # type: ignore[assignment]
        channels, heads = self.embed_dims, self.num_heads
        for number, rate in enumerate(rates):
            stride_q: Size = (1, 1, 1)
            width = channels
            if number in self.downscale_indices or number in self.dim_mul_indices:
                heads *= head_mul
            if number in self.downscale_indices:
                stride_q = (1, 2, 2)
                stride_kv = tuple(max(step // 2, 1) for step in stride_kv)  # type: ignore[assignment]
            if number + grow_late in self.dim_mul_indices:
                width = channels * dim_mul
            block = PooledBlock(
                channels,
                width,
                heads,
                stride_q,
                size,
                mlp_ratio,
                rate,
                norm_cfg,
                dim_mul_in_attention,
                qkv_bias=qkv_bias,
                pool_kernel=tuple(pool_kernel),
                stride_kv=stride_kv,
                rel_pos_embed=rel_pos_embed,
                residual_pooling=residual_pooling,
                rel_pos_zero_init=rel_pos_zero_init,
                with_cls_token=with_cls_token,
            )
            self.blocks.append(block)
            size = tuple(there // step for there, step in zip(size, stride_q, strict=True))  # type: ignore[assignment]
            channels = width
            if (stage := self.stage_indices.get(number)) in self.out_scales and stage is not None:
                self._widths[stage] = channels
                self.add_module(f"norm{stage}", build_norm_layer(norm_cfg, channels)[1])
        given = tuple(self._widths[stage] for stage in self.out_scales)
        self.out_channels: int | tuple[int, ...] = given[0] if len(given) == 1 else given

    def _init_weights(self, report: InitReport) -> None:
        if self.use_abs_pos_embed:
            nn.init.trunc_normal_(self.pos_embed, std=0.02)
        super()._init_weights(report)

    def _size_of(self, clip: Size) -> Size:
        """Tokens of a clip along each dimension."""
        with torch.no_grad():
            empty = torch.empty(1, self.in_channels, *clip, device="meta")
            convolution = self.patch_embed.projection
            shape = F.conv3d(
                empty,
                convolution.weight.to("meta"),
                stride=convolution.stride,
                padding=convolution.padding,
                dilation=convolution.dilation,
            ).shape
        return shape[2], shape[3], shape[4]

    def load_pretrained(self, path: str) -> None:
        """Load the weights at `path`: of this network, of MaskFeat, or of a network over images.

        Tables of distances of another size are interpolated, kernels over images repeated over time.
        """
        load_fitted(self, path, _fitted)

    def forward(self, x: Tensor) -> tuple[Any, ...]:
        check_clips(x, self.in_channels, "MViT")
        x, size = self.patch_embed(x)
        if self.with_cls_token:
            x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1)
        if self.use_abs_pos_embed:
            x = x + self._positions(size)
        outs: list[Any] = []
        for number, block in enumerate(self.blocks):
            if self.with_cp and self.training:
                x, size = recomputed(block, partial(block, size=size), x)
            else:
                x, size = block(x, size)
            stage = self.stage_indices.get(number)
            if stage in self.out_scales:
                x = self.get_submodule(f"norm{stage}")(x)
                outs.append(self._output(x, size))
        return tuple(outs)

    def token_maps(self) -> TokenMaps:
        """Where the tokens of its blocks lie."""
        return TokenMaps("blocks", lambda output: lay_out_tokens(*output))

    def _output(self, x: Tensor, size: Size) -> Any:
        feature_map = lay_out_tokens(x, size)
        return [feature_map, x[:, 0]] if self.output_cls_token else feature_map

    def _positions(self, size: Size) -> Tensor:
        """The learned positions for a clip of `size` tokens."""
        of_class, places = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        if size != self.patch_resolution:
            table = places.transpose(1, 2).unflatten(2, self.patch_resolution)
            aligned = False if self.interpolate_mode == "trilinear" else None  # the others have no such choice
            table = F.interpolate(table, size, mode=self.interpolate_mode, align_corners=aligned)
            places = table.flatten(2).transpose(1, 2)
        return torch.cat([of_class, places], 1) if self.with_cls_token else places


def _architecture(arch: str | Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(arch, str):
        if arch.lower() not in ARCHITECTURES:
            raise ConfigError(f"MViT: arch must be one of {', '.join(ARCHITECTURES)}, or a dict, got {arch!r}")
        return ARCHITECTURES[arch.lower()]
    needed = ("embed_dims", "num_layers", "num_heads", "downscale_indices")
    if missing := [key for key in needed if key not in arch]:
        raise ConfigError(f"MViT: arch must be a dict of {', '.join(needed)}: {', '.join(missing)} missing")
    if unknown := [key for key in arch if key not in (*needed, "dim_mul_indices")]:
        raise ConfigError(
            f"MViT: arch has no {', '.join(map(repr, unknown))}; it has {', '.join(needed)}, dim_mul_indices"
        )
    check_sizes("MViT: arch", **{key: arch[key] for key in needed[:3]})
    for key in ("downscale_indices", "dim_mul_indices"):
        blocks = list(arch.get(key, ()))
        if blocks != sorted(set(blocks)) or not set(blocks) <= set(range(arch["num_layers"])):
            raise ConfigError(
                f"MViT: {key} of arch must be blocks from 0 to {arch['num_layers'] - 1}, each once and in ascending"
                f" order, got {blocks}"
            )
    return arch


def _fitted(name: str, tensor: Tensor, target: Tensor) -> Tensor:
    """A weight of the shape of `target`, where that is another length of a table or of a kernel."""
    if tensor.dim() == 4 and target.dim() == 5:
        return tensor[:, :, None].repeat(1, 1, target.shape[2], 1, 1) / target.shape[2]
    if ".rel_pos_" in name and len(tensor) != len(target) and tensor.shape[1:] == target.shape[1:]:
        return F.interpolate(tensor.T[None], len(target), mode="linear")[0].T
    return tensor
