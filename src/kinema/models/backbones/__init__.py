"""Backbones: clips -> features.

Every module of these folders is imported, so that a configuration finds its parts by name.
"""

import importlib
import pkgutil

from kinema.models.backbones.clips.c2d import C2D
from kinema.models.backbones.clips.c3d import C3D
from kinema.models.backbones.clips.compact import CompactNet3D
from kinema.models.backbones.clips.csn import ResNet3dCSN
from kinema.models.backbones.clips.movinet import MoViNet
from kinema.models.backbones.clips.omni import OmniResNet
from kinema.models.backbones.clips.one_stage import ResNet3dLayer
from kinema.models.backbones.clips.r2plus1d import ResNet2Plus1d
from kinema.models.backbones.clips.resnet3d import ResNet3d
from kinema.models.backbones.clips.slowfast import ResNet3dPathway, ResNet3dSlowFast, ResNet3dSlowOnly
from kinema.models.backbones.clips.x3d import X3D
from kinema.models.backbones.frames.mobilenet import InvertedResidual, MobileNetV2
from kinema.models.backbones.frames.mobilenet_tsm import MobileNetV2TSM
from kinema.models.backbones.frames.mobileone import MobileOne
from kinema.models.backbones.frames.mobileone_tsm import MobileOneTSM
from kinema.models.backbones.frames.resnet import BasicBlock, Bottleneck, ResNet
from kinema.models.backbones.frames.tanet import TABlock, TANet
from kinema.models.backbones.frames.tin import CombineNet, ResNetTIN
from kinema.models.backbones.frames.tsm import NL3DWrapper, ResNetTSM, TemporalPool
from kinema.models.backbones.sound.resnet_audio import ResNetAudio
from kinema.models.backbones.tokens.frame_transformer import FrameTransformer
from kinema.models.backbones.tokens.hiera import Hiera
from kinema.models.backbones.tokens.internvideo2 import InternVideo2
from kinema.models.backbones.tokens.mvit import MViT
from kinema.models.backbones.tokens.swin import SwinTransformer3D
from kinema.models.backbones.tokens.timesformer import TimeSformer
from kinema.models.backbones.tokens.uniformer import UniFormer
from kinema.models.backbones.tokens.uniformerv2 import UniFormerV2
from kinema.models.backbones.tokens.videomae import VisionTransformer
from kinema.models.backbones.tokens.videoprism import VideoPrism
from kinema.models.backbones.tokens.vivit import ViViT
from kinema.models.backbones.tokens.vjepa import VJEPA2
from kinema.models.backbones.tokens.vjepa_predictor import VJEPA2Predictor

# OpenMMLab's networks derive from each other, ours share functions. For `isinstance` in code
# written for OpenMMLab the relations hold all the same.
ResNet.register(C2D)
ResNet.register(TANet)
ResNet.register(ResNetTSM)
ResNetTSM.register(ResNetTIN)
MobileNetV2.register(MobileNetV2TSM)
ResNet3d.register(ResNet2Plus1d)
ResNet3d.register(ResNet3dCSN)
ResNet3d.register(ResNet3dPathway)
ResNet3dPathway.register(ResNet3dSlowOnly)

__all__ = [
    "C2D",
    "C3D",
    "VJEPA2",
    "X3D",
    "BasicBlock",
    "Bottleneck",
    "CombineNet",
    "CompactNet3D",
    "FrameTransformer",
    "Hiera",
    "InternVideo2",
    "InvertedResidual",
    "MViT",
    "MoViNet",
    "MobileNetV2",
    "MobileNetV2TSM",
    "MobileOne",
    "MobileOneTSM",
    "NL3DWrapper",
    "OmniResNet",
    "ResNet",
    "ResNet2Plus1d",
    "ResNet3d",
    "ResNet3dCSN",
    "ResNet3dLayer",
    "ResNet3dPathway",
    "ResNet3dSlowFast",
    "ResNet3dSlowOnly",
    "ResNetAudio",
    "ResNetTIN",
    "ResNetTSM",
    "SwinTransformer3D",
    "TABlock",
    "TANet",
    "TemporalPool",
    "TimeSformer",
    "UniFormer",
    "UniFormerV2",
    "VJEPA2Predictor",
    "ViViT",
    "VideoPrism",
    "VisionTransformer",
]

for _module in pkgutil.walk_packages(__path__, f"{__name__}."):
    importlib.import_module(_module.name)
