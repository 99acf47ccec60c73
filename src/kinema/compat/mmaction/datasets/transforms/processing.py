"""`mmaction.datasets.transforms.processing`, thin over Kinema."""

from kinema.transforms import (
    CenterCrop,
    ColorJitter,
    Flip,
    MultiScaleCrop,
    RandomCrop,
    RandomErasing,
    RandomRescale,
    RandomResizedCrop,
    Resize,
    TenCrop,
    ThreeCrop,
)

__all__ = [
    "CenterCrop",
    "ColorJitter",
    "Flip",
    "MultiScaleCrop",
    "RandomCrop",
    "RandomErasing",
    "RandomRescale",
    "RandomResizedCrop",
    "Resize",
    "TenCrop",
    "ThreeCrop",
]
