"""`decord.base`, thin over Kinema."""

from kinema.errors import VideoError as DECORDError

DECORDLimitReachedError = DECORDError

__all__ = [
    "DECORDError",
    "DECORDLimitReachedError",
]
