"""`decord`, thin over Kinema."""

from kinema.compat.parts.decord_reader import VideoReader, cpu, gpu
from kinema.errors import VideoError as DECORDError

DECORDLimitReachedError = DECORDError

__all__ = ["DECORDError", "DECORDLimitReachedError", "VideoReader", "__version__", "cpu", "gpu"]

# The release whose names these are, so that checks of the version in users' code pass.
__version__ = "0.6.0"
