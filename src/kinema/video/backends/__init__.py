"""Libraries that decode video, and folders of frames, behind one small interface."""

from kinema.video.backends.base import Backend, ExactBackend
from kinema.video.backends.choosing import installed_backends, open_backend
from kinema.video.backends.frame_folder import FrameFolder

__all__ = ["Backend", "ExactBackend", "FrameFolder", "installed_backends", "open_backend"]
