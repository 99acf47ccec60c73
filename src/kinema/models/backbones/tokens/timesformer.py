"""TimeSformer: attention over space and time, jointly, one after the other, or over space alone.

Source: Is Space-Time Attention All You Need for Video Understanding?, Bertasius et al. 2021,
arXiv:2102.05095.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from kinema.checkpoints.file_formats import FileFormat, format_of, load_whole
from kinema.checkpoints.loading import load_checkpoint
from kinema.checkpoints.pretrained import log_report
from kinema.checkpoints.reading import read_checkpoint
from kinema.checkpoints.renaming import STRIP_WRAPPER
from kinema.errors import ConfigError
from kinema.models.backbones.base import Backbone
from kinema.models.backbones.tokens.timesformer_files import FORMATS
from kinema.models.backbones.tokens.timesformer_layers import DividedLayer, JointLayer, Layers
from kinema.models.features import TokenMaps, lay_out_tokens
from kinema.models.init import InitCfg, kaiming_init
from kinema.models.init_report import InitReport
from kinema.models.layers import LayerCfg
from kinema.models.layers.attention import check_heads
from kinema.models.layers.bricks.drop import rising_rates
from kinema.models.layers.bricks.transformer import build_transformer_layer_sequence
from kinema.models.layers.by_name import build_norm_layer
from kinema.models.layers.inputs import check_clips
from kinema.models.layers.positions import PositionTable, resize_positions
from kinema.models.layers.settings import check_given, check_rates, check_sizes
from kinema.registry import MODELS

AttentionType = Literal["divided_space_time", "space_only", "joint_space_time"]
ATTENTION_TYPES = ("divided_space_time", "space_only", "joint_space_time")
DROP_PATH_RATE = 0.1  # of the last layer, as published


class PatchEmbed(nn.Module):
    """(B, C, T, H, W) -> (B T, N, E): each patch of a frame becomes a token.

    Args:
        in_channels: C.
        embed_dims: E.
        patch_size: pixels of a patch at each side.
    """

    def __init__(self, in_channels: int, embed_dims: int, patch_size: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(in_channels, embed_dims, patch_size, stride=patch_size)

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(1, 2).flatten(0, 1)  # (B T, C, H, W)
        return self.projection(x).flatten(2).transpose(1, 2)


@MODELS.register_module()
class TimeSformer(Backbone):
    """(B, C, T, H, W) float -> (B, E); T = `num_frames`, H = W = `img_size`.

    Args:
        num_frames: T.
        img_size: pixels of the clips at each side.
        patch_size: pixels of a patch at each side, which divide `img_size`.
        pretrained: checkpoint that `init_weights` loads: of this network, or of an image transformer,
            whose attention over space starts that over time, too.
        embed_dims: E.
        num_heads: heads of each attention, which divide E.
        num_transformer_layers: number of layers.
        in_channels: C.
        dropout_ratio: dropout behind the positions.
        transformer_layers: config of a `TransformerLayerSequence` in place of these layers; `num_heads`,
            `num_transformer_layers` and what follows `with_cp` have no effect then. It gets the class token
            and the patches place by place, all frames of a place together; of `"space_only"` those of
            each frame by itself.
        attention_type: `"divided_space_time"`, over time and then over space; `"joint_space_time"`, over
            both at once; `"space_only"`, of each frame by itself.
        norm_cfg: of the norm behind the layers.
        init_cfg: replaces the initialisation.
        with_cp: compute the activations of blocks again in the backward pass: less memory, more time.
        layer_norm_cfg: of the norms in the layers, which OpenMMLab's `norm_cfg` does not reach; None:
            `LN` with an eps of 1e-6.
        feedforward_channels: channels between the two linear layers of a layer; None: 4 E.
        drop_path_rate: probability that a row does without a branch of the last layer; it rises from 0
            over the layers.
        pos_grid: frames, rows and columns of patches of the positions, where these are of other clips
            than the ones that come: each place takes those of the nearest, as in the authors' code;
            None: of these.
        interpolate_positions: tables of positions in files that are for clips of another size are fitted:
            the nearest place or frame; else they do not fit.

    Attributes:
        out_channels: E.

    Raises:
        ConfigError: patches or heads do not divide what they should, or there is no such attention.
    """

    file_formats: ClassVar[tuple[FileFormat, ...]] = FORMATS

    def __init__(
        self,
        num_frames: int,
        img_size: int,
        patch_size: int,
        pretrained: str | None = None,
        embed_dims: int = 768,
        num_heads: int = 12,
        num_transformer_layers: int = 12,
        in_channels: int = 3,
        dropout_ratio: float = 0.0,
        transformer_layers: Mapping[str, Any] | None = None,
        attention_type: AttentionType = "divided_space_time",
        norm_cfg: LayerCfg | None = None,
        init_cfg: InitCfg | None = None,
        *,
        with_cp: bool = False,
        layer_norm_cfg: LayerCfg | None = None,
        feedforward_channels: int | None = None,
        drop_path_rate: float = DROP_PATH_RATE,
        pos_grid: Sequence[int] | None = None,
        interpolate_positions: bool = False,
    ) -> None:
        super().__init__(init_cfg, pretrained=pretrained)
        check_sizes(
            "TimeSformer",
            num_frames=num_frames,
            img_size=img_size,
            patch_size=patch_size,
            embed_dims=embed_dims,
            num_heads=num_heads,
            num_transformer_layers=num_transformer_layers,
            in_channels=in_channels,
        )
        check_given("TimeSformer", feedforward_channels=feedforward_channels)
        check_rates("TimeSformer", dropout_ratio=dropout_ratio, drop_path_rate=drop_path_rate)
        if attention_type not in ATTENTION_TYPES:
            raise ConfigError(
                f"TimeSformer: attention_type must be one of {', '.join(ATTENTION_TYPES)}, got {attention_type!r}"
            )
        check_heads(embed_dims, num_heads, "TimeSformer")
        if img_size % patch_size:
            raise ConfigError(f"TimeSformer: patch_size={patch_size} does not divide img_size={img_size}")
        norm_cfg, layer_norm_cfg = (cfg or {"type": "LN", "eps": 1e-6} for cfg in (norm_cfg, layer_norm_cfg))
        self.in_channels = in_channels
        self.embed_dims = self.out_channels = embed_dims
        self.num_frames, self.img_size, self.patch_size = num_frames, img_size, patch_size
        self.num_transformer_layers = num_transformer_layers
        self.attention_type = attention_type
        side = img_size // patch_size
        self.grid_size = (num_frames, side, side)
        self.pos_grid = self.grid_size if pos_grid is None else tuple(pos_grid)
        if len(self.pos_grid) != 3 or min(self.pos_grid) < 1:
            raise ConfigError(f"TimeSformer: pos_grid must be (frames, rows, columns) of patches, got {pos_grid!r}")
        num_patches = self.pos_grid[1] * self.pos_grid[2]
        self.interpolate_positions = interpolate_positions
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dims))
        self.pos_embed = nn.Parameter(torch.zeros(1, num_patches + 1, embed_dims))
        if attention_type != "space_only":
            self.time_embed = nn.Parameter(torch.zeros(1, self.pos_grid[0], embed_dims))
        self.patch_embed = PatchEmbed(in_channels, embed_dims, patch_size)
        self.drop_after_pos = nn.Dropout(dropout_ratio)
        self.drop_after_time = nn.Dropout(dropout_ratio)
        self.norm = build_norm_layer(norm_cfg, embed_dims)[1]
        hidden = embed_dims * 4 if feedforward_channels is None else feedforward_channels
        rates = rising_rates(drop_path_rate, num_transformer_layers)
        self.transformer_layers: nn.Module = (
            build_transformer_layer_sequence(transformer_layers)
            if transformer_layers is not None
            else Layers(
                [
                    DividedLayer(embed_dims, num_heads, hidden, rate, layer_norm_cfg)
                    if attention_type == "divided_space_time"
                    else JointLayer(embed_dims, num_heads, hidden, rate, layer_norm_cfg)
                    for rate in rates
                ],
                with_cp=with_cp,
            )
        )

    def _init_weights(self, report: InitReport) -> None:
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        kaiming_init(self.patch_embed.projection, mode="fan_in", nonlinearity="linear")
        super()._init_weights(report)

    def load_pretrained(self, path: str) -> None:
        """Load the weights at `path`; those of an image transformer start the attention over time, too.

        Files of other publishers are read in full, or refused.
        """
        read = read_checkpoint(path)
        kind = format_of(read, self.file_formats, self)
        if kind is not None:
            load_whole(read, [kind], self)
            return
        keys = [*STRIP_WRAPPER, (r"^backbone\.", "")]
        if self.attention_type == "divided_space_time":
            # An image transformer has one attention and two norms a layer, this one attentions with a norm each.
            keys += [
                (r"\.norms\.0\.", ".attentions.0.norm."),
                (r"\.norms\.1\.", ".ffns.0.norm."),
            ]
        report = load_checkpoint(self, read, revise_keys=keys)
        of_space = [name for name in report.missing if ".attentions.1." in name]
        state = self.state_dict()
        for name in of_space:
            state[name].copy_(state[name.replace(".attentions.1.", ".attentions.0.")])
        log_report(path, replace(report, missing=tuple(name for name in report.missing if name not in of_space)))

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self._layers_of(x, only_class=True))[:, 0]

    def position_tables(self) -> dict[str, PositionTable]:
        """Those of places, behind the class token, and of frames: each takes the nearest."""
        tables = {"pos_embed": PositionTable(self.pos_grid[1:], space="nearest", num_first=1)}
        if self.attention_type != "space_only":
            tables["time_embed"] = PositionTable(self.pos_grid[:1], time="nearest")
        return tables

    def token_maps(self) -> TokenMaps:
        """Where the tokens of its blocks lie."""
        side = self.img_size // self.patch_size

        def lay_out(x: Tensor) -> Tensor:
            if self.attention_type == "joint_space_time":
                places = x[:, 1:].unflatten(1, (side, side, self.num_frames))
                return places.permute(0, 4, 3, 1, 2)
            return lay_out_tokens(x.flatten(0, -3), (1, side, side))  # frame by frame

        return TokenMaps("transformer_layers.layers", lay_out)

    def tokens(self, x: Tensor) -> Tensor:
        """All tokens of clips behind the last norm.

        Args:
            x: (B, C, T, H, W).

        Returns:
            (B, 1 + N T, E): the class token, then place by place, frame by frame; for `"space_only"` (B, 1
            + N, E), the mean of the frames.
        """
        return self.norm(self._layers_of(x, only_class=False))

    def _positions(self) -> Tensor:
        """(1, 1 + N, E)."""
        return resize_positions(self.pos_embed, self.pos_grid[1:], self.grid_size[1:], space="nearest", num_first=1)

    def _layers_of(self, x: Tensor, *, only_class: bool) -> Tensor:
        """The tokens behind the last layer; the first is the class token, and may be alone."""
        check_clips(x, self.in_channels, "TimeSformer")
        batch, _, frames, height, width = x.shape
        if (frames, height, width) != (self.num_frames, self.img_size, self.img_size):
            raise ConfigError(
                f"TimeSformer was built for {self.num_frames} frames of {self.img_size} x {self.img_size} pixels"
                f" (num_frames, img_size), but the clips have {frames} of {height} x {width}: set clip_len and crops,"
                f" or num_frames, img_size and pos_grid={self.pos_grid}"
            )
        x = self.patch_embed(x)  # (B T, N, E)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1)
        x = self.drop_after_pos(x + self._positions())
        if self.attention_type == "space_only":
            return self._through_layers(x, only_class).unflatten(0, (batch, frames)).mean(1)
        first = x[::frames, :1]  # of every clip
        x = x[:, 1:].unflatten(0, (batch, frames)).transpose(1, 2)  # (B, N, T, E)
        times = resize_positions(self.time_embed, self.pos_grid[:1], self.grid_size[:1], time="nearest")
        x = self.drop_after_time(x + times[:, None])
        if self.attention_type == "joint_space_time" or not isinstance(self.transformer_layers, Layers):
            return self._through_layers(torch.cat([first, x.flatten(1, 2)], 1), only_class)
        x = torch.cat([first[:, None].expand(-1, frames, -1, -1), x.transpose(1, 2)], 2)  # (B, T, 1 + N, E)
        x = self._through_layers(x, only_class)
        return x if x.dim() == 3 else torch.cat([x[:, 0, :1], x[:, :, 1:].transpose(1, 2).flatten(1, 2)], 1)

    def _through_layers(self, x: Tensor, only_class: bool) -> Tensor:
        if isinstance(self.transformer_layers, Layers):
            return self.transformer_layers(x, only_class)
        return self.transformer_layers(x, None, None)
