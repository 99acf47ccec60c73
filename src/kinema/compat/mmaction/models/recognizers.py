"""`mmaction.models.recognizers`, thin over Kinema."""

from kinema.models import (
    BaseRecognizer,
    Recognizer2D,
    Recognizer3D,
)

__all__ = [
    "BaseRecognizer",
    "Recognizer2D",
    "Recognizer3D",
]
