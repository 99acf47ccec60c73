"""One window engine: long videos and streams, a window of time after another."""

from kinema.inference.windows.engine import WindowEngine
from kinema.inference.windows.score import WindowScore

__all__ = ["WindowEngine", "WindowScore"]
