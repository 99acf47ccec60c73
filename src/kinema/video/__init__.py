"""Video files to exact frames, and frames to video files."""

from kinema.video.backends import installed_backends
from kinema.video.reader import VideoReader
from kinema.video.source import VideoSource
from kinema.video.writer import VideoWriter, write_video

__all__ = ["VideoReader", "VideoSource", "VideoWriter", "installed_backends", "write_video"]
