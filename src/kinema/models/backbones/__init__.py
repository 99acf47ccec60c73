"""Backbones: clips -> features."""

from kinema.models.backbones.compact import CompactNet3D
from kinema.models.backbones.resnet import BasicBlock, Bottleneck, ResNet
from kinema.models.backbones.resnet3d import ResNet3d

__all__ = ["BasicBlock", "Bottleneck", "CompactNet3D", "ResNet", "ResNet3d"]
