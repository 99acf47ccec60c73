"""Watch a decoder go through a whole file: it shows the order of frames that the packets did not say."""

from dataclasses import dataclass, field

import av
from av.video.codeccontext import VideoCodecContext

from kinema.video.coverage import Coverage
from kinema.video.damage import PacketFailed, check, tag, tag_of
from kinema.video.packets import PacketSource


@dataclass
class Watched:
    """What a decoder put out.

    Attributes:
        packets: of the frames that came out, in that order, each once.
        num_good: frames before the first failure; None when there was none.
        has_failed: damage was passed over, of which the decoder may keep something.
    """

    packets: dict[int, None] = field(default_factory=dict)
    num_good: int | None = None
    has_failed: bool = False


def watch_decoder(source: PacketSource, context: VideoCodecContext, coverage: Coverage | None) -> Watched:
    """Decode all packets of `source` by `context`, which stands at their start and leaves nothing out.

    Args:
        source: the packets.
        context: the decoder.
        coverage: marks the pictures that come out; None where the decoder itself does.
    """
    watched = Watched()
    for number in [*range(source.index.num_packets), None]:
        num_before = len(watched.packets)
        if not _feed(number, source, context, coverage, watched) and watched.num_good is None:
            watched.num_good = num_before
    return watched


def _feed(
    number: int | None, source: PacketSource, context: VideoCodecContext, coverage: Coverage | None, watched: Watched
) -> bool:
    """Decode packet `number`, or to the end of the stream, and note what comes out; whether all is well."""
    packet = None if number is None else source.packet(number, starts=number == 0)
    if number is not None:
        if packet is None:
            return False
        tag(packet, number)
    try:
        frames = context.decode(packet)
    except (av.FFmpegError, OSError):
        watched.has_failed = True
        return number is not None and not watched.packets and bool(source.index.is_cut_off[number])
    is_well = True
    for frame in frames:
        origin = tag_of(frame)
        if origin is not None:
            watched.packets[origin] = None
            try:
                check(frame, origin, context.codec.canonical_name, coverage)
            except PacketFailed:
                is_well, watched.has_failed = False, True
        if coverage is not None:
            coverage.take(frame)
    return is_well
