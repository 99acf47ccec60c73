"""V-JEPA 2 and 2.1: encoders that learned from unlabelled video, and the attentive probes over them.

The authors train the probe alone, over an encoder that stays as it is: `frozen_stages` of the
backbone, set to its depth, does so.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from kinema.models.backbones.tokens.vjepa import LEVELS
from kinema.models.zoo.cards import InputSpec, ModelConfig, Result, Weights, model
from kinema.models.zoo.parts import recognizer_3d

ADDRESS = "https://dl.fbaipublicfiles.com/vjepa2/"
LICENCE = "MIT"
GIANT = 48 / 11  # hidden channels of a block: 6144
GIGANTIC = 64 / 13  # 8192

# The probe learns fast, an encoder that is trained with it slowly.
TRAINING: dict[str, Any] = {
    "optim_wrapper": {
        "optimizer": {"type": "AdamW", "lr": 3e-4, "betas": (0.9, 0.999), "weight_decay": 0.05},
        "paramwise_cfg": {
            "norm_decay_mult": 0.0,
            "bias_decay_mult": 0.0,
            "custom_keys": {"backbone": {"lr_mult": 0.1}},
        },
        "clip_grad": {"max_norm": 1.0, "norm_type": 2},
    },
    "param_scheduler": [
        {"type": "LinearLR", "start_factor": 0.01, "begin": 0, "end": 1, "convert_to_iter_based": True},
        {"type": "CosineAnnealingLR", "begin": 1, "convert_to_iter_based": True},
    ],
}


def _clips(clip_len: int, frame_interval: int, num_clips: int, size: int) -> InputSpec:
    return InputSpec(clip_len, frame_interval, num_clips, size=size, short_side=int(size * 256 / 224), in_parts=True)


def _encoder_file(file: str, data: str, *, probe: str | None = None, labels: str | None = None) -> Weights:
    origin = f"Published by Meta. Trained on {labels + ', the encoder on ' if labels else ''}{data} without labels"
    return Weights(
        ADDRESS + file,
        LICENCE,
        f"{origin}; the data's own terms apply.",
        head_url=probe and f"{ADDRESS}evals/{probe}",
    )


_DATA = "VideoMix22M (Something-Something V2, Kinetics, HowTo100M, YT-Temporal-1B, ImageNet)"
_DATA_2_1 = "videos and images"
_SSV2, _DIVING = "Something-Something V2", "Diving48"
_RESULTS = {
    "vjepa2_vit_large": Result(
        73.7, None, _SSV2, "2 x 3", 256,
        weights=_encoder_file("vitl.pt", _DATA, probe="ssv2-vitl-16x2x3.pt", labels=_SSV2),
    ),
    "vjepa2_vit_large_diving48": Result(
        89.0, None, _DIVING, "4 x 3", 256,
        weights=_encoder_file("vitl.pt", _DATA, probe="diving48-vitl-256.pt", labels=_DIVING),
    ),
    "vjepa2_vit_giant_384": Result(
        77.3, None, _SSV2, "2 x 3", 384,
        weights=_encoder_file("vitg-384.pt", _DATA, probe="ssv2-vitg-384-64x2x3.pt", labels=_SSV2),
    ),
    "vjepa2_vit_giant_384_diving48": Result(
        90.2, None, _DIVING, "4 x 3", 384,
        weights=_encoder_file("vitg-384.pt", _DATA, probe="diving48-vitg-384-32x4x3.pt", labels=_DIVING),
    ),
    # The probes of 2.1 are not published.
    "vjepa2_1_vit_gigantic": Result(77.7, None, _SSV2, "2 x 3", 384),
}  # fmt: skip
_SSV2_16 = {size: _clips(16, 4, 2, size) for size in (256, 384)}
_SSV2_64 = {size: _clips(64, 2, 2, size) for size in (256, 384)}
_DIVING_32 = {size: _clips(32, 2, 4, size) for size in (256, 384)}
_model = partial(model, training=TRAINING, results=_RESULTS)
_2 = partial(_model, source="V-JEPA 2, Assran et al. 2025, arXiv:2506.09985")
_2_1 = partial(_model, source="V-JEPA 2.1, by the authors' code, 2026", num_classes=174)


def _probed(num_classes: int, inputs: InputSpec, encoder: ModelConfig) -> ModelConfig:
    head = {
        "type": "AttentiveHead",
        "num_classes": num_classes,
        "in_channels": encoder["embed_dims"],
        "num_clips": inputs.num_clips,
    }
    return recognizer_3d(encoder, head, inputs)


def _encoder(
    embed_dims: int, depth: int, num_heads: int, mlp_ratio: float = 4.0, *, levels: Sequence[int] | None = None
) -> ModelConfig:
    """Config of a V-JEPA 2 encoder, that gives some of its levels."""
    config: ModelConfig = {
        "type": "VJEPA2",
        "embed_dims": embed_dims,
        "depth": depth,
        "num_heads": num_heads,
        "mlp_ratio": mlp_ratio,
    }
    return config | ({"out_indices": tuple(levels)} if levels else {})


def _encoder_2_1(embed_dims: int, depth: int, num_heads: int, mlp_ratio: float = 4.0) -> ModelConfig:
    """Config of a V-JEPA 2.1 encoder."""
    return {
        **_encoder(embed_dims, depth, num_heads, mlp_ratio),
        "rotary": "interleaved",
        "rescaled_grid": 16,
        "image_tubelets": True,
        "modality_embedding": True,
        "level_norms": LEVELS[depth],
    }


@_2(params_millions=353.4, gflops=935.24, inputs=_SSV2_16[256], num_classes=174)
def vjepa2_vit_large(num_classes: int) -> ModelConfig:
    """V-JEPA 2, ViT-L with an attentive probe: 16 frames."""
    return _probed(num_classes, _SSV2_16[256], _encoder(1024, 24, 16))


@_2(params_millions=353.27, gflops=4370.17, inputs=_DIVING_32[256], num_classes=48)
def vjepa2_vit_large_diving48(num_classes: int) -> ModelConfig:
    """V-JEPA 2, ViT-L with an attentive probe over four of its levels: 32 frames."""
    return _probed(num_classes, _DIVING_32[256], _encoder(1024, 24, 16, levels=(17, 19, 21, 23)))


@_2(
    params_millions=708.94,
    gflops=1795.85,
    inputs=_SSV2_16[256],
    num_classes=174,
    encoder=_encoder_file("vith.pt", _DATA),
)
def vjepa2_vit_huge(num_classes: int) -> ModelConfig:
    """V-JEPA 2, ViT-H with an attentive probe: 16 frames."""
    return _probed(num_classes, _SSV2_16[256], _encoder(1280, 32, 16))


@_2(
    params_millions=1105.67,
    gflops=2733.57,
    inputs=_SSV2_16[256],
    num_classes=174,
    encoder=_encoder_file("vitg.pt", _DATA),
)
def vjepa2_vit_giant(num_classes: int) -> ModelConfig:
    """V-JEPA 2, ViT-g with an attentive probe: 16 frames."""
    return _probed(num_classes, _SSV2_16[256], _encoder(1408, 40, 22, GIANT))


@_2(params_millions=1105.67, gflops=61169.33, inputs=_SSV2_64[384], num_classes=174)
def vjepa2_vit_giant_384(num_classes: int) -> ModelConfig:
    """V-JEPA 2, ViT-g with an attentive probe: 64 large frames."""
    return _probed(num_classes, _SSV2_64[384], _encoder(1408, 40, 22, GIANT))


@_2(params_millions=1105.49, gflops=33145.93, inputs=_DIVING_32[384], num_classes=48)
def vjepa2_vit_giant_384_diving48(num_classes: int) -> ModelConfig:
    """V-JEPA 2, ViT-g with an attentive probe over four of its levels: 32 large frames."""
    return _probed(num_classes, _DIVING_32[384], _encoder(1408, 40, 22, GIANT, levels=(24, 29, 34, 39)))


@_2_1(
    params_millions=114.73,
    gflops=989.33,
    inputs=_SSV2_16[384],
    encoder=_encoder_file("vjepa2_1_vitb_dist_vitG_384.pt", _DATA_2_1),
)
def vjepa2_1_vit_base(num_classes: int) -> ModelConfig:
    """V-JEPA 2.1, ViT-B distilled from ViT-G, with an attentive probe: 16 large frames."""
    return _probed(num_classes, _SSV2_16[384], _encoder_2_1(768, 12, 12))


@_2_1(
    params_millions=354.2,
    gflops=2756.58,
    inputs=_SSV2_16[384],
    encoder=_encoder_file("vjepa2_1_vitl_dist_vitG_384.pt", _DATA_2_1),
)
def vjepa2_1_vit_large(num_classes: int) -> ModelConfig:
    """V-JEPA 2.1, ViT-L distilled from ViT-G, with an attentive probe: 16 large frames."""
    return _probed(num_classes, _SSV2_16[384], _encoder_2_1(1024, 24, 16))


@_2_1(
    params_millions=1106.76,
    gflops=61169.33,
    inputs=_SSV2_64[384],
    encoder=_encoder_file("vjepa2_1_vitg_384.pt", _DATA_2_1),
)
def vjepa2_1_vit_giant(num_classes: int) -> ModelConfig:
    """V-JEPA 2.1, ViT-g with an attentive probe: 64 large frames."""
    return _probed(num_classes, _SSV2_64[384], _encoder_2_1(1408, 40, 22, GIANT))


@_2_1(
    params_millions=1975.73,
    gflops=93569.24,
    inputs=_SSV2_64[384],
    encoder=_encoder_file("vjepa2_1_vitG_384.pt", _DATA_2_1),
)
def vjepa2_1_vit_gigantic(num_classes: int) -> ModelConfig:
    """V-JEPA 2.1, ViT-G with an attentive probe: 64 large frames."""
    return _probed(num_classes, _SSV2_64[384], _encoder_2_1(1664, 48, 26, GIGANTIC))
