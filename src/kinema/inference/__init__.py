"""Inference: load a checkpoint, predict.

What decides over stored scores needs no torch, so the names below are imported when they are first
used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kinema.inference.recognizer import Prediction, VideoRecognizer, check_scores, find_checkpoint, load
    from kinema.inference.views import Looked

__all__ = ["Looked", "Prediction", "VideoRecognizer", "check_scores", "find_checkpoint", "load"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "views" if name == "Looked" else "recognizer"
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)
