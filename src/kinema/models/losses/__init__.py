"""Losses."""

from kinema.models.losses.classification import BCELossWithLogits, CrossEntropyLoss
from kinema.models.losses.imbalance import AsymmetricLoss, CBFocalLoss, FocalLoss, LogitAdjustedLoss

__all__ = [
    "AsymmetricLoss",
    "BCELossWithLogits",
    "CBFocalLoss",
    "CrossEntropyLoss",
    "FocalLoss",
    "LogitAdjustedLoss",
]
