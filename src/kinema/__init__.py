"""Kinema: video action recognition on PyTorch.

`import kinema` is cheap: the public names below are imported when they are first used.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "Config": "kinema.config",
    "KinemaError": "kinema.errors",
    "Runner": "kinema.engine",
    "Stream": "kinema.inference.stream",
    "VideoReader": "kinema.video",
    "VideoRecognizer": "kinema.inference",
    "create_model": "kinema.models",
    "list_models": "kinema.models",
    "load": "kinema.inference",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'kinema' has no attribute {name!r}")
    value = getattr(importlib.import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
