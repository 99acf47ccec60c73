"""`mmcv.video`, thin over Kinema."""

from kinema.compat.parts.bgr_video import VideoReader, frames2video

__all__ = [
    "VideoReader",
    "frames2video",
]
