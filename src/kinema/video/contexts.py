"""Decoders made anew, as often as needed, set up, and let go without a hang."""

import io

import av
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from kinema.video.bitstream import Mpeg4Pictures
from kinema.video.coverage import UNCOVERED_IN_SILENCE
from kinema.video.limits import VideoLimits
from kinema.video.source import decoder_limits

# FFmpeg's threads wait forever for a picture that these refuse to decode: only parts of one picture
# are decoded at a time.
_HANGS_IN_FRAME_THREADS = frozenset({"vp9"})
# Of damaged pictures several threads make others than one thread does, without an error.
_ONE_THREAD = UNCOVERED_IN_SILENCE


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


def set_up(context: VideoCodecContext, num_threads: int, limits: VideoLimits, *, marks_damage: bool) -> int:
    """Give a new decoder its threads, limits and handling of errors.

    Args:
        context: has seen no packet.
        num_threads: those that it may have.
        limits: of the video.
        marks_damage: pictures that lack something are marked rather than refused.

    Returns:
        The number of threads: one for codecs that several decode in another way.
    """
    codec = context.codec.canonical_name
    # Other threads do not learn the time between fields that the first one has found.
    is_interlaced = codec == "mpeg4" and Mpeg4Pictures(context.extradata).is_interlaced
    if is_interlaced or codec in _ONE_THREAD:
        num_threads = 1
    context.thread_count = num_threads
    context.thread_type = "NONE" if num_threads == 1 else "SLICE" if codec in _HANGS_IN_FRAME_THREADS else "AUTO"
    # "explode" makes errors of what else is patched up from its neighbours and handed out as if it
    # were right. It does so too when a picture says of one that was cut off that it is needed no
    # more; without it, pictures are marked as damaged.
    errors = "crccheck" if marks_damage else "explode+crccheck"
    context.options = {"err_detect": errors, **decoder_limits(limits)}
    return num_threads


def let_go(context: VideoCodecContext) -> None:
    """Make `context` safe to drop: its threads have nothing left to do.

    PyAV frees a decoder while it holds Python's lock, and FFmpeg then waits for the decoder's
    threads; one that was about to write to PyAV's log, or to give back what a packet carried, would
    wait for the lock. Flushing waits without holding it.
    """
    if context.is_open:
        context.flush_buffers()
