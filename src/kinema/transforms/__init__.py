"""Transforms: a sample dict in, a sample dict out. Each works alone and in a `Compose`."""

from kinema.transforms.base import BaseTransform, Compose, Sample
from kinema.transforms.contract import join_pipeline, split_pipeline
from kinema.transforms.decoding import DecodeVideo, OpenVideo, pyav_decode
from kinema.transforms.formatting import FormatShape, PackActionInputs, clips_first, to_tensor
from kinema.transforms.geometry import (
    CenterCrop,
    Flip,
    RandomCrop,
    RandomResizedCrop,
    Resize,
    crop_frames,
    flip_frames,
    rescale_size,
    resize_frames,
)
from kinema.transforms.sampling import SampleFrames

__all__ = [
    "BaseTransform",
    "CenterCrop",
    "Compose",
    "DecodeVideo",
    "Flip",
    "FormatShape",
    "OpenVideo",
    "PackActionInputs",
    "RandomCrop",
    "RandomResizedCrop",
    "Resize",
    "Sample",
    "SampleFrames",
    "clips_first",
    "crop_frames",
    "flip_frames",
    "join_pipeline",
    "pyav_decode",
    "rescale_size",
    "resize_frames",
    "split_pipeline",
    "to_tensor",
]
