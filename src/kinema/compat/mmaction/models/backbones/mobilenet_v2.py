"""`mmaction.models.backbones.mobilenet_v2`, thin over Kinema."""

from kinema.models.backbones import InvertedResidual, MobileNetV2

__all__ = ["InvertedResidual", "MobileNetV2"]
