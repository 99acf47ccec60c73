"""UniFormer: convolutions in the first two stages, attention over all tokens in the last two.

Source: UniFormer, Li et al. 2022, arXiv:2201.04676.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from kinema.checkpoints.pretrained import load_fitted
from kinema.errors import ConfigError
from kinema.models.backbones.base import Backbone
from kinema.models.features import lay_out_tokens
from kinema.models.init import InitCfg
from kinema.models.layers.bricks.drop import DropPath, rising_rates
from kinema.models.layers.gelu_linear import activate
from kinema.models.layers.inputs import check_clips
from kinema.models.layers.mlp import Mlp
from kinema.models.layers.recomputation import recomputed
from kinema.models.layers.settings import check_positive, check_rates, check_several, check_sizes
from kinema.models.layers.transformer_block import FusedAttention
from kinema.registry import MODELS

# The weights over images that MMAction2 names.
_PUBLISHED = "https://download.openmmlab.com/mmaction/v1.0/recognition/uniformerv1/"
IMAGE_WEIGHTS = {
    "uniformer_small_in1k": f"{_PUBLISHED}uniformer_small_in1k_20221219-fe0a7ae0.pth",
    "uniformer_base_in1k": f"{_PUBLISHED}uniformer_base_in1k_20221219-82c01015.pth",
}


_STRIDE = 32  # pixels between two places of the result


class PatchEmbed(nn.Module):
    """(B, C, T, H, W) -> (B, E, T', H', W') by a convolution, with a norm over the channels of each token."""

    def __init__(
        self, in_channels: int, embed_dims: int, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int]
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(embed_dims)
        self.proj = nn.Conv3d(in_channels, embed_dims, tuple(kernel), tuple(stride), tuple(padding))  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.proj(x).permute(0, 2, 3, 4, 1)).permute(0, 4, 1, 2, 3)


class ConvolutionalMlp(nn.Module):
    """Two linear layers over the channels of (B, C, T, H, W)."""

    def __init__(self, channels: int, hidden: int, drop: float) -> None:
        super().__init__()
        self.fc1 = nn.Conv3d(channels, hidden, 1)
        self.act = nn.GELU()
        self.fc2 = nn.Conv3d(hidden, channels, 1)
        self.drop = nn.Dropout(drop)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.fc2(self.drop(activate(self.fc1(x), self.fc1, self.act))))


class LocalBlock(nn.Module):
    """(B, C, T, H, W) -> the same: each token gathers its neighbours by a convolution.

    Args:
        channels: C.
        mlp_ratio: hidden channels, as a multiple of C.
        drop: dropout of the linear layers.
        drop_path: probability that a sample does without a branch.
    """

    def __init__(self, channels: int, mlp_ratio: float, drop: float, drop_path: float) -> None:
        super().__init__()
        self.pos_embed = nn.Conv3d(channels, channels, 3, padding=1, groups=channels)
        self.norm1 = nn.BatchNorm3d(channels)
        self.conv1 = nn.Conv3d(channels, channels, 1)
        self.conv2 = nn.Conv3d(channels, channels, 1)
        self.attn = nn.Conv3d(channels, channels, 5, padding=2, groups=channels)
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()
        self.norm2 = nn.BatchNorm3d(channels)
        self.mlp = ConvolutionalMlp(channels, int(channels * mlp_ratio), drop)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.pos_embed(x)
        x = x + self.drop_path(self.conv2(self.attn(self.conv1(self.norm1(x)))))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class GlobalBlock(nn.Module):
    """(B, C, T, H, W) -> the same: each token looks at all others.

    Args:
        channels: C.
        num_heads: heads, which divide C.
        mlp_ratio: hidden channels, as a multiple of C.
        qkv_bias: queries, keys and values have a bias.
        qk_scale: see `attend`.
        drop: dropout of both branches.
        attn_drop: dropout of the attention.
        drop_path: probability that a sample does without a branch.
    """

    def __init__(
        self,
        channels: int,
        num_heads: int,
        mlp_ratio: float,
        qkv_bias: bool,
        qk_scale: float | None,
        drop: float,
        attn_drop: float,
        drop_path: float,
    ) -> None:
        super().__init__()
        self.pos_embed = nn.Conv3d(channels, channels, 3, padding=1, groups=channels)
        self.norm1 = nn.LayerNorm(channels)
        self.attn = FusedAttention(channels, num_heads, qkv_bias, qk_scale, attn_drop, drop)
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = Mlp(channels, int(channels * mlp_ratio), drop=drop)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.pos_embed(x)
        tokens = x.flatten(2).transpose(1, 2)
        tokens = tokens + self.drop_path(self.attn(self.norm1(tokens)))
        tokens = tokens + self.drop_path(self.mlp(self.norm2(tokens)))
        return lay_out_tokens(tokens, x.shape[2:])


