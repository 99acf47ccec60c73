"""`mmengine.config`, thin over Kinema."""

from kinema.compat.parts.arguments import DictAction
from kinema.config import Config, ConfigDict

__all__ = [
    "Config",
    "ConfigDict",
    "DictAction",
]
