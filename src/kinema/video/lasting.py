"""What a decoder must know at a packet beside the packet: what came with, or in, packets before it.

A decode of the whole meets everything once: the palette beside the first packet, new parameter sets
beside or in the packet at which they change, the encoder's version in the first picture's messages.
Decoding that starts in the middle has to be given it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from av.packet import Packet, PacketSideData
from av.packet import packet_sidedata_type_from_literal as number_of_kind

from kinema.video.bitstream import nal_length_size
from kinema.video.headers import Headers, headers_in_extradata, headers_in_packet, prefix_of

# Side data that FFmpeg's decoders remember; of other kinds each packet has its own.
_KINDS = frozenset({"palette", "new_extradata", "param_change"})
# Codecs without palettes whose decoders pass such data over, so that a scan need not look for it.
CODECS_WITHOUT_SIDE_DATA = frozenset(
    {"mpeg4", "mpeg1video", "mpeg2video", "vp8", "vp9", "theora", "mjpeg", "h263", "flv1", "ffv1", "prores", "dnxhd"}
    | {"msmpeg4v1", "msmpeg4v2", "msmpeg4v3", "wmv1", "wmv2"}
)
# Decoders that read new extradata; others pass it over, in a decode of the whole too.
_READS_EXTRADATA = ("h264", "hevc")
# Decoders work around an error of the x264 versions before this one in 4:4:4, and before the second
# one in B pictures.
_X264_RIGHT_IN_444, _X264_RIGHT = 151, 34
_NEWER_X264 = b"99999"
# More than a video can need; memory and time would grow with the square of the changes.
_MAX_HEADERS = 2**20  # summed over all states
_MAX_BYTES = 256 * 2**20  # of side data, and of prefixes

SideData = tuple[str, bytes]


@dataclass(frozen=True)
class Lasting:
    """What is valid from one packet on.

    Attributes:
        first: that packet.
        side_data: kind, by FFmpeg's name, and content.
        prefix: headers that go before the bytes of a packet at which decoding starts.
        is_partial: the decoder may remember a kind of side data of another part of the stream that
            this part has not.
    """

    first: int
    side_data: tuple[SideData, ...] = ()
    prefix: bytes = b""
    is_partial: bool = False

    @property
    def num_bytes(self) -> int:
        """In memory."""
        return len(self.prefix) + sum(len(content) for _, content in self.side_data)

    def attach_side_data(self, packet: Packet) -> None:
        """Let `packet` carry the side data, in place of its own."""
        for kind, content in self.side_data:
            data = PacketSideData(number_of_kind(kind), len(content))  # type: ignore[call-arg,arg-type]
            data.update(content)
            packet.set_sidedata(data, move=True)

    def started(self, packet: Packet) -> Packet:
        """`packet`, or a copy of it, with all that a decoder needs that starts at it."""
        if self.prefix:
            packet = replaced(packet, self.prefix + bytes(packet))
        self.attach_side_data(packet)
        return packet


def replaced(packet: Packet, content: bytes) -> Packet:
    """A copy of `packet` that holds `content`."""
    # A packet made from bytes ends with their memory, and decoders of damaged data read on for some
    # bytes: this one has zeros there.
    new = Packet(len(content))
    new.update(content)
    new.pts, new.dts, new.duration = packet.pts, packet.dts, packet.duration
    new.time_base, new.is_keyframe = packet.time_base, packet.is_keyframe
    for data in packet.iter_sidedata():
        new.set_sidedata(data, move=True)
    return new


def side_data_of(packets: Sequence[Packet]) -> dict[int, list[SideData]]:
    """Place in `packets` -> the side data there that lasts."""
    side_data: dict[int, list[SideData]] = {}
    all_data = list(map(tuple, map(Packet.iter_sidedata, packets)))
    if not any(all_data):
        return side_data
    for place, entries in enumerate(all_data):
        for data in entries:
            if data.data_type in _KINDS:
                side_data.setdefault(place, []).append((data.data_type, bytes(data)))
    return side_data


class LastingNotes:
    """Takes notes while the packets of a stream go by in order.

    Args:
        codec: FFmpeg's name.
        extradata: the stream's own.
        pixel_format: of the stream, by FFmpeg's name, as far as it is known.

    Attributes:
        length_size: bytes of the length before each NAL unit now; 0 for start codes.
    """

    def __init__(self, codec: str, extradata: bytes | None, pixel_format: str | None) -> None:
        self._codec, self._extradata = codec, extradata
        self._may_be_444 = pixel_format is None or "444" in pixel_format or pixel_format.startswith("gbr")
        self.length_size = nal_length_size(codec, extradata)
        self._base: Headers = headers_in_extradata(codec, extradata)  # of the extradata valid now
        self._in_band: Headers = {}  # of packets since then, where they differ
        self._side: dict[str, bytes] = {}
        self._known: dict[bytes, bytes] = {}  # equal contents are kept once
        self._num_side_bytes = self._num_headers = 0
        self._states = [(0, dict(self._side), self._base, dict(self._in_band), self.length_size)]

    def note(self, number: int, side_data: Iterable[SideData], content: bytes | None) -> None:
        """Take notes of packet `number`; `content` is that of key packets.

        Raises:
            ValueError: there is more to remember than a video can need.
        """
        has_changed = False
        for kind, data in side_data:
            if self._side.get(kind) == data:
                continue
            has_changed = True
            self._side[kind] = self._once(data)
            if kind == "new_extradata" and self._codec in _READS_EXTRADATA:
                self.length_size = nal_length_size(self._codec, data)
                self._base, self._in_band = headers_in_extradata(self._codec, data), {}
        if content is not None:
            for key, unit in headers_in_packet(self._codec, content, self.length_size).items():
                if self._in_band.get(key, self._base.get(key)) != unit:
                    self._in_band[key] = unit
                    has_changed = True
        if has_changed:
            if self._states[-1][0] == number:
                self._states.pop()
            self._states.append((number, dict(self._side), self._base, dict(self._in_band), self.length_size))
            self._num_headers += len(self._side) + len(self._in_band)
            if self._num_headers > _MAX_HEADERS:
                raise ValueError(f"its headers change more often than a video needs, {len(self._states)} times")

    def _once(self, data: bytes) -> bytes:
        if data not in self._known:
            self._num_side_bytes += len(data)
            if self._num_side_bytes > _MAX_BYTES:
                raise ValueError(f"its palettes and headers take more than {_MAX_BYTES >> 20} MB")
            self._known[data] = data
        return self._known[data]

    def result(self) -> tuple[Lasting, ...]:
        """What is valid where, by ascending first packets; empty where the stream's own headers say all.

        Raises:
            ValueError: there is more to remember than a video can need.
        """
        kinds = {kind for _, side, *_ in self._states for kind in side}
        new_extradata = "new_extradata" in kinds
        needs_version = self._needs_version()
        states: list[Lasting] = []
        is_changed, num_bytes = False, 0
        for first, side, base, in_band, length_size in self._states:
            if new_extradata and "new_extradata" not in side and self._extradata:
                side = {**side, "new_extradata": self._extradata}
            headers = dict(in_band) if new_extradata else {**base, **in_band}
            version = headers.pop(("x264",), _NEWER_X264)
            if needs_version:
                headers["x264",] = version
            num_bytes += sum(map(len, headers.values()))
            if num_bytes > _MAX_BYTES:
                raise ValueError(f"its headers change so often that they take more than {_MAX_BYTES >> 20} MB")
            prefix = prefix_of(self._codec, headers, length_size)
            state = Lasting(first, tuple(side.items()), prefix, is_partial=kinds > set(side))
            is_changed = is_changed or bool(side) or headers != self._states[0][2]
            if not states or (state.side_data, state.prefix) != (states[-1].side_data, states[-1].prefix):
                states.append(state)
        return tuple(states) if is_changed else ()

    def _needs_version(self) -> bool:
        versions = [in_band[("x264",)] for *_, in_band, _ in self._states if ("x264",) in in_band]
        right = _X264_RIGHT_IN_444 if self._may_be_444 else _X264_RIGHT
        return any(int(version) < right for version in versions)
