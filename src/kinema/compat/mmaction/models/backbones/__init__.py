"""`mmaction.models.backbones`, thin over Kinema."""

from kinema.models import ResNet

__all__ = ["ResNet"]
