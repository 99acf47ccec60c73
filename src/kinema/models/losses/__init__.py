"""Losses."""

from kinema.models.losses.classification import BCELossWithLogits, CrossEntropyLoss

__all__ = ["BCELossWithLogits", "CrossEntropyLoss"]
