"""`mmaction.models.backbones.resnet_tin`, thin over Kinema."""

from kinema.models.backbones import CombineNet, ResNetTIN
from kinema.models.layers import TemporalInterlace

__all__ = ["CombineNet", "ResNetTIN", "TemporalInterlace"]
