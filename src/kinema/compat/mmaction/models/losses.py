"""`mmaction.models.losses`, thin over Kinema."""

from kinema.models import BCELossWithLogits, CrossEntropyLoss

__all__ = [
    "BCELossWithLogits",
    "CrossEntropyLoss",
]
