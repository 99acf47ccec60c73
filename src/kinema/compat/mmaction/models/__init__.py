"""`mmaction.models`, thin over Kinema."""

from kinema.models import (
    ActionDataPreprocessor,
    BaseHead,
    BCELossWithLogits,
    CrossEntropyLoss,
    I3DHead,
    Recognizer3D,
)

__all__ = ["ActionDataPreprocessor", "BCELossWithLogits", "BaseHead", "CrossEntropyLoss", "I3DHead", "Recognizer3D"]
