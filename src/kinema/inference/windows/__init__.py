"""One window engine: long videos and streams, a window of time after another.

Scores that were kept need no torch, so the names below are imported when they are first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kinema.inference.windows.engine import WindowEngine
    from kinema.inference.windows.overlap import overlap_mean, window_weights
    from kinema.inference.windows.score import WindowScore
    from kinema.inference.windows.scores import PartialScoresError, VideoFacts, WindowScores

__all__ = [
    "PartialScoresError",
    "VideoFacts",
    "WindowEngine",
    "WindowScore",
    "WindowScores",
    "overlap_mean",
    "window_weights",
]

_MODULES = {
    "PartialScoresError": "scores",
    "VideoFacts": "scores",
    "WindowEngine": "engine",
    "WindowScore": "score",
    "WindowScores": "scores",
    "overlap_mean": "overlap",
    "window_weights": "overlap",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
