"""Backbones: clips -> features."""

from kinema.models.backbones.c2d import C2D
from kinema.models.backbones.c3d import C3D
from kinema.models.backbones.compact import CompactNet3D
from kinema.models.backbones.csn import ResNet3dCSN
from kinema.models.backbones.mobilenet_v2 import InvertedResidual, MobileNetV2
from kinema.models.backbones.mobilenet_v2_tsm import MobileNetV2TSM
from kinema.models.backbones.r2plus1d import ResNet2Plus1d
from kinema.models.backbones.resnet import BasicBlock, Bottleneck, ResNet
from kinema.models.backbones.resnet3d import ResNet3d
from kinema.models.backbones.resnet_tin import CombineNet, ResNetTIN
from kinema.models.backbones.resnet_tsm import NL3DWrapper, ResNetTSM, TemporalPool
from kinema.models.backbones.slowfast import ResNet3dPathway, ResNet3dSlowFast, ResNet3dSlowOnly
from kinema.models.backbones.tanet import TABlock, TANet
from kinema.models.backbones.x3d import X3D

__all__ = [
    "C2D",
    "C3D",
    "X3D",
    "BasicBlock",
    "Bottleneck",
    "CombineNet",
    "CompactNet3D",
    "InvertedResidual",
    "MobileNetV2",
    "MobileNetV2TSM",
    "NL3DWrapper",
    "ResNet",
    "ResNet2Plus1d",
    "ResNet3d",
    "ResNet3dCSN",
    "ResNet3dPathway",
    "ResNet3dSlowFast",
    "ResNet3dSlowOnly",
    "ResNetTIN",
    "ResNetTSM",
    "TABlock",
    "TANet",
    "TemporalPool",
]
