"""One walk over all packets of a stream, which decodes none and gives a `PacketIndex`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import compress, islice
from operator import add, and_, attrgetter, not_
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from kinema.video.bitstream import (
    Mpeg4Pictures,
    Mpeg12Pictures,
    Picture,
    h264_can_start_at,
    h264_is_recovered_at,
    hevc_can_start_at,
    hevc_needs_what_precedes,
    is_intra,
    vp8_picture,
)
from kinema.video.clock import NO_TIME, continue_clock, find_jumps, is_even
from kinema.video.counts import Heads, head_finder
from kinema.video.index import PacketIndex, arrange_frames
from kinema.video.lasting import CODECS_WITHOUT_SIDE_DATA, LastingNotes, side_data_of
from kinema.video.limits import Watch
from kinema.video.order import Order, order_by_pictures, order_by_time
from kinema.video.slice_headers import H264Headers, slice_headers
from kinema.video.source import over_network, packets_of

# Decoders of these output nothing before the first key frame; others start anywhere.
_STARTS_AT_KEY_FRAME = ("h264", "hevc")
# Codecs whose key packets need nothing that precedes them. Of others, decoding starts at the first
# packet only.
_STARTS_AT_ANY_KEY_FRAME = frozenset(
    {"mpeg4", "mpeg1video", "mpeg2video", "vp8", "vp9", "av1", "theora", "ffv1", "flv1", "h263"}
    | {"msmpeg4v1", "msmpeg4v2", "msmpeg4v3", "wmv1", "wmv2", "wmv3", "vc1"}
)
# Formats that may be cut anywhere; of others, a first picture that is no key frame is a damaged
# one.
_CUT_ANYWHERE = ("mpegts", "mpeg", "h264")
_READ_IN_PIECES = frozenset({"mpegts", "mpegtsraw"})
_BATCH_PACKETS = 1024
_PACKET_BYTES = 600  # of memory for a packet, besides what it holds
_MPEG_PICTURES = ("mpeg4", "mpeg1video", "mpeg2video")

# Most of a scan's time goes into reading attributes of packets: C does it faster than Python.
_size_of = attrgetter("size")
_is_corrupt = attrgetter("is_corrupt")
_facts_of = attrgetter("is_keyframe", "pts", "dts", "size", "duration", "is_discard")


@dataclass
class _Walk:
    """What is noted of each packet."""

    pts: list[int] = field(default_factory=list)
    dts: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)
    is_key: list[bool] = field(default_factory=list)
    is_shown: list[bool] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)  # of MPEG codecs only
    heads: bytearray = field(default_factory=bytearray)  # of H.264 and HEVC only: see counts.py
    leading: list[int] = field(
        default_factory=list
    )  # packets that say that they refer to what lies before their key picture
    entries: list[int] = field(default_factory=list)
    is_chained: list[bool] | None = None
    is_cut_off: list[bool] | None = None
    is_cut_open: bool = False  # see PacketIndex
    starts_right: bool = True  # pictures are right from the first key frame on
    gaps: list[int] = field(default_factory=list)

    def note(self, packets: list[Packet], codec: "_Codec") -> None:
        """Add some packets."""
        if not packets:
            return
        start = len(self.sizes)
        keys, pts, dts, sizes, durations, discards = zip(*map(_facts_of, packets), strict=True)
        self.is_key += keys
        self.pts += [NO_TIME if time is None else time for time in pts]
        self.dts += [NO_TIME if time is None else time for time in dts]
        self.sizes += sizes
        self.durations += [duration or 0 for duration in durations]
        if codec.counts_pieces:
            self.gaps += compress(range(start, start + len(packets)), map(_is_corrupt, packets))
        side_data = side_data_of(packets) if codec.keeps_side_data else {}
        places = list(compress(range(len(packets)), keys))
        for place in sorted({*places, *side_data}) if side_data else places:
            content = bytes(packets[place]) if keys[place] and not codec.intra_only else None
            if content is not None or place in side_data:
                codec.lasting.note(start + place, side_data.get(place, ()), content)
            if keys[place] and codec.can_start_at(content or b""):
                self.entries.append(start + place)
            if codec.slices is not None:
                for extradata in (data for kind, data in side_data.get(place, ()) if kind == "new_extradata"):
                    codec.slices.take_extradata(extradata)
                codec.slices.look(content or b"")
        if codec.head_of is not None:
            self.heads += b"".join(map(codec.head_of, packets))
        shown = list(map(not_, discards))
        if codec.picture is not None:
            pictures = list(map(codec.picture, map(bytes, packets)))
            self.pictures += pictures
            if Picture.NONE in pictures:
                shown = [flag and picture is not Picture.NONE for flag, picture in zip(shown, pictures, strict=True)]
        self.is_shown += shown
        if codec.is_recovered_at is not None and True in keys and True not in self.is_key[:start]:
            self.starts_right = codec.is_recovered_at(packets[keys.index(True)])
        if codec.is_leading is not None and sum(self.is_key[:start]) < 2:  # asked of the first group of pictures only
            self.leading += compress(range(start, start + len(packets)), map(codec.is_leading, packets))


class _Codec:
    """What to ask of the packets of one stream."""

    def __init__(self, stream: VideoStream) -> None:
        context = stream.codec_context
        codec = context.codec
        self.name = codec.canonical_name
        self.reorders = bool(codec.reorder)
        self.may_be_cut = self.name == "h264" and stream.container.format.name in _CUT_ANYWHERE
        self.reorder_depth = context.reorder_depth
        extradata = context.extradata
        self.lasting = LastingNotes(self.name, extradata, context.pix_fmt)
        self.intra_only = bool(codec.intra_only)
        self.keeps_side_data = self.name not in CODECS_WITHOUT_SIDE_DATA
        self.counts_pieces = stream.container.format.name in _READ_IN_PIECES
        self.slices = slice_headers(self.name, extradata)
        self.head_of = head_finder(self.name, self.lasting.length_size)
        self.mpeg4: Mpeg4Pictures | None = None
        if self.name == "mpeg4":
            self.mpeg4 = Mpeg4Pictures(extradata, has_bidirectional=bool(self.reorder_depth))
        self.picture: Callable[[bytes], Picture] | None = None
        self.is_leading: Callable[[Packet], bool] | None = None  # of H.264 all may be
        self.is_recovered_at: Callable[[Packet], bool] | None = None
        self.can_start_at: Callable[[bytes], bool] = _never
        notes = self.lasting  # new extradata may change the size of lengths
        if self.name == "h264":
            self.can_start_at = lambda content: h264_can_start_at(content, notes.length_size)
            self.is_recovered_at = lambda packet: h264_is_recovered_at(bytes(packet), notes.length_size)
        elif self.name == "hevc":
            self.can_start_at = lambda content: hevc_can_start_at(content, notes.length_size)
            self.is_leading = lambda packet: hevc_needs_what_precedes(bytes(packet), notes.length_size)
        elif self.intra_only:
            self.can_start_at = _always
        elif self.name in _STARTS_AT_ANY_KEY_FRAME:
            self.can_start_at = lambda content: is_intra(self.name, content)
        if self.mpeg4 is not None:
            self.picture = self.mpeg4.read
        elif self.name in _MPEG_PICTURES:
            self.picture = Mpeg12Pictures().read
        elif self.name == "vp8":
            self.picture = vp8_picture


def _always(packet: Packet | bytes) -> bool:
    return True


def _never(packet: Packet | bytes) -> bool:
    return False


def scan_packets(
    container: InputContainer, stream: VideoStream, watch: Watch, *, keep: int = 0
) -> tuple[PacketIndex, list[Packet] | None]:
    """Read all packets of `stream`, from where `container` stands, without decoding any.

    Headers are not asked: they count the packets that an edit list cuts away, or say nothing. A
    file that breaks off counts as far as its packets go, and, where the file has a table of them
    (mp4), with those that should follow.

    Args:
        container: at its start.
        stream: of the container.
        watch: holds the reading to its limits.
        keep: bytes of memory for packets to keep.

    Returns:
        The index, and the packets when they all fit into `keep` bytes.
    """
    codec = _Codec(stream)
    walk = _Walk()
    kept: list[Packet] | None = []
    num_kept_bytes = 0
    batches = _batches(container, stream, watch)
    if not codec.counts_pieces:  # read in pieces of 188 bytes, so that the mark says nothing about the file's end
        batches = _without_cut_end(batches)
    for batch in batches:
        walk.note(batch, codec)
        watch.check_frames(len(walk.sizes))
        watch.check_time()
        if kept is not None:
            kept += batch
            num_kept_bytes += sum(map(_size_of, batch)) + len(batch) * _PACKET_BYTES
            if num_kept_bytes > keep:
                kept = None
    num_missing = _missing(stream, len(walk.sizes))
    base = stream.time_base
    jumps: list[int] = []
    if base:
        jumps = find_jumps(walk.pts, walk.dts, walk.is_key, 1 / float(base), format_name=container.format.name)
    if jumps:
        walk.pts, walk.dts = continue_clock(walk.pts, walk.dts, walk.durations, jumps)
    starts_clearly = True
    if codec.name in _STARTS_AT_KEY_FRAME:
        starts_clearly = _hide_what_has_no_key_frame(walk, codec)
    if codec.mpeg4 is not None:
        _note_what_mpeg4_needs(walk, codec.mpeg4)
    heads = None if codec.slices is None else Heads(walk.heads, codec.slices)
    order, how = _output_order(walk, codec, heads)
    shown = order if all(walk.is_shown) else [packet for packet in order if walk.is_shown[packet]]
    num_packets = len(walk.sizes)
    index = PacketIndex(
        pts=np.asarray(walk.pts, np.int64),
        dts=np.asarray(walk.dts, np.int64),
        sizes=np.asarray(walk.sizes, np.int64),
        is_chained=_flags(walk.is_chained, num_packets),
        is_cut_off=_flags(walk.is_cut_off, num_packets),
        is_second_field=np.zeros(num_packets, bool),
        time_base=float(base) if base else None,
        shown_seconds=_shown_seconds(walk, base),
        num_missing=num_missing,
        lasting=codec.lasting.result(),
        gaps=np.asarray(walk.gaps, np.int64),
        has_losses=codec.counts_pieces and (bool(walk.gaps) or not is_even(walk.pts)),
        has_number_gaps=heads is not None and heads.have_gaps(),
        has_jumps=bool(jumps),
        order=how if starts_clearly else Order.UNKNOWN,
        is_cut_open=walk.is_cut_open,
        **arrange_frames(order, shown, np.asarray(walk.entries, np.int64), num_packets),
    )
    return index, kept


def _batches(container: InputContainer, stream: VideoStream, watch: Watch) -> Iterator[list[Packet]]:
    """The packets that hold something, up to where the file breaks off."""
    packets = packets_of(container, stream)
    # Empty are the mark that flushes the decoder, and frames that an AVI file dropped.
    sized = filter(_size_of, over_network(packets, watch) if watch.is_remote else packets)
    batch: list[Packet] = []
    try:
        for packet in sized:
            batch = [packet]
            batch.extend(islice(sized, _BATCH_PACKETS - 1))  # when reading fails, those before stay in it
            yield batch
            batch = []
    except av.FFmpegError:
        pass  # the end of what can be read
    finally:
        packets.close()
    yield batch


def _without_cut_end(batches: Iterator[list[Packet]]) -> Iterator[list[Packet]]:
    """`batches` without the packet that the end of the file cuts.

    A packet that the demuxer calls corrupt ends with the file when no others follow. Else something
    is wrong before it: a packet of the transport stream is lost, repeated or has another number.
    How much of it is whole, the decoder says.
    """
    doubtful: list[Packet] = []  # corrupt ones, and what follows them as long as that may be the rest of the last one
    num_whole = 0  # of those
    for batch in batches:
        if not doubtful and not any(map(_is_corrupt, batch)):
            yield batch
            continue
        certain: list[Packet] = []
        for packet in batch:
            if not (packet.is_corrupt or doubtful):
                certain.append(packet)
                continue
            doubtful.append(packet)
            num_whole = 0 if packet.is_corrupt else num_whole + 1
            if num_whole == 2 or len(doubtful) == _BATCH_PACKETS:
                certain += doubtful
                doubtful = []
        yield certain


def _missing(stream: VideoStream, num_read: int) -> int:
    if "mov" not in stream.container.format.name.split(","):
        return 0  # others make their table up from what they have read, or it is no table of frames
    return max(0, len(stream.index_entries) - num_read)


def _hide_what_has_no_key_frame(walk: _Walk, codec: _Codec) -> bool:
    """Leave out what the decoder drops in a stream that was cut: all before the first key frame, in either order.

    Returns:
        Whether it is certain that no more is dropped than that.
    """
    first = walk.is_key.index(True) if True in walk.is_key else None
    if not walk.sizes or (first is None and not codec.may_be_cut):
        return True
    if first is None or (codec.may_be_cut and first not in walk.entries and not walk.starts_right):
        # The decoder shows pictures when it finds that they are right again (periodic intra
        # refresh).
        end = walk.entries[0] if walk.entries else len(walk.sizes)
        walk.is_cut_off = [place < end for place in range(len(walk.sizes))]
        walk.entries.insert(0, 0)
        walk.is_cut_open = codec.name == "h264"
        return False
    hidden = set(range(first))
    may_be_hidden: set[int] = set()
    # Frames that follow the key frame in the file but precede it in time refer to what was cut off
    # (open GOP).
    end = next(compress(range(first + 1, len(walk.pts)), walk.is_key[first + 1 :]), len(walk.pts))
    may_lead = first not in walk.entries or min(walk.pts[first:end]) < walk.pts[first]
    leading = walk.leading if codec.is_leading is not None else range(len(walk.pts))
    for place in leading if may_lead else ():
        if not first < place < end:
            continue
        if NO_TIME < walk.pts[place] < walk.pts[first]:
            hidden.add(place)
        elif walk.pts[place] == NO_TIME and first not in walk.entries:
            may_be_hidden.add(place)
    cut_off = hidden | may_be_hidden
    if cut_off:
        walk.is_cut_off = [place in cut_off for place in range(len(walk.pts))]
        walk.is_shown = [shown and place not in hidden for place, shown in enumerate(walk.is_shown)]
    if first not in walk.entries:
        # What follows may list pictures that lie before it without using them: some must be there.
        walk.entries.insert(0, 0)
        walk.is_cut_open = codec.name == "h264"
    return True


def _note_what_mpeg4_needs(walk: _Walk, mpeg4: Mpeg4Pictures) -> None:
    if mpeg4.is_packed:
        walk.is_chained = [picture is Picture.BIDIRECTIONAL for picture in walk.pictures]
    if mpeg4.is_interlaced and Picture.BIDIRECTIONAL in walk.pictures:
        # FFmpeg learns the time between fields from the first B picture that it sees, and takes it
        # for all others.
        walk.entries = [0]


def _output_order(walk: _Walk, codec: _Codec, heads: Heads | None) -> tuple[list[int], Order]:
    """Packets in the order in which their pictures leave the decoder, and how sure that is."""
    if codec.name in _MPEG_PICTURES:
        return order_by_pictures(walk.pictures), Order.CERTAIN
    if not codec.reorders:
        return list(range(len(walk.sizes))), Order.CERTAIN
    if heads is None:
        order, how = order_by_time(walk.pts, walk.is_shown, codec.reorder_depth)
        return order, how if how is Order.CERTAIN else Order.UNKNOWN
    order, how = order_by_time(
        walk.pts,
        walk.is_shown,
        codec.reorder_depth,
        heads.is_early(),
        only_early=codec.name == "h264",
        confirms=heads.confirm,
    )
    if how is Order.CERTAIN and isinstance(codec.slices, H264Headers) and codec.slices.may_hold_fields:
        how = Order.DOUBTFUL
    return order, how


def _shown_seconds(walk: _Walk, time_base: Any) -> float | None:
    counts = list(map(and_, walk.is_shown, map(NO_TIME.__ne__, walk.pts)))
    starts = list(compress(walk.pts, counts))
    if not starts or time_base is None:
        return None
    ends = map(add, starts, compress(walk.durations, counts))
    return (max(ends) - min(starts)) * time_base.numerator / time_base.denominator


def _flags(values: list[bool] | None, count: int) -> np.ndarray:
    return np.zeros(count, bool) if values is None else np.asarray(values, bool)
