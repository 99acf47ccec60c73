"""Datasets: annotations -> a list of samples -> batches."""

from kinema.datasets.base import BaseDataset, force_full_init
from kinema.datasets.loader import ReproducibleLoader, build_dataloader, default_collate, pseudo_collate
from kinema.datasets.samplers import DefaultSampler, InfiniteSampler
from kinema.datasets.video import VideoDataset
from kinema.datasets.wrappers import ClassBalancedDataset, ConcatDataset, RepeatDataset

__all__ = [
    "BaseDataset",
    "ClassBalancedDataset",
    "ConcatDataset",
    "DefaultSampler",
    "InfiniteSampler",
    "RepeatDataset",
    "ReproducibleLoader",
    "VideoDataset",
    "build_dataloader",
    "default_collate",
    "force_full_init",
    "pseudo_collate",
]
