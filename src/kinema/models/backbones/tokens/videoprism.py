"""VideoPrism: attention over each frame, then over time at each place.

Source: VideoPrism, Zhao et al. 2024, arXiv:2402.13217. Parts have the names that transformers gives
them. As there, norms multiply by 1 + weight, logits are capped, and positions are fitted to clips of
other sizes. Inputs are values from 0 to 1.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models.backbones.base import Backbone
from kinema.models.backbones.tokens.videoprism_files import FORMATS
from kinema.models.features import TokenMaps
from kinema.models.init import InitCfg
from kinema.models.init_report import InitReport
from kinema.models.layers import LayerCfg, build_conv_layer
from kinema.models.layers.attention import check_heads
from kinema.models.layers.bricks.drop import DropPath, rising_rates
from kinema.models.layers.bricks.padding import Pair
from kinema.models.layers.inputs import check_clips
from kinema.models.layers.mlp import Mlp
from kinema.models.layers.offset_norm import OffsetLayerNorm
from kinema.models.layers.positions import PositionTable, resize_positions
from kinema.models.layers.recomputation import recomputed
from kinema.models.layers.settings import check_given, check_positive, check_rates, check_sizes, sides
from kinema.models.layers.soft_capped_attention import soft_capped_attend
from kinema.registry import MODELS


class Attention(nn.Module):
    """(B, N, E) -> (B, N, E): attention with capped logits.

    Args:
        embed_dims: E.
        num_heads: heads, which divide E.
        qkv_bias: queries, keys and values have a bias.
        logit_cap: see `soft_capped_attend`.
    """

    def __init__(self, embed_dims: int, num_heads: int, qkv_bias: bool, logit_cap: float | None) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.logit_cap = logit_cap
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(embed_dims, embed_dims, bias=qkv_bias) for _ in range(3))
        self.o_proj = nn.Linear(embed_dims, embed_dims)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            part(x).unflatten(2, (self.num_heads, -1)).transpose(1, 2)  # (B, H, N, E / H)
            for part in (self.q_proj, self.k_proj, self.v_proj)
        )
        out = soft_capped_attend(query, key, value, self.logit_cap)
        return self.o_proj(out.transpose(1, 2).flatten(2))


class Layer(nn.Module):
    """Attention and two linear layers, each behind a norm and with a residual connection."""

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        mlp_channels: int,
        qkv_bias: bool,
        logit_cap: float | None,
        norm_eps: float,
        act_cfg: LayerCfg,
        drop_path_rate: float,
    ) -> None:
        super().__init__()
        self.layernorm_before = OffsetLayerNorm(embed_dims, norm_eps)
        self.attention = Attention(embed_dims, num_heads, qkv_bias, logit_cap)
        self.layernorm_after = OffsetLayerNorm(embed_dims, norm_eps)
        self.mlp = Mlp(embed_dims, mlp_channels, act_cfg=act_cfg)
        self.drop_path = DropPath(drop_path_rate) if drop_path_rate else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attention(self.layernorm_before(x)))
        return x + self.drop_path(self.mlp(self.layernorm_after(x)))


class _Patches(nn.Module):
    """The convolution that makes tokens, under the name that files give it."""

    def __init__(self, in_channels: int, embed_dims: int, size: tuple[int, int, int]) -> None:
        super().__init__()
        self.projection = build_conv_layer({"type": "Conv3d"}, in_channels, embed_dims, size, stride=size)

    def forward(self, x: Tensor) -> Tensor:
        return self.projection(x)


class _Embeddings(nn.Module):
    """A table of positions, (1, N, E), and the patches that they belong to, if any."""

    def __init__(self, positions: int, embed_dims: int, patches: nn.Module | None = None) -> None:
        super().__init__()
        self.position_embeddings = nn.Parameter(torch.zeros(1, positions, embed_dims))
        if patches is not None:
            self.patch_embeddings = patches


@MODELS.register_module()
class VideoPrism(Backbone):
    """(B, C, T, H, W) float -> (B, E, T / `tubelet_size`, H / `patch_size`, W / `patch_size`).

    Args:
        num_frames: T for which the positions are made.
        img_size: H and W for which they are: one number for both, or two.
        patch_size: pixels of a patch, which divide H and W.
        tubelet_size: frames of a patch, which divide T.
        in_channels: C.
        embed_dims: E.
        num_spatial_layers: layers over the patches of a frame.
        num_temporal_layers: layers over the frames at a place.
        num_auxiliary_layers: further layers over all tokens; the encoder of videos of the video-text
            model has 2.
        num_heads: heads of every attention, which divide E.
        mlp_channels: between the linear layers; None: 4 E.
        qkv_bias: queries, keys and values have a bias.
        logit_cap: logits of attention stay between minus and plus this; None: they are not capped.
        norm_eps: of all norms.
        act_cfg: between the linear layers; None: exact `GELU`.
        interpolate_positions: positions are fitted to clips of another size, and those in files to the
            network; False: such clips and files are an error.
        drop_path_rate: of the last layer in training; it rises from 0 over the layers.
        with_cp: compute layers again in the backward pass instead of keeping what is in them.
        frozen_stages: the patches (0) and so many layers are not trained; -1: everything is.
        pretrained: checkpoint that `init_weights` loads: of Google, `.npz`, or of transformers.
        init_cfg: replaces the initialisation.

    Attributes:
        out_channels: E.

    Raises:
        ConfigError: patches, tubelets or heads do not divide what they should, or `logit_cap` is not
            above 0.
    """

    file_formats = FORMATS
    unit_range = True

    def __init__(
        self,
        num_frames: int = 16,
        img_size: Pair = 288,
        *,
        patch_size: Pair = 18,
        tubelet_size: int = 1,
        in_channels: int = 3,
        embed_dims: int = 768,
        num_spatial_layers: int = 12,
        num_temporal_layers: int = 4,
        num_auxiliary_layers: int = 0,
        num_heads: int = 12,
        mlp_channels: int | None = None,
        qkv_bias: bool = True,
        logit_cap: float | None = 50.0,
        norm_eps: float = 1e-6,
        act_cfg: LayerCfg | None = None,
        interpolate_positions: bool = True,
        drop_path_rate: float = 0.0,
        with_cp: bool = False,
        frozen_stages: int = -1,
        pretrained: str | None = None,
        init_cfg: InitCfg | None = None,
    ) -> None:
        default: InitCfg = [{"type": "TruncNormal", "layer": ["Linear", "Conv3d"], "std": 0.02, "bias": 0.0}]
        super().__init__(init_cfg or default, pretrained=pretrained, frozen_stages=frozen_stages)
        check_sizes("VideoPrism", lowest=0, num_auxiliary_layers=num_auxiliary_layers)
        check_sizes(
            "VideoPrism",
            num_frames=num_frames,
            tubelet_size=tubelet_size,
            in_channels=in_channels,
            embed_dims=embed_dims,
            num_spatial_layers=num_spatial_layers,
            num_temporal_layers=num_temporal_layers,
            num_heads=num_heads,
        )
        check_given("VideoPrism", mlp_channels=mlp_channels)
        check_rates("VideoPrism", drop_path_rate=drop_path_rate)
        check_positive("VideoPrism", norm_eps=norm_eps, logit_cap=logit_cap)
        check_heads(embed_dims, num_heads, "VideoPrism")
        self.in_channels = in_channels
        self.embed_dims = self.out_channels = embed_dims
        self.patch_size, self.tubelet_size = sides("VideoPrism", "patch_size", patch_size), tubelet_size
        self.num_frames, self.img_size = num_frames, sides("VideoPrism", "img_size", img_size)
        self.grid_size = self._grid(num_frames, *self.img_size)
        self.interpolate_positions = interpolate_positions
        self.with_cp = with_cp
        frames, rows, columns = self.grid_size
        patches = _Patches(in_channels, embed_dims, (tubelet_size, *self.patch_size))
        self.spatial_embeddings = _Embeddings(rows * columns, embed_dims, patches)
        self.temporal_embeddings = _Embeddings(frames, embed_dims)
        counts = (num_spatial_layers, num_temporal_layers, num_auxiliary_layers)
        rates = iter(rising_rates(drop_path_rate, sum(counts)))
        self.spatial_layers, self.temporal_layers, self.auxiliary_layers = (
            nn.ModuleList(
                Layer(
                    embed_dims,
                    num_heads,
                    mlp_channels or 4 * embed_dims,
                    qkv_bias,
                    logit_cap,
                    norm_eps,
                    act_cfg or {"type": "GELU"},
                    next(rates),
                )
                for _ in range(count)
            )
            for count in counts
        )
        self.layernorm1, self.layernorm2 = (OffsetLayerNorm(embed_dims, norm_eps) for _ in range(2))
        self.hold()

    def _init_weights(self, report: InitReport) -> None:
        for part in (self.spatial_embeddings, self.temporal_embeddings):
            nn.init.trunc_normal_(part.position_embeddings, std=0.02)
        super()._init_weights(report)

    def parts_by_stage(self) -> list[list[nn.Module]]:
        """The patches, then each layer; norms and positions between them are of the layer that they stand beside."""
        stages: list[list[nn.Module]] = [[self.spatial_embeddings], *([layer] for layer in self.spatial_layers)]
        stages[-1].append(self.layernorm1)
        stages += ([layer] for layer in self.temporal_layers)
        stages[-1] += [self.temporal_embeddings, self.layernorm2]
        return [*stages, *([layer] for layer in self.auxiliary_layers)]

    def _grid(self, frames: int, height: int, width: int) -> tuple[int, int, int]:
        """Tokens over time, rows and columns of clips of a size."""
        for what, whole, name, part in (
            ("frames", frames, "tubelet_size", self.tubelet_size),
            ("pixels of height", height, "patch_size", self.patch_size[0]),
            ("pixels of width", width, "patch_size", self.patch_size[1]),
        ):
            if whole % part or whole < part:
                raise ConfigError(
                    f"VideoPrism: clips of {frames} frames of {height} x {width} pixels: {name}={part} does not divide "
                    f"the {whole} {what}"
                )
        return frames // self.tubelet_size, height // self.patch_size[0], width // self.patch_size[1]

    def position_tables(self) -> dict[str, PositionTable]:
        """Those of places and of frames: linear, averaged where they shrink."""
        grids = {"spatial": self.grid_size[1:], "temporal": self.grid_size[:1]}
        return {
            f"{kind}_embeddings.position_embeddings": PositionTable(grid, "linear", "linear", antialias=True)
            for kind, grid in grids.items()
        }

    def _positions(self, part: _Embeddings, grid: Sequence[int], new_grid: Sequence[int]) -> Tensor:
        return resize_positions(part.position_embeddings, grid, new_grid, space="linear", time="linear", antialias=True)

    def _run(self, layers: nn.ModuleList, x: Tensor) -> Tensor:
        for layer in layers:
            x = recomputed(layer, layer, x) if self.with_cp and torch.is_grad_enabled() else layer(x)
        return x

    def check_size(self, x: Tensor) -> tuple[int, int, int]:
        """The grid of tokens of clips.

        Raises:
            ValueError, ConfigError: the clips are of a size that the network does not take.
        """
        check_clips(x, self.in_channels, "VideoPrism")
        grid = self._grid(*x.shape[2:])
        if grid != self.grid_size and not self.interpolate_positions:
            height, width = self.img_size
            raise ConfigError(
                f"VideoPrism was built for {self.num_frames} frames of {height} x {width} pixels (num_frames, img_size)"
                f", but the clips have {x.shape[2]} of {x.shape[3]} x {x.shape[4]}: set clip_len and crops, or"
                " interpolate_positions=True in backbone"
            )
        return grid

    def spatial(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B T', N, E): tokens of each frame, which saw no other frame, before their norm."""
        _, rows, columns = self.check_size(x)
        x = self.spatial_embeddings.patch_embeddings(x)  # (B, E, T', H', W')
        x = x.transpose(1, 2).flatten(0, 1).flatten(2).transpose(1, 2)  # (B T', N, E)
        x = x + self._positions(self.spatial_embeddings, self.grid_size[1:], (rows, columns))
        return self._run(self.spatial_layers, x)

    def temporal(self, x: Tensor, frames: int) -> Tensor:
        """What `spatial` gives of clips of T' = `frames` -> (B N, T', E): tokens of each place, before their norm."""
        x = self.layernorm1(x).unflatten(0, (-1, frames)).transpose(1, 2).flatten(0, 1)  # (B N, T', E)
        x = x + self._positions(self.temporal_embeddings, self.grid_size[:1], (frames,))
        return self._run(self.temporal_layers, x)

    def joined(self, x: Tensor, rows: int, columns: int) -> Tensor:
        """What `temporal` gives of N = `rows` x `columns` places -> (B, E, T', H', W')."""
        x = self.layernorm2(x).unflatten(0, (-1, rows * columns)).transpose(1, 2)  # (B, T', N, E)
        if self.auxiliary_layers:
            x = self._run(self.auxiliary_layers, x.flatten(1, 2)).unflatten(1, x.shape[1:3])
        return x.unflatten(2, (rows, columns)).permute(0, 4, 1, 2, 3)

    def token_maps(self) -> TokenMaps:
        """It gives maps, which the head pools by attention."""
        return TokenMaps("", lambda maps: maps)

    def forward(self, x: Tensor) -> Tensor:
        frames, rows, columns = self.check_size(x)
        return self.joined(self.temporal(self.spatial(x), frames), rows, columns)
