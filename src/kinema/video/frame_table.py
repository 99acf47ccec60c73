"""A packet index in the form that the decoder asks it in, thousands of times a second."""

from typing import NamedTuple

from kinema.video.index import PacketIndex


class FrameTable(NamedTuple):
    """The index as lists, whose single entries Python reads faster than those of arrays."""

    packet_of: list[int]  # of each frame
    entry_of: list[int]  # of each frame
    frame_of: list[int]  # of each packet
    is_chained: list[bool]  # of each packet
    is_cut_off: list[bool]  # of each packet
    num_missing: int

    @classmethod
    def of(cls, index: PacketIndex) -> "FrameTable":
        return cls(
            index.packet_of_frame.tolist(),
            index.entry_of_frame.tolist(),
            index.frame_of_packet.tolist(),
            index.is_chained.tolist(),
            index.is_cut_off.tolist(),
            index.num_missing,
        )
