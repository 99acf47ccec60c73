"""Datasets: annotations -> a list of samples -> batches."""

from kinema.datasets.base import BaseDataset, force_full_init
from kinema.datasets.loader import ReproducibleLoader, build_dataloader, default_collate, pseudo_collate
from kinema.datasets.samplers import DefaultSampler
from kinema.datasets.video import VideoDataset

__all__ = [
    "BaseDataset",
    "DefaultSampler",
    "ReproducibleLoader",
    "VideoDataset",
    "build_dataloader",
    "default_collate",
    "force_full_init",
    "pseudo_collate",
]
