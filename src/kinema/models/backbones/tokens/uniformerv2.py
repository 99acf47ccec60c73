"""UniFormer v2: CLIP's image transformer, and a decoder that gathers a clip from its last layers.

Source: UniFormerV2, Li et al. 2022, arXiv:2211.09552.
"""

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.checkpoints.pretrained import load_fitted
from kinema.errors import ConfigError
from kinema.models.backbones.base import Backbone
from kinema.models.features import TokenMaps, lay_out_tokens
from kinema.models.init import InitCfg
from kinema.models.init_report import InitReport
from kinema.models.layers.attention import PackedAttention, check_heads
from kinema.models.layers.bricks.drop import DropPath, rising_rates
from kinema.models.layers.inputs import check_clips
from kinema.models.layers.mlp import ClipMlp
from kinema.models.layers.recomputation import recomputed
from kinema.models.layers.settings import check_positive, check_rates, check_sizes
from kinema.registry import MODELS

# CLIP's weights over images that MMAction2 names.
_PUBLISHED = "https://download.openmmlab.com/mmaction/v1.0/recognition/uniformerv2/clipVisualEncoder/"
IMAGE_WEIGHTS = {
    "ViT-B/16": f"{_PUBLISHED}vit-base-p16-res224_clip-rgb_20221219-b8a5da86.pth",
    "ViT-L/14": f"{_PUBLISHED}vit-large-p14-res224_clip-rgb_20221219-9de7543e.pth",
    "ViT-L/14_336": f"{_PUBLISHED}vit-large-p14-res336_clip-rgb_20221219-d370f9e5.pth",
}


