"""`mmaction.datasets`, thin over Kinema."""

from kinema.datasets import BaseDataset as BaseActionDataset
from kinema.datasets import VideoDataset, build_dataloader

__all__ = [
    "BaseActionDataset",
    "VideoDataset",
    "build_dataloader",
]
