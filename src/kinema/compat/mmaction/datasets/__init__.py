"""`mmaction.datasets`, thin over Kinema."""

from kinema.compat.parts.datasets import BaseActionDataset
from kinema.datasets import VideoDataset, build_dataloader

__all__ = [
    "BaseActionDataset",
    "VideoDataset",
    "build_dataloader",
]
