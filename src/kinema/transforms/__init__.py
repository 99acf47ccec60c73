"""Transforms: a sample dict in, a sample dict out. Each works alone and in a `Compose`."""

from kinema.transforms.adapters import TensorTransform, kornia_transform, pytorchvideo_transform, torchvision_transform
from kinema.transforms.augment import RandomErasing
from kinema.transforms.base import BaseTransform, Compose, Sample
from kinema.transforms.color import ColorJitter
from kinema.transforms.composing import KeyMapper, RandomApply, RandomChoice
from kinema.transforms.cropping import CenterCrop, MultiScaleCrop, RandomCrop, RandomResizedCrop
from kinema.transforms.decoding import (
    ArrayDecode,
    BuildPseudoClip,
    DecodeVideo,
    ImageDecode,
    LoadRGBFromFile,
    OpenVideo,
    RawFrameDecode,
)
from kinema.transforms.formatting import FormatAudioShape, FormatShape, PackActionInputs, Rename, ToTensor, Transpose
from kinema.transforms.fuse import Fuse
from kinema.transforms.geometry import Flip, RandomRescale, Resize
from kinema.transforms.label_groups import LoadHVULabel
from kinema.transforms.openmmlab_decoders import (
    DecordDecode,
    DecordInit,
    OpenCVDecode,
    OpenCVInit,
    PIMSDecode,
    PIMSInit,
    PyAVDecode,
    PyAVDecodeMotionVector,
    PyAVInit,
)
from kinema.transforms.rand_augment import RandAugment, TrivialAugment
from kinema.transforms.sampling import DenseSampleFrames, SampleFrames, UntrimmedSampleFrames
from kinema.transforms.segment_sampling import SegmentSampleFrames
from kinema.transforms.sound import AudioFeatureSelector, LoadAudioFeature
from kinema.transforms.test_time import TestTimeAug
from kinema.transforms.uniform_sampling import UniformSample, UniformSampleFrames
from kinema.transforms.views import MirroredViews, TenCrop, ThreeCrop

__all__ = [
    "ArrayDecode",
    "AudioFeatureSelector",
    "BaseTransform",
    "BuildPseudoClip",
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "DecodeVideo",
    "DecordDecode",
    "DecordInit",
    "DenseSampleFrames",
    "Flip",
    "FormatAudioShape",
    "FormatShape",
    "Fuse",
    "ImageDecode",
    "KeyMapper",
    "LoadAudioFeature",
    "LoadHVULabel",
    "LoadRGBFromFile",
    "MirroredViews",
    "MultiScaleCrop",
    "OpenCVDecode",
    "OpenCVInit",
    "OpenVideo",
    "PIMSDecode",
    "PIMSInit",
    "PackActionInputs",
    "PyAVDecode",
    "PyAVDecodeMotionVector",
    "PyAVInit",
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
    "SegmentSampleFrames",
    "TenCrop",
    "TensorTransform",
    "TestTimeAug",
    "ThreeCrop",
    "ToTensor",
    "Transpose",
    "TrivialAugment",
    "UniformSample",
    "UniformSampleFrames",
    "UntrimmedSampleFrames",
    "kornia_transform",
    "pytorchvideo_transform",
    "torchvision_transform",
]
