"""`mmaction.datasets.transforms`, thin over Kinema."""

from kinema.transforms import (
    ArrayDecode,
    BuildPseudoClip,
    CenterCrop,
    ColorJitter,
    DecodeVideo,
    DenseSampleFrames,
    Flip,
    FormatShape,
    Fuse,
    ImageDecode,
    MultiScaleCrop,
    OpenVideo,
    PackActionInputs,
    RandomCrop,
    RandomErasing,
    RandomRescale,
    RandomResizedCrop,
    RawFrameDecode,
    Rename,
    Resize,
    SampleFrames,
    TenCrop,
    ThreeCrop,
    ToTensor,
    Transpose,
    UniformSample,
    UniformSampleFrames,
    UntrimmedSampleFrames,
)
from kinema.transforms import (
    DecodeVideo as DecordDecode,
)
from kinema.transforms import (
    DecodeVideo as OpenCVDecode,
)
from kinema.transforms import (
    OpenVideo as DecordInit,
)
from kinema.transforms import (
    OpenVideo as OpenCVInit,
)
from kinema.transforms import (
    OpenVideo as PyAVInit,
)
from kinema.transforms import (
    pyav_decode as PyAVDecode,
)
from kinema.transforms import (
    pytorchvideo_transform as PytorchVideoWrapper,
)
from kinema.transforms import (
    torchvision_transform as TorchVisionWrapper,
)

__all__ = [
    "ArrayDecode",
    "BuildPseudoClip",
    "CenterCrop",
    "ColorJitter",
    "DecodeVideo",
    "DecordDecode",
    "DecordInit",
    "DenseSampleFrames",
    "Flip",
    "FormatShape",
    "Fuse",
    "ImageDecode",
    "MultiScaleCrop",
    "OpenCVDecode",
    "OpenCVInit",
    "OpenVideo",
    "PackActionInputs",
    "PyAVDecode",
    "PyAVInit",
    "PytorchVideoWrapper",
    "RandomCrop",
    "RandomErasing",
    "RandomRescale",
    "RandomResizedCrop",
    "RawFrameDecode",
    "Rename",
    "Resize",
    "SampleFrames",
    "TenCrop",
    "ThreeCrop",
    "ToTensor",
    "TorchVisionWrapper",
    "Transpose",
    "UniformSample",
    "UniformSampleFrames",
    "UntrimmedSampleFrames",
]
