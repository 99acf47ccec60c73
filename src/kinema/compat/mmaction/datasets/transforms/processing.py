"""`mmaction.datasets.transforms.processing`, thin over Kinema."""

from kinema.transforms import CenterCrop, Flip, RandomCrop, RandomResizedCrop, Resize

__all__ = [
    "CenterCrop",
    "Flip",
    "RandomCrop",
    "RandomResizedCrop",
    "Resize",
]
