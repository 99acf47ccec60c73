"""`mmaction.models.backbones.resnet_tsm`, thin over Kinema."""

from kinema.models.backbones import NL3DWrapper, ResNetTSM, TemporalPool
from kinema.models.layers import TemporalShift

__all__ = ["NL3DWrapper", "ResNetTSM", "TemporalPool", "TemporalShift"]
