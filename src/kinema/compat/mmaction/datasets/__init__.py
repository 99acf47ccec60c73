"""`mmaction.datasets`, thin over Kinema."""

from kinema.compat.parts.datasets import BaseActionDataset
from kinema.datasets import RawframeDataset, RepeatAugDataset, VideoDataset, build_dataloader

__all__ = [
    "BaseActionDataset",
    "RawframeDataset",
    "RepeatAugDataset",
    "VideoDataset",
    "build_dataloader",
]
