"""Inference: load a checkpoint, predict.

What decides over stored scores needs no torch, so the names below are imported when they are first
used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kinema.inference.loading import find_checkpoint, load
    from kinema.inference.prediction import FailedInput, Prediction
    from kinema.inference.recognizer import VideoRecognizer
    from kinema.inference.scoring import check_scores
    from kinema.inference.timeline import Timeline
    from kinema.inference.views import Looked

_MODULES = {
    "FailedInput": "prediction",
    "Looked": "views",
    "Prediction": "prediction",
    "Timeline": "timeline",
    "VideoRecognizer": "recognizer",
    "check_scores": "scoring",
    "find_checkpoint": "loading",
    "load": "loading",
}

__all__ = [
    "FailedInput",
    "Looked",
    "Prediction",
    "Timeline",
    "VideoRecognizer",
    "check_scores",
    "find_checkpoint",
    "load",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
