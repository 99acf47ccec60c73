"""`mmaction.structures`, thin over Kinema."""

from kinema.structures import ActionDataSample

__all__ = [
    "ActionDataSample",
]
