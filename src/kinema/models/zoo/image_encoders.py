"""The image encoders of CLIP and SigLIP over 8 frames of a video, whose features are averaged."""

from functools import partial
from typing import Any

from kinema.models.zoo.cards import InputSpec, ModelConfig, Weights, model
from kinema.models.zoo.parts import frames, recognizer_2d
from kinema.models.zoo.videomae import FINE_TUNING, TERMS

_CLIP_MEAN, _CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_CLIP = frames(
    8,
    short_side=224,
    mean=tuple(round(255 * value, 3) for value in _CLIP_MEAN),
    std=tuple(round(255 * value, 3) for value in _CLIP_STD),
)
_SIGLIP = frames(8, short_side=224, mean=(127.5,) * 3, std=(127.5,) * 3)
_OF_CLIP, _OF_SIGLIP = "CLIP, Radford et al. 2021, arXiv:2103.00020", "SigLIP, Zhai et al. 2023, arXiv:2303.15343"
_OF_SIGLIP2 = "SigLIP 2, Tschannen et al. 2025, arXiv:2502.14786"


def _encoder(name: str, licence: str, data: str, file: str = "model.safetensors") -> Weights:
    """A file of transformers; that of the text encoder, which it holds too, is left."""
    publisher = {"openai": "OpenAI", "google": "Google"}[name.partition("/")[0]]
    return Weights(
        f"https://huggingface.co/{name}/resolve/main/{file}",
        licence,
        f"Published by {publisher}. Trained on {data}; {TERMS}",
    )


_openai = partial(
    _encoder, licence="MIT", data="400 million images of the web and their texts", file="pytorch_model.bin"
)
_google = partial(_encoder, licence="Apache-2.0", data="WebLI, images with texts")
_model = partial(model, training=FINE_TUNING)


def _recognizer(num_classes: int, inputs: InputSpec, channels: int, **backbone: Any) -> ModelConfig:
    head = {"type": "TSNHead", "num_classes": num_classes, "in_channels": channels, "dropout_ratio": 0.0}
    return recognizer_2d({"img_size": inputs.size, **backbone}, head, inputs)


@_model(
    params_millions=86.11,
    gflops=140.5,
    inputs=_CLIP,
    source=_OF_CLIP,
    encoder=_openai("openai/clip-vit-base-patch16"),
)
def clip_vit_base(num_classes: int) -> ModelConfig:
    """CLIP's image encoder, base, patches of 16 pixels, over 8 frames."""
    return _recognizer(num_classes, _CLIP, 768, type="clip_vision", patch_size=16)


@_model(
    params_millions=303.59,
    gflops=648.1,
    inputs=_CLIP,
    source=_OF_CLIP,
    encoder=_openai("openai/clip-vit-large-patch14"),
)
def clip_vit_large(num_classes: int) -> ModelConfig:
    """CLIP's image encoder, large, patches of 14 pixels, over 8 frames."""
    sizes = {"patch_size": 14, "embed_dims": 1024, "depth": 24, "num_heads": 16}
    return _recognizer(num_classes, _CLIP, 1024, type="clip_vision", **sizes)


@_model(
    params_millions=93.19,
    gflops=139.85,
    inputs=_SIGLIP,
    source=_OF_SIGLIP,
    encoder=_google("google/siglip-base-patch16-224"),
)
def siglip_vit_base(num_classes: int) -> ModelConfig:
    """SigLIP's image encoder, base, patches of 16 pixels, over 8 frames."""
    return _recognizer(num_classes, _SIGLIP, 768, type="siglip_vision", patch_size=16)


@_model(
    params_millions=93.19,
    gflops=139.85,
    inputs=_SIGLIP,
    source=_OF_SIGLIP2,
    encoder=_google("google/siglip2-base-patch16-224"),
)
def siglip2_vit_base(num_classes: int) -> ModelConfig:
    """The image encoder of SigLIP 2, base, patches of 16 pixels, over 8 frames."""
    return _recognizer(num_classes, _SIGLIP, 768, type="siglip_vision", patch_size=16)
