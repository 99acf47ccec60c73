"""`mmaction.models.heads`, thin over Kinema."""

from kinema.models import BaseHead, I3DHead

__all__ = [
    "BaseHead",
    "I3DHead",
]
