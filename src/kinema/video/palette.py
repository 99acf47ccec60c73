"""The colours of a GIF: one palette chosen from all frames, and the frames drawn with it."""

from collections.abc import Iterator
from fractions import Fraction

import av
from av.filter import Graph
from av.video.frame import VideoFrame


class PaletteGraph:
    """FFmpeg's palettegen and paletteuse as one graph; it holds the frames until the last is there.

    Args:
        width, height: of the frames, pixels.
        rate: frames a second.
        max_colours: size of the palette, at most 256; one of them is kept for "as before", which
            makes files small.
    """

    def __init__(self, width: int, height: int, rate: Fraction, max_colours: int) -> None:
        self._graph = Graph()
        self._source = self._graph.add_buffer(
            width=width, height=height, format=av.VideoFormat("rgb24"), time_base=1 / rate
        )
        split = self._graph.add("split")
        choose = self._graph.add("palettegen", f"max_colors={max_colours}:stats_mode=full")
        # Dithering only where something moved keeps still parts still.
        draw = self._graph.add("paletteuse", "dither=sierra2_4a:diff_mode=rectangle")
        self._sink = self._graph.add("buffersink")
        self._source.link_to(split)
        split.link_to(draw, 0, 0)
        split.link_to(choose, 1, 0)
        choose.link_to(draw, 0, 1)
        draw.link_to(self._sink)
        self._graph.configure()

    def push(self, frame: VideoFrame) -> None:
        """Take an RGB frame."""
        self._source.push(frame)

    def finish(self) -> Iterator[VideoFrame]:
        """The frames in 8 bits, palette included."""
        self._source.push(None)
        while True:
            try:
                frame = self._sink.pull()
            except (av.EOFError, av.BlockingIOError):
                return
            assert isinstance(frame, VideoFrame)
            yield frame
