"""`mmaction.models.common`, thin over Kinema."""

from kinema.models import Conv2plus1d

__all__ = ["Conv2plus1d"]
