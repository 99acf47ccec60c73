"""VideoMAE and VideoMAE V2: vision transformers over tubelets, trained on masked clips first."""

from functools import partial
from typing import Any

from kinema.models.zoo.cards import InputSpec, ModelConfig, Result, Weights, model
from kinema.models.zoo.parts import clips, recognizer_3d
from kinema.models.zoo.published import adamw
from kinema.openmmlab.addresses import weights_url

_V1, _V2 = "VideoMAE, Tong et al. 2022, arXiv:2203.12602", "VideoMAE V2, Wang et al. 2023, arXiv:2303.16727"
_DENSE = clips(16, 4, num_clips=5, short_side=224)
_SPREAD = clips(16, 1, num_clips=2, short_side=224, spread=True)
TERMS = "the data's own terms apply."
# Data sets of published weights: their classes, and the ends of names in the zoo.
FINE_TUNED_ON = {
    "Kinetics-400": (400, ""),
    "Kinetics-600": (600, "_k600"),
    "Kinetics-700": (700, "_k700"),
    "Kinetics-710": (710, "_k710"),
    "Something-Something V1": (174, "_ssv1"),
    "Something-Something V2": (174, "_ssv2"),
    "Moments in Time V1": (339, "_mit"),
}
FINE_TUNING = adamw(1e-4)


def _authors(size: str, data: str, trained_on: str) -> Weights:
    """A file of VideoMAE's authors, which transformers reads too."""
    return Weights(
        f"https://huggingface.co/MCG-NJU/videomae-{size}-finetuned-{data}/resolve/main/pytorch_model.bin",
        "CC-BY-NC-4.0",
        f"Published by MCG-NJU, the authors. Trained on {trained_on}, on masked clips of it first; {TERMS}",
    )


def _converted(config: str, file: str) -> Weights:
    """A file of VideoMAE's authors that OpenMMLab converted."""
    origin = "Published by OpenMMLab with MMAction2, converted from a file of MCG-NJU, whose licence this is."
    first = "on masked clips of it first"
    return Weights(weights_url(config, file), "CC-BY-NC-4.0", f"{origin} Trained on Kinetics-400, {first}; {TERMS}")


def _distilled(size: str) -> Weights:
    """A small network that was taught by the giant, with the 710 classes of Kinetics-400, 600 and 700 together."""
    return Weights(
        f"https://huggingface.co/OpenGVLab/VideoMAE2/resolve/main/distill/vit_{size}_k710_dl_from_giant.pth",
        "MIT",
        f"Published by OpenGVLab, the authors. Trained on Kinetics-710, taught by the giant network; {TERMS}",
    )


_BASE, _LARGE = (f"vit-{size}-p16_videomae-k400-pre_16x4x1_kinetics-400" for size in ("base", "large"))
_BASE_2, _SMALL_2 = (f"vit-{size}-p16_videomaev2-vit-g-dist-k710-pre_16x4x1_kinetics-400" for size in ("base", "small"))
_BELOW = "v1.0/recognition/videomae"
_K400, _K710, _SSV2 = "Kinetics-400", "Kinetics-710", "Something-Something V2"
_RESULTS = {
    "videomae_vit_small": Result(79.0, None, _K400, "5 x 3", 224, weights=_authors("small", "kinetics", _K400)),
    "videomae_vit_base": Result(
        *(81.3, 95.0, _K400, "5 x 3", 224, _BASE),
        _converted(_BASE, f"{_BELOW}/{_BASE}_20221013-860a3cd3.pth"),
    ),
    "videomae_vit_large": Result(
        *(85.3, 96.7, _K400, "5 x 3", 224, _LARGE),
        _converted(_LARGE, f"{_BELOW}/{_LARGE}_20221013-229dbb03.pth"),
    ),
    "videomae_vit_huge": Result(86.6, None, _K400, "5 x 3", 224, weights=_authors("huge", "kinetics", _K400)),
    "videomae_vit_base_ssv2": Result(70.8, None, _SSV2, "2 x 3", 224, weights=_authors("base", "ssv2", _SSV2)),
    # The address that is published for the small one's file is that of the base one's.
    "videomaev2_vit_small": Result(83.6, 96.3, _K400, "5 x 3", 224, _SMALL_2),
    "videomaev2_vit_base": Result(
        *(86.6, 97.3, _K400, "5 x 3", 224, _BASE_2),
        Weights(
            weights_url(_BASE_2, f"{_BELOW}v2/{_BASE_2}/{_BASE_2}_20230510-3e7f93b2.pth"),
            "Apache-2.0",
            "Published by OpenMMLab with MMAction2, converted from a file of OpenGVLab. Trained on Kinetics-400,"
            f" taught by the giant network on Kinetics-710 first; {TERMS}",
        ),
    ),
    "videomaev2_vit_small_k710": Result(77.6, None, _K710, "5 x 3", 224, weights=_distilled("s")),
    "videomaev2_vit_base_k710": Result(81.5, None, _K710, "5 x 3", 224, weights=_distilled("b")),
    "videomaev2_vit_giant": Result(88.4, None, _K400, "5 x 3", 224),
}
_model = partial(model, training=FINE_TUNING, results=_RESULTS, inputs=_DENSE)