class LocalTime(nn.Module):
    """(B, C, T, H, W) -> the same: each place gathers its neighbours in time by a convolution.

    Args:
        channels: C.
        dw_reduction: by which the convolution has fewer channels.
        kernel_size: of the convolution, in frames.
    """

    def __init__(self, channels: int, dw_reduction: float = 1.5, kernel_size: int = 3) -> None:
        super().__init__()
        fewer = int(channels // dw_reduction)
        self.pos_embed = nn.Sequential(
            nn.BatchNorm3d(channels),
            nn.Conv3d(channels, fewer, 1),
            nn.Conv3d(fewer, fewer, (kernel_size, 1, 1), padding=(kernel_size // 2, 0, 0), groups=fewer),
            nn.Conv3d(fewer, channels, 1),
        )
        self.start_at_zero()

    def start_at_zero(self) -> None:
        """Let it add nothing, so that the network starts as one over images."""
        last = self.pos_embed[3]
        nn.init.zeros_(last.weight)  # type: ignore[arg-type]
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.pos_embed(x)
        return out


class ImageBlock(nn.Module):
    """(B T, 1 + H W, C) -> the same: a block of CLIP's transformer, with what gathers neighbours in time.

    Args:
        channels: C.
        num_heads: heads of the attention.
        drop_path: probability that a row does without a branch.
        dw_reduction: see `LocalTime`.
        no_lmhra: nothing gathers neighbours in time.
        double_lmhra: they are gathered behind the attention, too.
    """

    def __init__(
        self, channels: int, num_heads: int, drop_path: float, dw_reduction: float, no_lmhra: bool, double_lmhra: bool
    ) -> None:
        super().__init__()
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()
        self.lmhra1 = None if no_lmhra else LocalTime(channels, dw_reduction)
        self.lmhra2 = None if no_lmhra or not double_lmhra else LocalTime(channels, dw_reduction)
        self.attn = PackedAttention(channels, num_heads)
        self.ln_1 = nn.LayerNorm(channels)
        self.mlp = ClipMlp(channels, channels * 4)
        self.ln_2 = nn.LayerNorm(channels)

    def _gather(self, x: Tensor, local: LocalTime | None, frames: int) -> Tensor:
        if local is None:
            return x
        side = round((x.shape[1] - 1) ** 0.5)
        places = x[:, 1:].unflatten(0, (-1, frames)).unflatten(2, (side, side))  # (B, T, H, W, C)
        places = places.permute(0, 4, 1, 2, 3)
        places = places + self.drop_path(local(places))
        return torch.cat([x[:, :1], places.permute(0, 2, 3, 4, 1).flatten(2, 3).flatten(0, 1)], 1)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        x = self._gather(x, self.lmhra1, frames)
        x = x + self.drop_path(self.attn(self.ln_1(x)))
        x = self._gather(x, self.lmhra2, frames)
        return x + self.drop_path(self.mlp(self.ln_2(x)))


class Extractor(nn.Module):
    """(B, 1, C) class token, (B, N, C) tokens of a clip -> (B, 1, C): the class token looks at the clip.

    Args:
        channels: C.
        num_heads: heads of the attention.
        mlp_factor: hidden channels, as a multiple of C.
        dropout: of these.
        drop_path: probability that a sample does without a branch.
    """

    def __init__(self, channels: int, num_heads: int, mlp_factor: float, dropout: float, drop_path: float) -> None:
        super().__init__()
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()
        self.attn = PackedAttention(channels, num_heads)
        self.ln_1 = nn.LayerNorm(channels)
        self.mlp = ClipMlp(channels, round(mlp_factor * channels), dropout)
        self.ln_2 = nn.LayerNorm(channels)
        self.ln_3 = nn.LayerNorm(channels)

    def forward(self, token: Tensor, clip: Tensor) -> Tensor:
        clip = self.ln_3(clip)
        token = token + self.drop_path(self.attn(self.ln_1(token), clip))
        return token + self.drop_path(self.mlp(self.ln_2(token)))


class Transformer(nn.Module):
    """(B T, 1 + H W, C) -> (B, C): the blocks, and a class token of the clip that looks at what some of them give.

    Arguments of `UniFormerV2`; `width` is C.
    """

    def __init__(
        self,
        width: int,
        layers: int,
        heads: int,
        backbone_drop_path_rate: float,
        dw_reduction: float,
        no_lmhra: bool,
        double_lmhra: bool,
        return_list: Sequence[int],
        n_layers: int,
        n_dim: int,
        n_head: int,
        mlp_factor: float,
        drop_path_rate: float,
        mlp_dropout: Sequence[float],
        *,
        with_cp: bool,
    ) -> None:
        super().__init__()
        self.with_cp = with_cp
        self.return_list = sorted(return_list)
        rates = rising_rates(backbone_drop_path_rate, layers)
        self.resblocks = nn.ModuleList(
            ImageBlock(width, heads, rate, dw_reduction, no_lmhra, double_lmhra) for rate in rates
        )
        self.temporal_cls_token = nn.Parameter(torch.zeros(1, 1, n_dim))
        self.dpe = nn.ModuleList(nn.Conv3d(n_dim, n_dim, 3, padding=1, groups=n_dim) for _ in range(n_layers))
        for convolution in self.dpe:
            nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
        rates = rising_rates(drop_path_rate, n_layers)
        self.dec = nn.ModuleList(
            Extractor(n_dim, n_head, mlp_factor, dropout, rate)
            for dropout, rate in zip(mlp_dropout, rates, strict=True)
        )
        self.norm = nn.LayerNorm(n_dim)
        self.balance = nn.Parameter(torch.zeros(n_dim))

    def forward(self, x: Tensor, frames: int) -> Tensor:
        batch = len(x) // frames
        side = round((x.shape[1] - 1) ** 0.5)
        token = self.temporal_cls_token.expand(batch, -1, -1)
        for number, block in enumerate(self.resblocks):
            if self.with_cp and self.training:
                x = recomputed(block, partial(block, frames=frames), x)
            else:
                x = block(x, frames)
            if number in self.return_list:
                place = self.return_list.index(number)
                clip = x.unflatten(0, (batch, frames))  # (B, T, 1 + H W, C)
                places = clip[:, :, 1:].unflatten(2, (side, side)).permute(0, 4, 1, 2, 3)
                added = self.dpe[place](places).permute(0, 2, 3, 4, 1).flatten(2, 3)
                clip = torch.cat([clip[:, :, :1], clip[:, :, 1:] + added], 2).flatten(1, 2)
                token = self.dec[place](token, clip)
        weight = torch.sigmoid(self.balance)
        of_frames = x[:, 0].unflatten(0, (batch, frames)).mean(1)
        out: Tensor = self.norm((1 - weight) * token[:, 0] + weight * of_frames)
        return out


@MODELS.register_module()
class UniFormerV2(Backbone):
    """(B, 3, T, H, W) float -> (B, E); H = W = `input_resolution`.

    Args:
        input_resolution: pixels of the clips at each side.
        patch_size: pixels of a patch at each side, which divide it.
        width: channels of the transformer over images.
        layers: its blocks.
        heads: its heads.
        backbone_drop_path_rate: probability that a frame does without a branch of its last block; it
            rises from 0 over the blocks.
        t_size: T; clips of another number of frames work as well.
        kernel_size: frames of a patch with `temporal_downsample`.
        dw_reduction, no_lmhra, double_lmhra: see `ImageBlock`.
        temporal_downsample: patches have several frames, at every second one.
        return_list: blocks that the decoder looks at, as many as `n_layers`, in their order in the network.
        n_layers: blocks of the decoder.
        n_dim: E, `width`.
        n_head: heads of the decoder.
        mlp_factor: see `Extractor`.
        drop_path_rate: as `backbone_drop_path_rate`, of the decoder.
        mlp_dropout: dropout of each block of the decoder.
        clip_pretrained: `pretrained` is of CLIP, over images.
        pretrained: checkpoint that `init_weights` loads, or `"ViT-B/16"`, `"ViT-L/14"`, `"ViT-L/14_336"`:
            CLIP's.
        init_cfg: replaces the initialisation.
        with_cp: compute the activations of blocks again in the backward pass: less memory, more time.

    Attributes:
        out_channels: E.

    Raises:
        ConfigError: patches, heads or lists do not fit.
    """

    def __init__(
        self,
        input_resolution: int = 224,
        patch_size: int = 16,
        width: int = 768,
        layers: int = 12,
        heads: int = 12,
        backbone_drop_path_rate: float = 0.0,
        t_size: int = 8,
        kernel_size: int = 3,
        dw_reduction: float = 1.5,
        temporal_downsample: bool = False,
        no_lmhra: bool = True,
        double_lmhra: bool = False,
        return_list: Sequence[int] = (8, 9, 10, 11),
        n_layers: int = 4,
        n_dim: int = 768,
        n_head: int = 12,
        mlp_factor: float = 4.0,
        drop_path_rate: float = 0.0,
        mlp_dropout: Sequence[float] = (0.5, 0.5, 0.5, 0.5),
        clip_pretrained: bool = True,
        pretrained: str | None = None,
        init_cfg: InitCfg | None = None,
        *,
        with_cp: bool = False,
    ) -> None:
        default: InitCfg = [
            {"type": "TruncNormal", "layer": "Linear", "std": 0.02, "bias": 0.0},
            {"type": "Constant", "layer": "LayerNorm", "val": 1.0, "bias": 0.0},
        ]
        weights = IMAGE_WEIGHTS.get(pretrained, pretrained) if isinstance(pretrained, str) else pretrained
        super().__init__(init_cfg or default, pretrained=weights, from_images=clip_pretrained)
        check_sizes(
            "UniFormerV2",
            input_resolution=input_resolution,
            patch_size=patch_size,
            width=width,
            layers=layers,
            heads=heads,
            t_size=t_size,
            kernel_size=kernel_size,
            n_layers=n_layers,
            n_dim=n_dim,
            n_head=n_head,
        )
        check_rates(
            "UniFormerV2",
            backbone_drop_path_rate=backbone_drop_path_rate,
            drop_path_rate=drop_path_rate,
            mlp_dropout=mlp_dropout,
        )
        check_positive("UniFormerV2", dw_reduction=dw_reduction, mlp_factor=mlp_factor)
        check_heads(width, heads, "UniFormerV2", ("width", "heads"))
        check_heads(n_dim, n_head, "UniFormerV2", ("n_dim", "n_head"))
        if input_resolution % patch_size:
            raise ConfigError(
                f"UniFormerV2: patch_size={patch_size} does not divide input_resolution={input_resolution}"
            )
        if n_dim != width:
            raise ConfigError(
                f"UniFormerV2: n_dim={n_dim} must be width={width}: the decoder takes what the blocks give"
            )
        looked_at = set(return_list)
        if not len(looked_at) == len(return_list) == len(mlp_dropout) == n_layers or not looked_at <= set(
            range(layers)
        ):
            raise ConfigError(
                f"UniFormerV2: return_list and mlp_dropout must have n_layers={n_layers} entries, different blocks of 0"
                f" to {layers - 1}, got {list(return_list)} and {list(mlp_dropout)}"
            )
        self.in_channels = 3
        self.input_resolution = input_resolution
        self.patch_size = patch_size
        self.t_size = t_size
        self.clip_pretrained = clip_pretrained
        self.out_channels = n_dim
        frames = (kernel_size, 2, kernel_size // 2) if temporal_downsample else (1, 1, 0)
        self.conv1 = nn.Conv3d(
            3,
            width,
            (frames[0], patch_size, patch_size),
            (frames[1], patch_size, patch_size),
            (frames[2], 0, 0),
            bias=False,
        )
        scale = width**-0.5
        self.class_embedding = nn.Parameter(scale * torch.randn(width))
        self.positional_embedding = nn.Parameter(scale * torch.randn((input_resolution // patch_size) ** 2 + 1, width))
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = Transformer(
            width,
            layers,
            heads,
            backbone_drop_path_rate,
            dw_reduction,
            no_lmhra,
            double_lmhra,
            return_list,
            n_layers,
            n_dim,
            n_head,
            mlp_factor,
            drop_path_rate,
            mlp_dropout,
            with_cp=with_cp,
        )

    def _init_weights(self, report: InitReport) -> None:
        super()._init_weights(report)
        if self.pretrained is None:
            for part in self.modules():
                if isinstance(part, LocalTime):
                    part.start_at_zero()

    def load_pretrained(self, path: str) -> None:
        """Load the weights at `path`; of CLIP's the patches become the middle of those over time."""
        load_fitted(self, path, _fitted)

    def token_maps(self) -> TokenMaps:
        """Where the tokens of its blocks lie."""

        def lay_out(x: Tensor) -> Tensor:  # frame by frame
            side = round((x.shape[1] - 1) ** 0.5)
            return lay_out_tokens(x, (1, side, side))

        return TokenMaps("transformer.resblocks", lay_out)

    def forward(self, x: Tensor) -> Tensor:
        check_clips(x, self.in_channels, "UniFormerV2")
        if x.shape[3] != self.input_resolution or x.shape[4] != self.input_resolution:
            raise ConfigError(
                f"UniFormerV2 was built for {self.input_resolution} x {self.input_resolution} pixels"
                f" (input_resolution), but the clips have {x.shape[3]} x {x.shape[4]}: set the crops"
            )
        x = self.conv1(x)
        frames = x.shape[2]
        x = x.permute(0, 2, 3, 4, 1).flatten(2, 3).flatten(0, 1)  # (B T, H W, C)
        first = self.class_embedding.to(x.dtype).expand(len(x), 1, -1)
        x = self.ln_pre(torch.cat([first, x], 1) + self.positional_embedding.to(x.dtype))
        return self.transformer(x, frames)


def _fitted(name: str, tensor: Tensor, target: Tensor) -> Tensor:
    """A kernel in the middle of one over time; a table of positions for another number of patches."""
    if tensor.dim() == 4 and target.dim() == 5:
        kernel = tensor.new_zeros(*tensor.shape[:2], target.shape[2], *tensor.shape[2:])
        kernel[:, :, target.shape[2] // 2] = tensor
        return kernel
    sides = [round((len(part) - 1) ** 0.5) if part.dim() == 2 else 0 for part in (tensor, target)]
    is_table = all(
        side > 0 and side * side + 1 == len(part) for side, part in zip(sides, (tensor, target), strict=True)
    )
    if is_table and sides[0] != sides[1] and tensor.shape[1] == target.shape[1]:
        image = tensor[1:].T.unflatten(1, (sides[0], sides[0]))[None]
        image = F.interpolate(image, (sides[1], sides[1]), mode="bicubic", align_corners=False)
        return torch.cat([tensor[:1], image[0].flatten(1).T])
    return tensor
