"""Datasets: annotations -> a list of samples -> batches."""

from kinema.datasets.base import BaseDataset, force_full_init
from kinema.datasets.loader import ReproducibleLoader, build_dataloader, default_collate, pseudo_collate
from kinema.datasets.rawframe import RawframeDataset
from kinema.datasets.repeated import RepeatAugDataset, repeat_augmentation, repeat_pseudo_collate
from kinema.datasets.samplers import DefaultSampler, InfiniteSampler
from kinema.datasets.shards import ShardDataset, ShardSummary, write_shards
from kinema.datasets.video import VideoDataset
from kinema.datasets.wrappers import ClassBalancedDataset, ConcatDataset, RepeatDataset

__all__ = [
    "BaseDataset",
    "ClassBalancedDataset",
    "ConcatDataset",
    "DefaultSampler",
    "InfiniteSampler",
    "RawframeDataset",
    "RepeatAugDataset",
    "RepeatDataset",
    "ReproducibleLoader",
    "ShardDataset",
    "ShardSummary",
    "VideoDataset",
    "build_dataloader",
    "default_collate",
    "force_full_init",
    "pseudo_collate",
    "repeat_augmentation",
    "repeat_pseudo_collate",
    "write_shards",
]