def vision_transformer(
    num_classes: int,
    inputs: InputSpec,
    embed_dims: int,
    depth: int,
    num_heads: int,
    **others: Any,
) -> ModelConfig:
    """Config of a recognizer by a `VisionTransformer`; `others` are further settings of it."""
    backbone = {
        "type": "VisionTransformer",
        "img_size": inputs.size,
        "patch_size": 16,
        "embed_dims": embed_dims,
        "depth": depth,
        "num_heads": num_heads,
        "num_frames": inputs.clip_len,
        **others,
    }
    head = {"type": "TimeSformerHead", "num_classes": num_classes, "in_channels": embed_dims}
    return recognizer_3d(backbone, head, inputs)


def _small(num_classes: int) -> ModelConfig:
    return vision_transformer(num_classes, _DENSE, 384, 12, 6)


def _base(num_classes: int, inputs: InputSpec = _DENSE) -> ModelConfig:
    return vision_transformer(num_classes, inputs, 768, 12, 12)


@_model(params_millions=22.03, gflops=56.88, source=_V1)
def videomae_vit_small(num_classes: int) -> ModelConfig:
    """VideoMAE's small vision transformer, 16 frames."""
    return _small(num_classes)


@_model(params_millions=86.53, gflops=180.34, source=_V1)
def videomae_vit_base(num_classes: int) -> ModelConfig:
    """VideoMAE's vision transformer, 16 frames."""
    return _base(num_classes)


@_model(params_millions=304.27, gflops=596.83, source=_V1)
def videomae_vit_large(num_classes: int) -> ModelConfig:
    """VideoMAE's large vision transformer, 16 frames."""
    return vision_transformer(num_classes, _DENSE, 1024, 24, 16)


@_model(params_millions=632.12, gflops=1190.99, source=_V1)
def videomae_vit_huge(num_classes: int) -> ModelConfig:
    """VideoMAE's huge vision transformer, 16 frames."""
    return vision_transformer(num_classes, _DENSE, 1280, 32, 16)


@_model(params_millions=86.36, gflops=180.34, num_classes=174, inputs=_SPREAD, source=_V1)
def videomae_vit_base_ssv2(num_classes: int) -> ModelConfig:
    """VideoMAE's vision transformer for Something-Something, 16 frames from all of the video."""
    return _base(num_classes, _SPREAD)


@_model(params_millions=22.03, gflops=56.88, source=_V2)
def videomaev2_vit_small(num_classes: int) -> ModelConfig:
    """The small vision transformer that VideoMAE V2's giant taught, 16 frames."""
    return _small(num_classes)


@_model(params_millions=86.53, gflops=180.34, source=_V2)
def videomaev2_vit_base(num_classes: int) -> ModelConfig:
    """The vision transformer that VideoMAE V2's giant taught, 16 frames."""
    return _base(num_classes)


@_model(params_millions=22.15, gflops=56.88, num_classes=710, source=_V2)
def videomaev2_vit_small_k710(num_classes: int) -> ModelConfig:
    """The small vision transformer that VideoMAE V2's giant taught, with all classes of Kinetics, 16 frames."""
    return _small(num_classes)


@_model(params_millions=86.77, gflops=180.35, num_classes=710, source=_V2)
def videomaev2_vit_base_k710(num_classes: int) -> ModelConfig:
    """The vision transformer that VideoMAE V2's giant taught, with all classes of Kinetics, 16 frames."""
    return _base(num_classes)


@_model(params_millions=1012.17, gflops=2542.79, source=_V2)
def videomaev2_vit_giant(num_classes: int) -> ModelConfig:
    """VideoMAE V2's giant vision transformer, 16 frames; its authors send the weights on request."""
    return vision_transformer(num_classes, _DENSE, 1408, 40, 16, patch_size=14, mlp_ratio=48 / 11)
