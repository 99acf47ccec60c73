"""`mmaction.models.data_preprocessors`, thin over Kinema."""

from kinema.models import ActionDataPreprocessor

__all__ = [
    "ActionDataPreprocessor",
]
