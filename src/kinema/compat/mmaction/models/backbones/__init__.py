"""`mmaction.models.backbones`, thin over Kinema."""

from kinema.models import ResNet, ResNet3d

__all__ = ["ResNet", "ResNet3d"]
