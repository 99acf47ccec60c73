"""`mmaction.datasets.transforms.wrappers`, thin over Kinema."""

from kinema.transforms import pytorchvideo_transform as PytorchVideoWrapper
from kinema.transforms import torchvision_transform as TorchVisionWrapper

__all__ = [
    "PytorchVideoWrapper",
    "TorchVisionWrapper",
]
