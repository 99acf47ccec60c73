"""`mmaction.datasets`, thin over Kinema."""

from kinema.compat.parts.datasets import BaseActionDataset
from kinema.datasets import RepeatAugDataset, VideoDataset, build_dataloader

__all__ = [
    "BaseActionDataset",
    "RepeatAugDataset",
    "VideoDataset",
    "build_dataloader",
]
