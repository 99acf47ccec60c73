"""`mmaction.datasets.transforms.processing`, thin over Kinema."""

from kinema.transforms import (
    CenterCrop,
    ColorJitter,
    Flip,
    Fuse,
    MultiScaleCrop,
    RandomCrop,
    RandomErasing,
    RandomRescale,
    RandomResizedCrop,
    Resize,
    TenCrop,
    ThreeCrop,
)
from kinema.transforms.lazy import begin_step as _init_lazy_if_proper

__all__ = [
    "CenterCrop",
    "ColorJitter",
    "Flip",
    "Fuse",
    "MultiScaleCrop",
    "RandomCrop",
    "RandomErasing",
    "RandomRescale",
    "RandomResizedCrop",
    "Resize",
    "TenCrop",
    "ThreeCrop",
    "_init_lazy_if_proper",
]
