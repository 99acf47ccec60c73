"""Decoders made anew, as often as needed, and let go without a hang."""

import io

import av
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream


def new_context(stream: VideoStream) -> VideoCodecContext:
    """A decoder that knows all that the container says of `stream` and has seen no packet; it outlives the container.

    Setting a new decoder's attributes one by one would lose what PyAV has no attribute for: the
    display matrix, the place of chroma samples, other data beside the stream. A muxer that writes
    nothing copies all of it.
    """
    with av.open(io.BytesIO(), "w", format="null") as nothing:
        context = nothing.add_stream_from_template(stream, opaque=True).codec_context
    context.codec_tag = stream.codec_context.codec_tag  # muxers choose their own
    context.flags = stream.codec_context.flags  # the muxer's are for encoders
    return context


def let_go(context: VideoCodecContext) -> None:
    """Make `context` safe to drop: its threads have nothing left to do.

    PyAV frees a decoder while it holds Python's lock, and FFmpeg then waits for the decoder's
    threads; one that was about to write to PyAV's log, or to give back what a packet carried, would
    wait for the lock. Flushing waits without holding it.
    """
    if context.is_open:
        context.flush_buffers()
