"""`mmengine.model.base_module`, thin over Kinema."""

from kinema.models import BaseModule, ModuleDict, ModuleList, Sequential

__all__ = [
    "BaseModule",
    "ModuleDict",
    "ModuleList",
    "Sequential",
]
