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
    is_second_field: list[bool] | None  # of each packet; None when there is none
    num_missing: int

    def last_packet_of(self, packet: int) -> int:
        """The packet that completes what `packet` begins."""
        following = packet + 1
        fields = self.is_second_field
        return following if fields is not None and following < len(fields) and fields[following] else packet

    def first_packet_of(self, packet: int) -> int:
        """The packet that begins what `packet` completes."""
        return packet - 1 if self.is_second_field is not None and self.is_second_field[packet] else packet

    def first_group(self, frames: list[int]) -> list[int]:
        """The leading frames of `frames`, ascending, that are best decoded in one go."""
        group = [frames[0]]
        last_packet = self.packet_of[frames[0]]
        for frame in frames[1:]:
            if self.entry_of[frame] > last_packet + 1:
                break
            group.append(frame)
            last_packet = max(last_packet, self.packet_of[frame])
        return group

    def with_chained(self, packets: list[int]) -> set[int]:
        """`packets` and those before them without which their pictures are lost."""
        in_full = set(packets)
        for packet in packets:
            while self.is_chained[packet] and packet > 0:
                packet -= 1
                in_full.add(packet)
        return in_full

    @classmethod
    def of(cls, index: PacketIndex) -> "FrameTable":
        return cls(
            index.packet_of_frame.tolist(),
            index.entry_of_frame.tolist(),
            index.frame_of_packet.tolist(),
            index.is_chained.tolist(),
            index.is_cut_off.tolist(),
            index.is_second_field.tolist() if index.is_second_field.any() else None,
            index.num_missing,
        )
