"""`mmaction.models.recognizers`, thin over Kinema."""

from kinema.models import Recognizer3D

__all__ = [
    "Recognizer3D",
]
