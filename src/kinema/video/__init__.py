"""Video files to exact frames, and frames to video files."""

from kinema.video.backends import Backend, FrameFolder, installed_backends, open_backend
from kinema.video.index import PacketIndex
from kinema.video.limits import VideoLimitError, VideoLimits, default_limits, set_default_limits
from kinema.video.probe import VideoFacts, probe_video
from kinema.video.reader import VideoReader
from kinema.video.source import VideoSource
from kinema.video.transcode import Transcoded, TranscodeSettings, transcode
from kinema.video.writer import VideoWriter, write_video

__all__ = [
    "Backend",
    "FrameFolder",
    "PacketIndex",
    "TranscodeSettings",
    "Transcoded",
    "VideoFacts",
    "VideoLimitError",
    "VideoLimits",
    "VideoReader",
    "VideoSource",
    "VideoWriter",
    "default_limits",
    "installed_backends",
    "open_backend",
    "probe_video",
    "set_default_limits",
    "transcode",
    "write_video",
]
