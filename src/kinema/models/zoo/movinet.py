"""MoViNet: networks for mobile devices; those that stream carry their state from frame to frame."""

from functools import partial
from typing import Any

from kinema.models.backbones.clips.movinet import ARCHITECTURES
from kinema.models.zoo.cards import ModelConfig, Result, Weights, model
from kinema.models.zoo.parts import clips, recognizer_3d
from kinema.models.zoo.published import SGD

# 50 frames, 5 of a second, with values from 0 to 1.
_SEEN: dict[str, Any] = {"num_clips": 1, "mean": (0.0, 0.0, 0.0), "std": (255.0, 255.0, 255.0)}
_SMALL = clips(50, 5, size=172, short_side=200, **_SEEN)
_LARGE = clips(50, 5, size=224, short_side=256, **_SEEN)
_FILES = "https://github.com/Atze00/MoViNet-pytorch/blob/main/weights"


def _result(top1: float, top5: float, file: str, size: int) -> Result:
    weights = Weights(
        f"{_FILES}/model{file}_statedict_v3?raw=true",
        "MIT",
        "Published by Atze00 with MoViNet-pytorch, converted from a file of the TensorFlow Model Garden. Trained on"
        " Kinetics-600; the data's own terms apply.",
    )
    return Result(top1, top5, "Kinetics-600", "1 x 1", size, weights=weights)


_RESULTS = {
    "movinet_a0": _result(72.28, 90.92, "A0", 172),
    "movinet_a1": _result(76.69, 93.40, "A1", 172),
    "movinet_a2": _result(78.62, 94.17, "A2", 224),
    "movinet_a0_stream": _result(72.05, 90.63, "A0_stream", 172),
    "movinet_a1_stream": _result(76.45, 93.25, "A1_stream", 172),
    "movinet_a2_stream": _result(78.40, 94.05, "A2_stream", 224),
}
_model = partial(
    model,
    source="MoViNets, Kondratyuk et al. 2021, arXiv:2103.11511",
    training=SGD,
    results=_RESULTS,
    num_classes=600,
)


def _movinet(num_classes: int, arch: str, *, stream: bool = False) -> ModelConfig:
    backbone: ModelConfig = {"type": "MoViNet", "arch": arch}
    head = {"type": "MoViNetHead", "num_classes": num_classes, "in_channels": ARCHITECTURES[arch].head}
    if stream:
        backbone["causal"], head["planar"] = True, True
    return recognizer_3d(backbone, head, _LARGE if arch == "A2" else _SMALL)


@_model(params_millions=3.11, gflops=2.63, inputs=_SMALL)
def movinet_a0(num_classes: int) -> ModelConfig:
    """MoViNet-A0 over whole clips: the smallest."""
    return _movinet(num_classes, "A0")


@_model(params_millions=4.69, gflops=5.87, inputs=_SMALL)
def movinet_a1(num_classes: int) -> ModelConfig:
    """MoViNet-A1 over whole clips."""
    return _movinet(num_classes, "A1")


@_model(params_millions=5.25, gflops=11.56, inputs=_LARGE)
def movinet_a2(num_classes: int) -> ModelConfig:
    """MoViNet-A2 over whole clips."""
    return _movinet(num_classes, "A2")


@_model(params_millions=3.75, gflops=2.43, inputs=_SMALL)
def movinet_a0_stream(num_classes: int) -> ModelConfig:
    """MoViNet-A0 that streams: each frame is computed once, with the state of those before."""
    return _movinet(num_classes, "A0", stream=True)


@_model(params_millions=6.45, gflops=5.54, inputs=_SMALL)
def movinet_a1_stream(num_classes: int) -> ModelConfig:
    """MoViNet-A1 that streams: each frame is computed once, with the state of those before."""
    return _movinet(num_classes, "A1", stream=True)


@_model(params_millions=7.33, gflops=10.70, inputs=_LARGE)
def movinet_a2_stream(num_classes: int) -> ModelConfig:
    """MoViNet-A2 that streams: each frame is computed once, with the state of those before."""
    return _movinet(num_classes, "A2", stream=True)
