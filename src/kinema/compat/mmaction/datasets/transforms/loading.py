"""`mmaction.datasets.transforms.loading`, thin over Kinema."""

from kinema.transforms import (
    DecodeVideo,
    OpenVideo,
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
    "DecodeVideo",
    "DecordDecode",
    "DecordInit",
    "OpenCVDecode",
    "OpenCVInit",
    "OpenVideo",
    "PyAVDecode",
    "PyAVInit",
    "SampleFrames",
]
