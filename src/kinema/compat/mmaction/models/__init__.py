"""`mmaction.models`, thin over Kinema."""

from kinema.models import (
    ActionDataPreprocessor,
    AvgConsensus,
    BaseHead,
    BaseRecognizer,
    BCELossWithLogits,
    CrossEntropyLoss,
    CutmixBlending,
    I3DHead,
    MixupBlending,
    RandomBatchAugment,
    Recognizer2D,
    Recognizer3D,
    ResNet,
    ResNet3d,
    TSMHead,
    TSNHead,
)

__all__ = [
    "ActionDataPreprocessor",
    "AvgConsensus",
    "BCELossWithLogits",
    "BaseHead",
    "BaseRecognizer",
    "CrossEntropyLoss",
    "CutmixBlending",
    "I3DHead",
    "MixupBlending",
    "RandomBatchAugment",
    "Recognizer2D",
    "Recognizer3D",
    "ResNet",
    "ResNet3d",
    "TSMHead",
    "TSNHead",
]
