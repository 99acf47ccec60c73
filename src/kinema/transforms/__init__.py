"""Transforms: a sample dict in, a sample dict out. Each works alone and in a `Compose`."""

from kinema.transforms.adapters import TensorTransform, kornia_transform, pytorchvideo_transform, torchvision_transform
from kinema.transforms.augment import RandomErasing
from kinema.transforms.base import BaseTransform, Compose, Sample
from kinema.transforms.color import ColorJitter
from kinema.transforms.composing import KeyMapper, RandomApply, RandomChoice
from kinema.transforms.contract import join_pipeline, split_pipeline
from kinema.transforms.cropping import (
    CenterCrop,
    MultiScaleCrop,
    RandomCrop,
    RandomResizedCrop,
    crop_frames,
)
from kinema.transforms.decoding import (
    ArrayDecode,
    BuildPseudoClip,
    DecodeVideo,
    ImageDecode,
    OpenVideo,
    RawFrameDecode,
    read_image,
)
from kinema.transforms.formatting import (
    FormatShape,
    PackActionInputs,
    Rename,
    ToTensor,
    Transpose,
    clips_first,
    to_tensor,
)
from kinema.transforms.fuse import Fuse
from kinema.transforms.geometry import (
    Flip,
    RandomRescale,
    Resize,
    flip_frames,
    rescale_size,
    resize_frames,
)
from kinema.transforms.rand_augment import RandAugment, TrivialAugment
from kinema.transforms.sampling import DenseSampleFrames, SampleFrames, UntrimmedSampleFrames
from kinema.transforms.uniform_sampling import UniformSample, UniformSampleFrames
from kinema.transforms.views import TenCrop, ThreeCrop

__all__ = [
    "ArrayDecode",
    "BaseTransform",
    "BuildPseudoClip",
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "DecodeVideo",
    "DenseSampleFrames",
    "Flip",
    "FormatShape",
    "Fuse",
    "ImageDecode",
    "KeyMapper",
    "MultiScaleCrop",
    "OpenVideo",
    "PackActionInputs",
    "RandAugment",
    "RandomApply",
    "RandomChoice",
    "RandomCrop",
    "RandomErasing",
    "RandomRescale",
    "RandomResizedCrop",
    "RawFrameDecode",
    "Rename",
    "Resize",
    "Sample",
    "SampleFrames",
    "TenCrop",
    "TensorTransform",
    "ThreeCrop",
    "ToTensor",
    "Transpose",
    "TrivialAugment",
    "UniformSample",
    "UniformSampleFrames",
    "UntrimmedSampleFrames",
    "clips_first",
    "crop_frames",
    "flip_frames",
    "join_pipeline",
    "kornia_transform",
    "pytorchvideo_transform",
    "read_image",
    "rescale_size",
    "resize_frames",
    "split_pipeline",
    "to_tensor",
    "torchvision_transform",
]
