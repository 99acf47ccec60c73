"""Datasets: annotations -> a list of samples -> batches."""

from kinema.datasets.balanced import (
    ClassBalancedSampler,
    count_classes,
    effective_number_weights,
    inverse_frequency_weights,
    labels_of,
)
from kinema.datasets.base import BaseDataset, force_full_init
from kinema.datasets.building import build_dataloader
from kinema.datasets.collating import default_collate, pseudo_collate
from kinema.datasets.loader import ReproducibleLoader
from kinema.datasets.positions import StartingSampler, iterate_from
from kinema.datasets.rawframe import RawframeDataset
from kinema.datasets.repeated_augmentation import RepeatAugDataset, repeat_augmentation, repeat_pseudo_collate
from kinema.datasets.samplers import DefaultSampler, InfiniteSampler
from kinema.datasets.sound import AudioDataset
from kinema.datasets.storage.shards import ShardDataset, ShardSummary, write_shards
from kinema.datasets.unlabelled import UnlabelledVideos
from kinema.datasets.video import VideoDataset
from kinema.datasets.wrappers import ClassBalancedDataset, ConcatDataset, RepeatDataset

__all__ = [
    "AudioDataset",
    "BaseDataset",
    "ClassBalancedDataset",
    "ClassBalancedSampler",
    "ConcatDataset",
    "DefaultSampler",
    "InfiniteSampler",
    "RawframeDataset",
    "RepeatAugDataset",
    "RepeatDataset",
    "ReproducibleLoader",
    "ShardDataset",
    "ShardSummary",
    "StartingSampler",
    "UnlabelledVideos",
    "VideoDataset",
    "build_dataloader",
    "count_classes",
    "default_collate",
    "effective_number_weights",
    "force_full_init",
    "inverse_frequency_weights",
    "iterate_from",
    "labels_of",
    "pseudo_collate",
    "repeat_augmentation",
    "repeat_pseudo_collate",
    "write_shards",
]
