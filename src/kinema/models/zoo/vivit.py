"""ViViT: a vision transformer whose tokens, tubelets of the clip, all look at each other."""

from kinema.models.zoo.cards import ModelConfig, Weights, model
from kinema.models.zoo.parts import clips, recognizer_3d
from kinema.models.zoo.videomae import FINE_TUNING, TERMS

# transformers divides by 127.5, takes 1 away, and normalises what is left by 0.5 and 0.5.
_INPUT = clips(32, 2, num_clips=4, short_side=256, mean=(191.25,) * 3, std=(63.75,) * 3)


@model(
    params_millions=88.95,
    gflops=451.52,
    source="ViViT, Arnab et al. 2021, arXiv:2103.15691",
    inputs=_INPUT,
    training=FINE_TUNING,
    encoder=Weights(
        "https://huggingface.co/google/vivit-b-16x2-kinetics400/resolve/main/pytorch_model.bin",
        "MIT",
        f"Published by Google, with a classifier of Kinetics-400's classes. Trained on Kinetics-400; {TERMS}",
    ),
)
def vivit_base(num_classes: int) -> ModelConfig:
    """ViViT, base: joint attention over tubelets of 2 frames and 16 x 16 pixels, 32 frames."""
    backbone = {"type": "ViViT", "img_size": 224, "num_frames": 32, "tubelet_size": [2, 16, 16]}
    head = {"type": "TimeSformerHead", "num_classes": num_classes, "in_channels": 768}
    return recognizer_3d(backbone, head, _INPUT)
