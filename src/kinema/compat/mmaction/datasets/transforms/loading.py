"""`mmaction.datasets.transforms.loading`, thin over Kinema."""

from kinema.transforms import (
    ArrayDecode,
    BuildPseudoClip,
    DecodeVideo,
    DenseSampleFrames,
    ImageDecode,
    OpenVideo,
    RawFrameDecode,
    SampleFrames,
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

__all__ = [
    "ArrayDecode",
    "BuildPseudoClip",
    "DecodeVideo",
    "DecordDecode",
    "DecordInit",
    "DenseSampleFrames",
    "ImageDecode",
    "OpenCVDecode",
    "OpenCVInit",
    "OpenVideo",
    "PyAVDecode",
    "PyAVInit",
    "RawFrameDecode",
    "SampleFrames",
    "UniformSample",
    "UniformSampleFrames",
    "UntrimmedSampleFrames",
]
