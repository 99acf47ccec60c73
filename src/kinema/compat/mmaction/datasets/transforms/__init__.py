"""`mmaction.datasets.transforms`, thin over Kinema."""

from kinema.transforms import (
    CenterCrop,
    DecodeVideo,
    Flip,
    FormatShape,
    OpenVideo,
    PackActionInputs,
    RandomCrop,
    RandomResizedCrop,
    Resize,
    SampleFrames,
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
    "CenterCrop",
    "DecodeVideo",
    "DecordDecode",
    "DecordInit",
    "Flip",
    "FormatShape",
    "OpenCVDecode",
    "OpenCVInit",
    "OpenVideo",
    "PackActionInputs",
    "PyAVDecode",
    "PyAVInit",
    "RandomCrop",
    "RandomResizedCrop",
    "Resize",
    "SampleFrames",
]
