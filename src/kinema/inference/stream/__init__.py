"""Streams: frames of cameras, addresses and programs in, events out."""

from kinema.inference.stream.live_source import SourceOptions
from kinema.inference.stream.stream import Stream
from kinema.inference.stream.updates import StreamFigures, StreamGap, StreamUpdate, StreamWindow
from kinema.inference.stream.watching import Watching, open_source

__all__ = [
    "SourceOptions",
    "Stream",
    "StreamFigures",
    "StreamGap",
    "StreamUpdate",
    "StreamWindow",
    "Watching",
    "open_source",
]
