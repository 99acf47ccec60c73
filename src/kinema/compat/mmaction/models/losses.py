"""`mmaction.models.losses`, thin over Kinema."""

from kinema.models import BCELossWithLogits, CBFocalLoss, CrossEntropyLoss

__all__ = [
    "BCELossWithLogits",
    "CBFocalLoss",
    "CrossEntropyLoss",
]
