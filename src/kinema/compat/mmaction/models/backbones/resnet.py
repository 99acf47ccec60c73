"""`mmaction.models.backbones.resnet`, thin over Kinema."""

from kinema.models.backbones import BasicBlock, Bottleneck, ResNet

__all__ = ["BasicBlock", "Bottleneck", "ResNet"]
