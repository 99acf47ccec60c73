"""The encoders of V-JEPA 2 and 2.1: tubelets and blocks whose attention turns by frame, row and column.

Source: V-JEPA 2, Assran et al. 2025, arXiv:2506.09985; 2.1 by the authors' code.
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models.backbones.base import Backbone
from kinema.models.backbones.tokens.vjepa_files import FORMATS
from kinema.models.features import TokenMaps, lay_out_tokens
from kinema.models.init import InitCfg
from kinema.models.init_report import InitReport
from kinema.models.layers.attention import check_heads
from kinema.models.layers.bricks.drop import rising_rates
from kinema.models.layers.inputs import check_clips
from kinema.models.layers.prenorm import PreNormBlock, scale_residuals
from kinema.models.layers.recomputation import recomputed
from kinema.models.layers.rotary import (
    Frequencies,
    Rotation,
    check_frequencies,
    grid_places,
    rotation,
    turning_channels,
)
from kinema.models.layers.settings import check_given, check_positive, check_rates, check_sizes
from kinema.models.layers.tubelets import Tubelets
from kinema.registry import MODELS

Masks = Tensor | Sequence[Tensor]

# V-JEPA 2.1: depth -> the blocks that have a norm of their own.
LEVELS = {12: (2, 5, 8, 11), 24: (5, 11, 17, 23), 40: (9, 19, 29, 39), 48: (11, 23, 37, 47)}


@MODELS.register_module()
class VJEPA2(Backbone):
    """(B, C, T, H, W) float -> (B, E, T', H', W'), of any size that tubelets divide.

    The defaults are the ViT-L of V-JEPA 2; 2.1 has `rotary="interleaved"`, `rescaled_grid=16`,
    `image_tubelets`, `modality_embedding` and `level_norms`.

    Args:
        embed_dims: E.
        depth: number of blocks.
        num_heads: of each attention, which divide E.
        mlp_ratio: hidden channels of a block, as a multiple of E.
        patch_size: pixels of a tubelet at each side.
        tubelet_size: frames of a tubelet.
        in_channels: C.
        qkv_bias: queries, keys and values have a bias.
        norm_eps: of all norms.
        rotary: how channels turn, see `rotation`.
        rescaled_grid: rows and columns count as if the frame had so many of them; None: they count
            as they are.
        image_tubelets: single frames (T = 1) have tubelets of one frame, of their own weights, which
            training leaves alone.
        modality_embedding: a vector of videos, and one of single frames, is added to all tokens.
        level_norms: blocks, from 0, of which each has a norm of its own, the last one among them;
            empty: one norm for all.
        out_indices: blocks, from 0, whose normed output is returned, a tuple; None: that of the last.
        drop_path_rate: of the last block; it rises from 0 over the blocks.
        with_cp: forget activations in training and compute them again in the backward pass.
        frozen_stages: the tubelets (0) and so many blocks are not trained, with `depth` nothing is;
            -1: everything is.
        pretrained: file of the authors, or of `transformers`, that `init_weights` loads.
        branch: which weights of an authors' file: `"target_encoder"` (2.1 B and L:
            `"ema_encoder"`), the moving average that published probes are of, or `"encoder"`; None:
            the moving average.
        init_cfg: replaces the initialisation.

    Attributes:
        out_channels: E, once for each level of `out_indices`.

    Raises:
        ConfigError: heads, frequencies, levels or blocks do not fit together, see the message.
    """

    file_formats = FORMATS

    def __init__(
        self,
        embed_dims: int = 1024,
        depth: int = 24,
        *,
        num_heads: int = 16,
        mlp_ratio: float = 4.0,
        patch_size: int = 16,
        tubelet_size: int = 2,
        in_channels: int = 3,
        qkv_bias: bool = True,
        norm_eps: float = 1e-6,
        rotary: Frequencies = "tiled",
        rescaled_grid: int | None = None,
        image_tubelets: bool = False,
        modality_embedding: bool = False,
        level_norms: Sequence[int] = (),
        out_indices: Sequence[int] | None = None,
        drop_path_rate: float = 0.0,
        with_cp: bool = False,
        frozen_stages: int = -1,
        pretrained: str | None = None,
        branch: str | None = None,
        init_cfg: InitCfg | None = None,
    ) -> None:
        default: InitCfg = [
            {"type": "TruncNormal", "layer": ["Linear", "Conv3d"], "std": 0.02, "bias": 0.0},
            {"type": "Constant", "layer": "LayerNorm", "val": 1.0, "bias": 0.0},
        ]
        super().__init__(init_cfg or default, pretrained=pretrained, frozen_stages=frozen_stages)
        check_sizes(
            "VJEPA2",
            embed_dims=embed_dims,
            depth=depth,
            num_heads=num_heads,
            patch_size=patch_size,
            tubelet_size=tubelet_size,
            in_channels=in_channels,
        )
        check_given("VJEPA2", rescaled_grid=rescaled_grid)
        check_rates("VJEPA2", drop_path_rate=drop_path_rate)
        check_positive("VJEPA2", mlp_ratio=mlp_ratio, norm_eps=norm_eps)
        check_heads(embed_dims, num_heads, "VJEPA2")
        check_frequencies(rotary)
        turning_channels(embed_dims // num_heads)
        _check_levels(depth, level_norms, out_indices)
        self.embed_dims, self.depth, self.num_heads = embed_dims, depth, num_heads
        self.patch_size, self.tubelet_size, self.in_channels = patch_size, tubelet_size, in_channels
        self.norm_eps = norm_eps
        self.rotary, self.rescaled_grid = rotary, rescaled_grid
        self.level_norms = tuple(level_norms)
        self.out_indices = None if out_indices is None else tuple(out_indices)
        self.out_channels = embed_dims if out_indices is None else (embed_dims,) * len(out_indices)
        self.with_cp = with_cp
        self.branch = branch

        self.patch_embed = Tubelets(in_channels, embed_dims, (tubelet_size, patch_size, patch_size))
        patch = (1, patch_size, patch_size)
        self.patch_embed_img = Tubelets(in_channels, embed_dims, patch) if image_tubelets else None
        self.img_mod_embed, self.video_mod_embed = (
            nn.Parameter(torch.zeros(1, 1, embed_dims)) if modality_embedding else None for _ in range(2)
        )
        rates = rising_rates(drop_path_rate, depth)
        self.blocks = nn.ModuleList(
            PreNormBlock(embed_dims, num_heads, mlp_ratio, qkv_bias=qkv_bias, norm_eps=norm_eps, drop_path_rate=rate)
            for rate in rates
        )
        if level_norms:
            self.norms_block = nn.ModuleList(nn.LayerNorm(embed_dims, eps=norm_eps) for _ in level_norms)
        else:
            self.norm = nn.LayerNorm(embed_dims, eps=norm_eps)
        self._freeze_unused()
        self.hold()

    def _freeze_unused(self) -> None:
        """Leave alone what clips do not go through: the image path, blocks and norms behind no output."""
        wanted = (self.depth - 1,) if self.out_indices is None else self.out_indices
        unused: list[nn.Module] = [*self.blocks[max(wanted) + 1 :]]
        if self.patch_embed_img is not None:
            unused.append(self.patch_embed_img)
        if self.level_norms:
            unused += [
                norm for block, norm in zip(self.level_norms, self.norms_block, strict=True) if block not in wanted
            ]
        for module in unused:
            module.requires_grad_(False)
        if self.img_mod_embed is not None:
            self.img_mod_embed.requires_grad_(False)

    def parts_by_stage(self) -> list[list[nn.Module]]:
        """The tubelets, then each block; the norms belong to the last one."""
        stem: list[nn.Module] = [part for part in (self.patch_embed, self.patch_embed_img) if part is not None]
        stages: list[list[nn.Module]] = [stem, *([block] for block in self.blocks)]
        stages[-1] = [*stages[-1], self.norms_block if self.level_norms else self.norm]
        return stages

    def _freeze_stages(self) -> None:
        super()._freeze_stages()
        for embedding in (self.img_mod_embed, self.video_mod_embed):
            if embedding is not None and self.frozen_stages >= 0:
                embedding.requires_grad_(False)

    def _init_weights(self, report: InitReport) -> None:
        super()._init_weights(report)
        if not self.pretrained:
            scale_residuals(self.blocks)
            for embedding in (self.img_mod_embed, self.video_mod_embed):
                if embedding is not None:
                    nn.init.normal_(embedding, std=1e-6)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Maps of the last block, or of those of `out_indices`."""
        grid = self._grid(x)
        maps = tuple(lay_out_tokens(tokens, grid) for tokens in self.tokens(x))
        return maps[0] if self.out_indices is None else maps

    def token_maps(self) -> TokenMaps:
        """It gives maps, which the head pools by attention."""
        return TokenMaps("", lambda maps: maps)

    def tokens(self, x: Tensor, masks: Masks | None = None) -> list[Tensor]:
        """The normed tokens of each level, of those tokens that masks keep.

        Args:
            x: (B, C, T, H, W).
            masks: (B, K) indices of the tokens of each sample that the blocks see, which keep their
                places; of several such masks (M), each sample is seen through each. None: all.

        Returns:
            For each of `out_indices`, or for the last block, (B, N, E); with masks (M B, K, E), mask
            after mask.

        Raises:
            ConfigError: the sizes of `x` do not fit.
        """
        grid = self._grid(x)
        places = grid_places(*grid, rescaled_to=self.rescaled_grid).to(x.device)
        is_image = self.patch_embed_img is not None and x.shape[2] == 1
        embed = self.patch_embed_img if is_image else self.patch_embed
        x = embed(x).flatten(2).transpose(1, 2)  # type: ignore[misc]
        embedding = self.img_mod_embed if is_image else self.video_mod_embed
        if embedding is not None:
            x = x + embedding
        if masks is not None:
            x, places = keep_tokens(x, places, masks)
        return self._run(x, rotation(places, self.embed_dims // self.num_heads, self.rotary))

    def _run(self, x: Tensor, by: Rotation) -> list[Tensor]:
        wanted = (self.depth - 1,) if self.out_indices is None else self.out_indices
        levels: dict[int, Tensor] = {}
        for index, block in enumerate(self.blocks[: max(wanted) + 1]):
            apply = partial(block, by=by)
            x = recomputed(block, apply, x) if self.with_cp and self.training else apply(x)
            if index in wanted:
                norm = self.norms_block[self.level_norms.index(index)] if self.level_norms else self.norm
                levels[index] = norm(x)
        return [levels[index] for index in wanted]

    def _grid(self, x: Tensor) -> tuple[int, int, int]:
        """Tubelets of clips: frames, rows, columns."""
        check_clips(x, self.in_channels, "VJEPA2")
        frames, height, width = x.shape[2:]
        patch, tubelet = self.patch_size, self.tubelet_size
        if frames == 1 and self.patch_embed_img is not None:
            tubelet = 1
        if frames < 1 or frames % tubelet:
            raise ConfigError(
                f"VJEPA2 joins tubelet_size={tubelet} frames, which do not divide the {frames} of the clips: set"
                f" clip_len to a multiple of {tubelet}"
            )
        if height < patch or width < patch or height % patch or width % patch:
            raise ConfigError(
                f"VJEPA2 cuts frames into patches of {patch} x {patch} pixels (patch_size), which do not divide frames"
                f" of {height} x {width}: set the crops to multiples of {patch}"
            )
        return frames // tubelet, height // patch, width // patch


def keep_tokens(x: Tensor, places: Tensor, masks: Masks) -> tuple[Tensor, Tensor]:
    """The tokens that masks keep, and their places.

    Args:
        x: (B, N, E).
        places: (N, 3).
        masks: (B, K) indices, or several such.

    Returns:
        (M B, K, E) and (M B, K, 3), mask after mask.

    Raises:
        ValueError: a mask has another number of samples, or points past the tokens.
    """
    several = [masks] if isinstance(masks, Tensor) else list(masks)
    for mask in several:
        if mask.dim() != 2 or len(mask) != len(x) or mask.min() < 0 or mask.max() >= x.shape[1]:
            raise ValueError(
                f"a mask holds indices (batch, tokens) of {len(x)} samples with {x.shape[1]} tokens each, got one of"
                f" shape {tuple(mask.shape)} with indices up to {int(mask.max())}"
            )
    indices = torch.cat(several)
    kept = torch.cat([x.gather(1, mask[..., None].expand(-1, -1, x.shape[2])) for mask in several])
    return kept, places[indices]


def _check_levels(depth: int, level_norms: Sequence[int], out_indices: Sequence[int] | None) -> None:
    for name, blocks in (("level_norms", level_norms), ("out_indices", out_indices or ())):
        if any(not 0 <= block < depth for block in blocks) or len(set(blocks)) < len(blocks):
            raise ConfigError(f"{name} of VJEPA2 names blocks from 0 to {depth - 1}, each once, got {tuple(blocks)}")
    if out_indices is not None and not out_indices:
        raise ConfigError("out_indices of VJEPA2 names no block: leave it out for the last one")
    if level_norms and depth - 1 not in level_norms:
        raise ConfigError(f"level_norms of VJEPA2 must hold the last block, {depth - 1}, got {tuple(level_norms)}")
    without = [block for block in out_indices or () if level_norms and block not in level_norms]
    if without:
        raise ConfigError(
            f"out_indices of VJEPA2 asks for blocks {without}, but only {tuple(level_norms)} have a norm (level_norms)"
        )