@MODELS.register_module()
class UniFormer(Backbone):
    """(B, C, T, H, W) float -> (B, E, T / 2, H / 32, W / 32), E the channels of the last stage.

    Args:
        depth: blocks of the four stages.
        img_size: pixels of the clips at each side; other sizes work as well.
        in_chans: C.
        embed_dim: channels of the stages.
        head_dim: channels of a head of the attention; they divide those of the last two stages.
        mlp_ratio: hidden channels of a block, as a multiple of its channels.
        qkv_bias, qk_scale: see `GlobalBlock`.
        drop_rate: dropout behind the first patches, and in each block.
        attn_drop_rate: dropout of the attention.
        drop_path_rate: probability that a sample does without a branch of the last block; it rises
            from 0 over the blocks.
        pretrained2d: `pretrained` is of a network over images, whose weights are fitted to this one.
        pretrained: checkpoint that `init_weights` loads, or `"uniformer_small_in1k"`,
            `"uniformer_base_in1k"`: ImageNet's.
        init_cfg: replaces the initialisation.
        with_cp: compute the activations of blocks again in the backward pass: less memory, more time.

    Attributes:
        out_channels: E.

    Raises:
        ConfigError: there are not four stages, or heads do not divide their channels.
    """

    def __init__(
        self,
        depth: Sequence[int] = (5, 8, 20, 7),
        img_size: int = 224,
        in_chans: int = 3,
        embed_dim: Sequence[int] = (64, 128, 320, 512),
        head_dim: int = 64,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        pretrained2d: bool = True,
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
        super().__init__(init_cfg or default, pretrained=weights, from_images=pretrained2d)
        check_sizes("UniFormer", img_size=img_size, in_chans=in_chans, head_dim=head_dim)
        check_several("UniFormer", depth=depth, embed_dim=embed_dim)
        check_rates("UniFormer", drop_rate=drop_rate, attn_drop_rate=attn_drop_rate, drop_path_rate=drop_path_rate)
        check_positive("UniFormer", mlp_ratio=mlp_ratio, qk_scale=qk_scale)
        self.with_cp = with_cp
        if len(depth) != 4 or len(embed_dim) != 4:
            raise ConfigError(f"UniFormer has four stages, got depth={list(depth)} and embed_dim={list(embed_dim)}")
        if any(channels % head_dim for channels in embed_dim[2:]):
            raise ConfigError(f"UniFormer: head_dim={head_dim} does not divide the channels {list(embed_dim)[2:]}")
        self.in_channels = in_chans
        self.img_size = img_size
        self.pretrained2d = pretrained2d
        self.out_channels = embed_dim[-1]
        widths = [in_chans, *embed_dim]
        for stage in range(4):
            size, first = (4, True) if stage == 0 else (2, False)
            embed = PatchEmbed(
                widths[stage],
                widths[stage + 1],
                (3 if first else 1, size, size),
                (2 if first else 1, size, size),
                (1 if first else 0, 0, 0),
            )
            self.add_module(f"patch_embed{stage + 1}", embed)
        self.pos_drop = nn.Dropout(drop_rate)
        rates = iter(rising_rates(drop_path_rate, sum(depth)))
        for stage, (number, channels) in enumerate(zip(depth, embed_dim, strict=True)):
            blocks = [
                LocalBlock(channels, mlp_ratio, drop_rate, next(rates))
                if stage < 2
                else GlobalBlock(
                    channels,
                    channels // head_dim,
                    mlp_ratio,
                    qkv_bias,
                    qk_scale,
                    drop_rate,
                    attn_drop_rate,
                    next(rates),
                )
                for _ in range(number)
            ]
            self.add_module(f"blocks{stage + 1}", nn.ModuleList(blocks))
        self.norm = nn.BatchNorm3d(embed_dim[-1])

    def load_pretrained(self, path: str) -> None:
        """Load the weights at `path`; with `pretrained2d` those of a UniFormer over images.

        Its kernels become the middle of those over time, whose other weights are 0, as published.
        """
        load_fitted(self, path, _inflated if self.pretrained2d else lambda name, tensor, own: tensor)

    def forward(self, x: Tensor) -> Tensor:
        check_clips(x, self.in_channels, "UniFormer")
        if min(x.shape[3:]) < _STRIDE:
            raise ConfigError(
                f"UniFormer makes one place of {_STRIDE} x {_STRIDE} pixels, but the clips have {x.shape[3]} x"
                f" {x.shape[4]}: crop at least {_STRIDE} x {_STRIDE} (crop_size, and img_size of the backbone)"
            )
        for stage in range(1, 5):
            x = self.get_submodule(f"patch_embed{stage}")(x)
            if stage == 1:
                x = self.pos_drop(x)
            for block in getattr(self, f"blocks{stage}"):
                x = recomputed(block, block, x) if self.with_cp and self.training else block(x)
        return self.norm(x)


def _inflated(name: str, tensor: Tensor, target: Tensor) -> Tensor:
    """A kernel of a network over images in the middle of one over time of the shape of `target`."""
    if tensor.dim() != 4 or target.dim() != 5:
        return tensor
    kernel = tensor.new_zeros(*tensor.shape[:2], target.shape[2], *tensor.shape[2:])
    kernel[:, :, target.shape[2] // 2] = tensor
    return kernel
