"""`mmengine.hooks`, thin over Kinema."""

from kinema.engine import Hook

__all__ = [
    "Hook",
]
