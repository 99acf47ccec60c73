"""Masked video modelling: an encoder sees a few tubelets of a clip, a small decoder fills in the others.

Source: VideoMAE, Tong et al. 2022, arXiv:2203.12602; with `decoder_mask_ratio` VideoMAE V2, Wang et
al. 2023, arXiv:2303.16727.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.checkpoints.file_formats import format_of, load_whole
from kinema.checkpoints.loading import load_checkpoint
from kinema.checkpoints.pretrained import log_report
from kinema.checkpoints.reading import read_checkpoint
from kinema.errors import ConfigError
from kinema.models.backbones.tokens.videomae import Block, VisionTransformer
from kinema.models.base import BaseModel, Mode
from kinema.models.init import InitCfg
from kinema.models.init_report import InitReport
from kinema.models.layers import LayerCfg
from kinema.models.layers.attention import check_heads
from kinema.models.layers.by_name import build_norm_layer
from kinema.models.layers.positions import sinusoid_table
from kinema.models.pretraining.file_format import PRETRAINING_FILES
from kinema.models.pretraining.masks import places_of, running_cell_mask, tube_mask
from kinema.registry import MODELS
from kinema.structures import ActionDataSample

_LEAST_DEVIATION = 1e-6  # of the pixels of a patch
_HEAD_WIDTH = 64
_WIDEST_DECODER = 512


class Reconstruction(NamedTuple):
    """Clips, and what a model makes of the part that it sees.

    Attributes:
        clips: (B, C, T, H, W) float, pixels from 0 to 1.
        filled: the same, where hidden tubelets are those that the model predicts.
        hidden: (B, T, H, W) bool: the pixels that the model did not see.
    """

    clips: Tensor
    filled: Tensor
    hidden: Tensor


class Decoder(nn.Module):
    """(B, N, D) -> (B, `count`, `out_features`): pixels of the last `count` tokens.

    Args:
        embed_dims: D.
        depth: number of blocks.
        num_heads: of their attention.
        out_features: values of a tubelet.
        mlp_ratio, norm_cfg: see `Block`.
    """

    def __init__(
        self,
        embed_dims: int,
        depth: int,
        num_heads: int,
        out_features: int,
        mlp_ratio: float = 4.0,
        norm_cfg: LayerCfg | None = None,
    ) -> None:
        super().__init__()
        check_heads(embed_dims, num_heads, "decoder")
        norm_cfg = norm_cfg or {"type": "LN", "eps": 1e-6}
        self.embed_dims = embed_dims
        self.blocks = nn.ModuleList(
            Block(embed_dims, num_heads, mlp_ratio=mlp_ratio, norm_cfg=norm_cfg) for _ in range(depth)
        )
        self.norm = build_norm_layer(norm_cfg, embed_dims)[1]
        self.head = nn.Linear(embed_dims, out_features)

    def forward(self, x: Tensor, count: int) -> Tensor:
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.head(self.norm(x[:, -count:]))
        return out


@MODELS.register_module()
class MaskedAutoencoder(BaseModel):
    """A `VisionTransformer` that learns from clips without labels.

    Its weights have the names of the backbone alone behind `backbone.`, so a recognizer with that
    backbone starts from a checkpoint of it (`kinema train --pretrained`).

    Args:
        backbone: config of a `VisionTransformer`, which gets `use_mean_pooling=False`: the decoder
            reads tokens behind a norm.
        decoder: settings of the decoder: `embed_dims` (default: half of the backbone's, at most 512),
            `depth` (4), `num_heads` (default: heads of 64 channels), `mlp_ratio`.
        mask_ratio: share of the patches that is hidden from the encoder, see `tube_mask`.
        decoder_mask_ratio: share of all tubelets that the decoder is not asked for, see
            `running_cell_mask`; less to compute. None: it is asked for all hidden ones.
        normalize_target: the decoder predicts pixels less the mean of their channel in the tubelet,
            divided by the standard deviation there; else pixels from 0 to 1.
        data_preprocessor: see `BaseModel`.
        pretrained: weights that `init_weights` loads, in full: a file of VideoMAE's authors
            (`encoder.*`, `decoder.*`, `mask_token`), or a checkpoint of such a model.
        init_cfg: replaces the initialisation of what is not the backbone's.

    Raises:
        ConfigError: a ratio or a setting of the decoder is wrong, or the backbone is of another kind.
    """

    def __init__(
        self,
        backbone: VisionTransformer | Mapping[str, Any],
        decoder: Mapping[str, Any] | None = None,
        *,
        mask_ratio: float = 0.9,
        decoder_mask_ratio: float | None = None,
        normalize_target: bool = True,
        data_preprocessor: nn.Module | Mapping[str, Any] | None = None,
        pretrained: str | os.PathLike[str] | None = None,
        init_cfg: InitCfg | None = None,
    ) -> None:
        default: InitCfg = [
            {"type": "Xavier", "layer": "Linear", "distribution": "uniform", "bias": 0.0},
            {"type": "Constant", "layer": "LayerNorm", "val": 1.0, "bias": 0.0},
        ]
        super().__init__(data_preprocessor, init_cfg or default)
        self.backbone = _build_backbone(backbone)
        self.mask_ratio, self.decoder_mask_ratio = mask_ratio, decoder_mask_ratio
        self.normalize_target = normalize_target
        self.pretrained = None if pretrained is None else os.fspath(pretrained)
        time, size = self.backbone.tubelet_size, self.backbone.patch_size
        self.grid = (self.backbone.num_frames // time, *self.backbone.grid_size)
        self.tubelet = (time, size, size)
        tube_mask(1, self.grid, mask_ratio)
        if decoder_mask_ratio is not None:
            running_cell_mask(1, self.grid, decoder_mask_ratio)
        width = self.backbone.embed_dims
        settings = {**_decoder_settings(width), **(decoder or {})}
        _check_decoder(settings)
        self.decoder = Decoder(
            **settings,
            out_features=self.backbone.in_channels * time * size * size,
            norm_cfg={"type": "LN", "eps": 1e-6},
        )
        self.encoder_to_decoder = nn.Linear(width, self.decoder.embed_dims, bias=False)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, self.decoder.embed_dims))
        places = sinusoid_table(self.grid[0] * self.grid[1] * self.grid[2], self.decoder.embed_dims)
        self.register_buffer("decoder_positions", places, persistent=False)

    def _init_weights(self, report: InitReport) -> None:
        super()._init_weights(report)
        nn.init.trunc_normal_(self.mask_token, std=0.02)
        if self.pretrained is None:
            return
        read = read_checkpoint(self.pretrained)
        kind = format_of(read, PRETRAINING_FILES, self)
        if kind is not None:
            load_whole(read, [kind], self)
        else:
            log_report(self.pretrained, load_checkpoint(self, read))
        report.credit(self, f"loaded from {self.pretrained}")

    # ---- the three modes

    def forward(self, inputs: Tensor, data_samples: Sequence[Any] | None = None, mode: Mode = "tensor") -> Any:
        """Compute on preprocessed clips.

        Args:
            inputs: (B, V, C, T, H, W) or (B, C, T, H, W) float, normalised. Views are clips of
                their own.
            data_samples: B samples, of which no label is read.
            mode: `"tensor"`: tokens of all tubelets, (clips, N, E); `"loss"`: the mean square of what
                the predictions are off, where new masks are drawn each time; `"predict"`: the
                samples, with that of each as `reconstruction_error`, where the masks are always
                the same ones.

        Raises:
            ValueError: another shape, or an unknown mode.
            ConfigError: clips of another length or size than the backbone's.
        """
        clips = self._clips(inputs)
        if mode == "tensor":
            return self._encode(self._patches(clips), None)
        if mode == "loss":
            return {"loss_reconstruction": self._errors(clips, None).mean()}
        if mode == "predict":
            errors = self._errors(clips, torch.Generator().manual_seed(0)).view(len(inputs), -1).mean(1)
            samples = [ActionDataSample() for _ in inputs] if data_samples is None else list(data_samples)
            for sample, error in zip(samples, errors, strict=True):
                sample.set_field(error, "reconstruction_error")
            return samples
        raise ValueError(f"mode must be 'tensor', 'loss' or 'predict', got {mode!r}")

    def _clips(self, inputs: Tensor) -> Tensor:
        clips = inputs.flatten(0, 1) if inputs.dim() == 6 else inputs
        channels, (own_height, own_width) = self.backbone.in_channels, self.backbone.img_size
        if clips.dim() != 5 or clips.shape[1] != channels:
            raise ValueError(
                f"MaskedAutoencoder takes clips (B, {channels}, T, H, W) or (B, V, {channels}, T, H, W), got"
                f" {tuple(inputs.shape)}"
            )
        if tuple(clips.shape[2:]) != (self.backbone.num_frames, own_height, own_width):
            frames, height, width = clips.shape[2:]
            raise ConfigError(
                f"MaskedAutoencoder was built for {self.backbone.num_frames} frames of {own_height} x {own_width}"
                f" pixels (num_frames, img_size of its backbone), but the clips have {frames} of {height} x {width}:"
                " set clip_len and crops"
            )
        return clips

    # ---- tubelets

    def _patches(self, clips: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, N, P, C): the P pixels of each tubelet."""
        (frames, rows, columns), (time, height, width) = self.grid, self.tubelet
        split = clips.view(-1, self.backbone.in_channels, frames, time, rows, height, columns, width)
        return split.permute(0, 2, 4, 6, 3, 5, 7, 1).flatten(4, 6).flatten(1, 3)

    def _joined(self, patches: Tensor) -> Tensor:
        """The inverse of `_patches`."""
        split = patches.unflatten(2, self.tubelet).unflatten(1, self.grid)
        return split.permute(0, 7, 1, 4, 2, 5, 3, 6).flatten(6, 7).flatten(4, 5).flatten(2, 3)

    def _pixels(self, patches: Tensor) -> Tensor:
        """Undo the normalisation of the preprocessor: pixels from 0 to 1, channels last."""
        mean, std = (getattr(self.data_preprocessor, name, None) for name in ("mean", "std"))
        if mean is None or std is None:
            return patches / 255
        return patches * (std.flatten() / 255) + mean.flatten() / 255

    def _target(self, pixels: Tensor) -> Tensor:
        """What the decoder is to say of tubelets, (B, M, P, C) -> (B, M, P * C)."""
        if self.normalize_target:
            mean, deviation = _statistics(pixels)
            pixels = (pixels - mean) / deviation
        return pixels.flatten(2)

    # ---- encoder and decoder

    def _encode(self, patches: Tensor, places: Tensor | None) -> Tensor:
        """Tokens of the tubelets at `places`, (B, M), or of all: only these are embedded."""
        backbone = self.backbone
        positions = backbone.pos_embed.expand(len(patches), -1, -1)
        if places is not None:
            patches, positions = _at(patches.flatten(2), places), _at(positions, places)
        projection = backbone.patch_embed.projection
        kernel: Tensor = projection.weight  # type: ignore[assignment]
        bias: Tensor = projection.bias  # type: ignore[assignment]
        weight = kernel.flatten(2).transpose(1, 2).flatten(1)  # of pixels, channels last
        x = backbone.pos_drop(F.linear(patches.flatten(2), weight, bias) + positions)
        for block in backbone.blocks:
            x = block(x)
        tokens: Tensor = backbone.norm(x)
        return tokens

    def _predict(self, tokens: Tensor, visible: Tensor, asked: Tensor) -> Tensor:
        """What the decoder says of the tubelets at `asked`, of the tokens of those at `visible`."""
        positions = self.decoder_positions.expand(len(tokens), -1, -1)  # type: ignore[operator]
        seen = self.encoder_to_decoder(tokens) + _at(positions, visible)
        asked_for = self.mask_token + _at(positions, asked)
        out: Tensor = self.decoder(torch.cat([seen, asked_for.to(seen.dtype)], dim=1), asked.shape[1])
        return out

    def _errors(self, clips: Tensor, generator: torch.Generator | None) -> Tensor:
        """Mean square of what the predictions of hidden tubelets are off, (clips,)."""
        hidden = tube_mask(len(clips), self.grid, self.mask_ratio, generator=generator)
        visible, asked = places_of(hidden)
        counted: Tensor | None = None
        if self.decoder_mask_ratio is not None:
            left_out = running_cell_mask(len(clips), self.grid, self.decoder_mask_ratio, generator=generator)
            asked = places_of(left_out)[0]
            counted = hidden.gather(1, asked).to(clips.device, clips.dtype)  # what is visible is no question
        visible, asked = visible.to(clips.device), asked.to(clips.device)
        patches = self._patches(clips)
        predicted = self._predict(self._encode(patches, visible), visible, asked)
        channels = patches.shape[-1]
        target = self._target(self._pixels(_at(patches.flatten(2), asked).unflatten(2, (-1, channels))))
        errors = (predicted.float() - target).square().mean(-1)
        if counted is None:
            return errors.mean(1)
        # Over the batch, as every tubelet counts alike.
        return (errors * counted).sum(1) * (len(clips) / counted.sum())

    @torch.no_grad()
    def reconstruct(self, inputs: Tensor, *, seed: int = 0) -> Reconstruction:
        """Hide a part of clips and fill it in.

        Where targets are normalised, a hidden tubelet gets back the mean and deviation that it had:
        the model does not predict these.

        Args:
            inputs: see `forward`.
            seed: of what is hidden.
        """
        clips = self._clips(inputs)
        hidden = tube_mask(len(clips), self.grid, self.mask_ratio, generator=torch.Generator().manual_seed(seed))
        visible, asked = (places.to(clips.device) for places in places_of(hidden))
        patches = self._patches(clips)
        predicted = self._predict(self._encode(patches, visible), visible, asked).float()
        pixels = self._pixels(patches)
        channels = pixels.shape[-1]
        own = _at(pixels.flatten(2), asked).unflatten(2, (-1, channels))
        predicted = predicted.unflatten(2, (-1, channels))
        if self.normalize_target:
            mean, deviation = _statistics(own)
            predicted = predicted * deviation + mean
        filled = pixels.flatten(2).scatter(
            1, asked[..., None].expand(-1, -1, pixels[0, 0].numel()), predicted.flatten(2)
        )
        shown = hidden.to(clips.device)[:, :, None, None].expand(-1, -1, pixels.shape[2], 1)
        return Reconstruction(
            self._joined(pixels), self._joined(filled.unflatten(2, (-1, channels))), self._joined(shown)[:, 0]
        )


def _build_backbone(backbone: VisionTransformer | Mapping[str, Any]) -> VisionTransformer:
    if isinstance(backbone, Mapping):
        backbone = MODELS.build({**backbone, "use_mean_pooling": False, "return_feat_map": False})
    if not isinstance(backbone, VisionTransformer):
        raise ConfigError(
            f"masked pretraining hides tokens of a VisionTransformer (the models videomae_*), got a"
            f" {type(backbone).__name__}"
        )
    if isinstance(backbone.norm, nn.Identity):
        raise ConfigError(
            "the backbone of a MaskedAutoencoder needs use_mean_pooling=False, so that its tokens are normalised"
        )
    return backbone


def _decoder_settings(width: int) -> dict[str, Any]:
    """The decoder of the authors: half as wide as the encoder, four blocks, heads as wide as there."""
    wide = min(width // 2, _WIDEST_DECODER)
    return {"embed_dims": wide, "depth": 4, "num_heads": max(1, wide // _HEAD_WIDTH)}


def _check_decoder(settings: Mapping[str, Any]) -> None:
    known = ("embed_dims", "depth", "num_heads", "mlp_ratio")
    unknown = [name for name in settings if name not in known]
    if unknown:
        raise ConfigError(f"decoder has no setting {unknown[0]!r}: it has {', '.join(known)}")
    for name in ("embed_dims", "depth", "num_heads"):
        value = settings[name]
        if not isinstance(value, int) or value < 1:
            raise ConfigError(f"{name} of the decoder must be a whole number from 1, got {value!r}")
    if "mlp_ratio" in settings and not settings["mlp_ratio"] > 0:
        raise ConfigError(f"mlp_ratio of the decoder must be above 0, got {settings['mlp_ratio']!r}")


def _statistics(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel of tubelets, (B, M, P, C) -> (B, M, 1, C)."""
    return pixels.mean(2, keepdim=True), pixels.var(2, keepdim=True).sqrt() + _LEAST_DEVIATION


def _at(tokens: Tensor, places: Tensor) -> Tensor:
    """(B, N, E) at (B, M) -> (B, M, E)."""
    return tokens.gather(1, places[..., None].expand(-1, -1, tokens.shape[-1]))
