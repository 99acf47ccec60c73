"""`mmengine.model.utils`, thin over Kinema."""

from kinema.compat.parts.models import merge_dict
from kinema.models import stack_batch

__all__ = [
    "merge_dict",
    "stack_batch",
]
