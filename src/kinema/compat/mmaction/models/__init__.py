"""`mmaction.models`, thin over Kinema."""

from kinema.models import (
    ActionDataPreprocessor,
    BaseHead,
    BCELossWithLogits,
    CrossEntropyLoss,
    CutmixBlending,
    I3DHead,
    MixupBlending,
    RandomBatchAugment,
    Recognizer3D,
)

__all__ = [
    "ActionDataPreprocessor",
    "BCELossWithLogits",
    "BaseHead",
    "CrossEntropyLoss",
    "CutmixBlending",
    "I3DHead",
    "MixupBlending",
    "RandomBatchAugment",
    "Recognizer3D",
]
