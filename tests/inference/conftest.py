"""Small recognizers for the tests of windows."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch

from kinema.checkpoints.contract import ModelContract
from kinema.inference import VideoRecognizer
from kinema.models import create_model

CLASSES = ("jump", "run", "sit")
RESIZED = [dict(type="Resize", scale=(-1, 36)), dict(type="CenterCrop", crop_size=32)]


def _pipeline(
    segments: int | None, preprocessing: list[dict[str, Any]] | None, **sampling: Any
) -> list[dict[str, Any]]:
    if segments is not None:
        sampling = dict(clip_len=1, num_clips=segments) | sampling
    return [
        dict(type="OpenVideo"),
        dict(type="SampleFrames", test_mode=True, **(dict(clip_len=4, frame_interval=2) | sampling)),
        dict(type="DecodeVideo"),
        *(RESIZED if preprocessing is None else preprocessing),
        dict(type="FormatShape", input_format="NCTHW" if segments is None else "NCHW"),
        dict(type="PackActionInputs"),
    ]


@cache
def _model(name: str) -> Any:
    torch.manual_seed(0)
    model = create_model(name, num_classes=len(CLASSES))
    with torch.no_grad():
        for parameter in model.cls_head.parameters():
            parameter.normal_(std=2 / parameter.shape[-1] ** 0.5)  # else all scores are nearly the same
    return model.eval()


@pytest.fixture(scope="session")
def make_recognizer() -> Callable[..., VideoRecognizer]:
    """Factory of small recognizers with weights that tell frames apart; their models are shared.

    `segments` makes a model of segments, `preprocessing` replaces resize and crop, `options` are
    arguments of `SampleFrames`.
    """

    def make(
        model: str = "compact3d",
        *,
        segments: int | None = None,
        preprocessing: list[dict[str, Any]] | None = None,
        contract: ModelContract | None = None,
        **options: Any,
    ) -> VideoRecognizer:
        return VideoRecognizer(_model(model), CLASSES, _pipeline(segments, preprocessing, **options), contract=contract)

    return make
