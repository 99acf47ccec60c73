"""`decord.base`, thin over Kinema."""

from kinema.errors import VideoError as DECORDError

__all__ = [
    "DECORDError",
]
