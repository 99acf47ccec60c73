"""`mmengine.model.utils`, thin over Kinema."""

from kinema.models import stack_batch

__all__ = [
    "stack_batch",
]
