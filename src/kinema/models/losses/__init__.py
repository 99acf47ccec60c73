"""Losses."""

from kinema.models.losses.classification import BCELossWithLogits, CrossEntropyLoss, NLLLoss
from kinema.models.losses.imbalance import AsymmetricLoss, CBFocalLoss, FocalLoss, LogitAdjustedLoss
from kinema.models.losses.label_groups import HVULoss

__all__ = [
    "AsymmetricLoss",
    "BCELossWithLogits",
    "CBFocalLoss",
    "CrossEntropyLoss",
    "FocalLoss",
    "HVULoss",
    "LogitAdjustedLoss",
    "NLLLoss",
]
