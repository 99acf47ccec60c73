"""What the packets of a video say without decoding.

Which frames there are, in which packets, and where decoding can start.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypedDict

import numpy as np

from kinema.video.clock import NO_TIME
from kinema.video.lasting import Lasting
from kinema.video.order import Order, order_by_headers
from kinema.video.slice_headers import SliceHeader


@dataclass(frozen=True, eq=False)
class PacketIndex:
    """Facts from one walk over the P packets of a video stream, of which N frames come.

    It can be kept, pickled, and given to another `VideoReader` of the same file, which then reads
    only the packets it needs.

    Attributes:
        pts: (P,) int64 presentation times, in units of `time_base`; `NO_TIME` where there is none.
        dts: (P,) int64 decoding times, likewise.
        sizes: (P,) int64 bytes.
        packet_of_frame: (N,) int64, the packet that frame i comes from.
        frame_of_packet: (P,) int64, the inverse; -1 for a packet that no frame is shown of.
        entry_of_frame: (N,) int64, the packet at which decoding must start to get frame i.
        entries: (E,) int64 packets at which decoding can start, ascending.
        is_chained: (P,) bool, true where a picture is lost when the packet before is not decoded in
            full.
        is_cut_off: (P,) bool, true where a picture may refer to what was cut off before the stream:
            the decoder need not manage to decode it, and shows nothing of it.
        time_base: seconds of one unit of time; None when the stream has none.
        shown_seconds: from the start of the first frame to the end of the last one; None when
            packets carry no times.
        num_missing: frames at the end that the file's own table lists, but whose bytes the file
            does not hold.
        lasting: what a decoder must know that starts in the middle, by ascending first packets;
            mostly empty.
        gaps: (G,) int64 packets of a transport stream at which the demuxer finds something missing
            or repeated.
        has_losses: whether whole pictures, or parts of them, seem to be missing in a transport
            stream.
        has_number_gaps: whether the numbers of H.264 pictures have gaps, which decoders fill with
            pictures of their own.
        has_jumps: whether the file's clock jumps, as in joined recordings; `pts` and `dts` continue
            there, the file's own do not.
        is_second_field: (P,) bool, true where a packet completes the frame that the packet before
            it begins.
        order: how sure it is which packet each frame comes from.
        is_cut_open: true for H.264 that starts at a picture after which others may still refer, or
            take back references, to what was cut off.
    """

    pts: np.ndarray
    dts: np.ndarray
    sizes: np.ndarray
    packet_of_frame: np.ndarray
    frame_of_packet: np.ndarray
    entry_of_frame: np.ndarray
    entries: np.ndarray
    is_chained: np.ndarray
    is_cut_off: np.ndarray
    is_second_field: np.ndarray
    time_base: float | None
    shown_seconds: float | None
    num_missing: int = 0
    lasting: tuple[Lasting, ...] = ()
    gaps: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    has_losses: bool = False
    has_number_gaps: bool = False
    has_jumps: bool = False
    order: Order = Order.CERTAIN
    is_cut_open: bool = False

    @property
    def num_packets(self) -> int:
        """P."""
        return len(self.sizes)

    @property
    def num_frames(self) -> int:
        """Frames that a decode of the whole, undamaged stream outputs, N and those missing at the end."""
        return len(self.packet_of_frame) + self.num_missing

    @property
    def num_bytes(self) -> int:
        """Of the arrays and of what lasts, in memory."""
        arrays = sum(value.nbytes for value in vars(self).values() if isinstance(value, np.ndarray))
        return arrays + sum(state.num_bytes for state in self.lasting)

    @property
    def key_frames(self) -> np.ndarray:
        """Numbers of the frames at which decoding can start, ascending int64."""
        # An entry without a frame lies before the first one, and serves it.
        return (
            np.unique(np.maximum(self.frame_of_packet[self.entries], 0)) if self.num_frames else np.empty(0, np.int64)
        )

    def seconds_of_frames(self) -> np.ndarray | None:
        """(N,) float64 presentation times, ascending; None when a packet has none."""
        times = self.pts[self.packet_of_frame]
        if self.time_base is None or (times == NO_TIME).any():
            return None
        # Sorted, for AVI files with two pictures in a packet hand their times out in another order.
        return np.sort(times) * self.time_base

    def reordered(self, packets: Sequence[int] | np.ndarray) -> "PacketIndex":
        """The same with frames that come from `packets`, in that order, as a decoder that was watched put them out."""
        is_cut_off = self.is_cut_off.copy()
        is_cut_off[np.sort(packets)[1:]] = False  # the first may still list what lies before it
        return self._with_order(packets, is_cut_off, self.is_second_field, Order.CERTAIN)

    def settled(self, headers: Sequence[SliceHeader | None]) -> "PacketIndex":
        """The same with an order that the headers of the P pictures confirm or correct."""
        packets, is_second_field, order = order_by_headers(self.packet_of_frame.tolist(), headers, self.order)
        index = self._with_order(packets, self.is_cut_off, np.asarray(is_second_field, bool), order)
        if not any(is_second_field) or not index.num_frames:
            return index
        return replace(index, shown_seconds=index._span_seconds())

    def _span_seconds(self) -> float | None:
        """Time from the first frame to the end of the last one, which is shown as long as others on average."""
        seconds = self.seconds_of_frames()
        if seconds is None or len(seconds) < 2:
            return self.shown_seconds
        return float((seconds[-1] - seconds[0]) * len(seconds) / (len(seconds) - 1))

    def _with_order(
        self, packets: Sequence[int] | np.ndarray, is_cut_off: np.ndarray, is_second_field: np.ndarray, order: Order
    ) -> "PacketIndex":
        frames = arrange_frames(packets, packets, self.entries, self.num_packets)
        return replace(self, is_cut_off=is_cut_off, is_second_field=is_second_field, order=order, **frames)


class Arrangement(TypedDict):
    """The attributes of `PacketIndex` that follow from an order of packets."""

    packet_of_frame: np.ndarray
    frame_of_packet: np.ndarray
    entry_of_frame: np.ndarray
    entries: np.ndarray


def arrange_frames(
    order: Sequence[int] | np.ndarray, shown: Sequence[int] | np.ndarray, entries: np.ndarray, num_packets: int
) -> Arrangement:
    """Which packet each frame comes from, and where decoding must start for it.

    Args:
        order: packets in the order in which their pictures leave the decoder.
        shown: those that are shown, likewise; an edit list may cut others away.
        entries: (E,) int64 packets at which decoding can start, ascending.
        num_packets: P.
    """
    place = np.full(num_packets, -1, np.int64)  # of each packet's picture in the output, also when it is cut away there
    place[np.asarray(order, np.int64)] = np.arange(len(order))
    packet_of_frame = np.asarray(shown, np.int64)
    frame_of_packet = np.full(num_packets, -1, np.int64)
    frame_of_packet[packet_of_frame] = np.arange(len(shown))
    if num_packets and (len(entries) == 0 or packet_of_frame.min(initial=num_packets) < entries[0]):
        entries = np.insert(entries, 0, 0)
    entries = entries[place[entries] >= np.maximum.accumulate(place[entries])]
    # A picture that precedes an entry in the output may refer to what lies before it (open group of
    # pictures).
    by_packet = np.searchsorted(entries, packet_of_frame, "right") - 1
    by_place = np.searchsorted(place[entries], place[packet_of_frame], "right") - 1
    entry_of_frame = entries[np.maximum(np.minimum(by_packet, by_place), 0)]
    return Arrangement(
        packet_of_frame=packet_of_frame,
        frame_of_packet=frame_of_packet,
        entry_of_frame=entry_of_frame,
        entries=entries,
    )
