"""`mmaction.models.backbones.tanet`, thin over Kinema."""

from kinema.models.backbones import TABlock, TANet

__all__ = ["TABlock", "TANet"]
