"""`decord.bridge`, thin over Kinema."""

from kinema.compat.parts.decord_reader import reset_bridge, set_bridge, use_torch

__all__ = [
    "reset_bridge",
    "set_bridge",
    "use_torch",
]
