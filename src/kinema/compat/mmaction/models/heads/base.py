"""`mmaction.models.heads.base`, thin over Kinema."""

from kinema.models import BaseHead

__all__ = [
    "BaseHead",
]
