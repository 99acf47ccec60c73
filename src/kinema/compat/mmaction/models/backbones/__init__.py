"""`mmaction.models.backbones`, thin over Kinema."""

from kinema.models import (
    C2D,
    C3D,
    X3D,
    MobileNetV2,
    MobileNetV2TSM,
    ResNet,
    ResNet2Plus1d,
    ResNet3d,
    ResNet3dCSN,
    ResNet3dSlowFast,
    ResNet3dSlowOnly,
    ResNetTIN,
    ResNetTSM,
    TANet,
)

__all__ = [
    "C2D",
    "C3D",
    "X3D",
    "MobileNetV2",
    "MobileNetV2TSM",
    "ResNet",
    "ResNet2Plus1d",
    "ResNet3d",
    "ResNet3dCSN",
    "ResNet3dSlowFast",
    "ResNet3dSlowOnly",
    "ResNetTIN",
    "ResNetTSM",
    "TANet",
]
