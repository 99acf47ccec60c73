"""`decord.video_reader`, thin over Kinema."""

from kinema.compat.parts.decord_reader import VideoReader

__all__ = [
    "VideoReader",
]
