"""Streams: frames of cameras, addresses and programs in, events out."""

from kinema.inference.stream.stream import Stream
from kinema.inference.stream.updates import StreamFigures, StreamGap, StreamUpdate, StreamWindow

__all__ = ["Stream", "StreamFigures", "StreamGap", "StreamUpdate", "StreamWindow"]
