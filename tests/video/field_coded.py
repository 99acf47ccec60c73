"""Writes H.264 whose frames are coded in two fields, which no encoder in FFmpeg does: flat macroblocks, skipped
ones for the rest.
"""

from fractions import Fraction
from pathlib import Path

import av

WIDTH, HEIGHT = 48, 32
MACROBLOCKS = WIDTH // 16 * HEIGHT // 32  # of a field


class Bits:
    """Bits that are written one number after the other."""

    def __init__(self) -> None:
        self.text = ""

    def put(self, *pairs: tuple[int, int]) -> "Bits":
        """Numbers of fixed length: (bits, value)."""
        self.text += "".join(f"{value:0{count}b}" for count, value in pairs)
        return self

    def put_variable(self, *values: int) -> "Bits":
        """Numbers of variable length, Exp-Golomb."""
        for value in values:
            self.text += "0" * ((value + 1).bit_length() - 1) + f"{value + 1:b}"
        return self

    def align(self) -> "Bits":
        self.text += "0" * (-len(self.text) % 8)
        return self

    def unit(self, first: int) -> bytes:
        """A NAL unit with its start code."""
        self.text += "1"
        self.align()
        payload = b"".join(int(self.text[place : place + 8], 2).to_bytes() for place in range(0, len(self.text), 8))
        escaped = bytearray()
        for byte in payload:
            if byte <= 3 and escaped[-2:] == b"\0\0":
                escaped.append(3)
            escaped.append(byte)
        return b"\0\0\0\1" + bytes([first]) + bytes(escaped)


def headers(reorders: bool) -> bytes:
    """Parameter sets: main profile, 25 frames a second, fields allowed."""
    sequence = Bits().put((8, 77), (8, 0), (8, 30)).put_variable(0, 0, 0, 4, 2).put((1, 0))
    sequence.put_variable(WIDTH // 16 - 1, HEIGHT // 32 - 1).put((1, 0), (1, 0), (1, 1), (1, 0))
    sequence.put((1, 1), (4, 0), (1, 1), (32, 1), (32, 50), (1, 1), (3, 0), (1, 1), (1, 1))
    sequence.put_variable(0, 0, 10, 10, int(reorders), 2)
    picture = (
        Bits().put_variable(0, 0).put((1, 0), (1, 0)).put_variable(0, 0, 0).put((1, 0), (2, 0)).put_variable(0, 0, 0)
    )
    return sequence.unit(0x67) + picture.put((1, 1), (1, 0), (1, 0)).unit(0x68)


def field(kind: str, bottom: int, frame_number: int, place: int, *, idr: bool = False, level: int = 0) -> bytes:
    """One field: "I" has macroblocks of a level, "P" and "B" repeat what they refer to."""
    is_reference = kind != "B"
    bits = Bits().put_variable(0, {"I": 7, "P": 5, "B": 6}[kind], 0).put((4, frame_number % 16), (1, 1), (1, bottom))
    if idr:
        bits.put_variable(place // 2 % 2)
    bits.put((8, (0 if idr else place + bottom) % 256))
    bits.put(*([(1, 1)] * (kind == "B") + [(1, 0)] * {"I": 0, "P": 2, "B": 3}[kind]))
    bits.put(*([(1, 0)] * (2 if idr else 1 if is_reference else 0)))
    bits.put_variable(0, 1)
    if kind == "I":
        for block in range(MACROBLOCKS):
            bits.put_variable(25).align()
            for luma in range(256):
                bits.put((8, level + 8 * block + luma // 16 % 16 + bottom))
            bits.put(*([(8, 100 + block)] * 64 + [(8, 140 - block)] * 64))
    else:
        bits.put_variable(MACROBLOCKS)
    return bits.unit((0x65 if idr else 0x41) if is_reference else 0x01)


def coded_frames(count: int, group: int, *, reorders: bool) -> list[tuple[bytes, bytes, int, bool]]:
    """In the order of decoding: first field, second field, number in the output, whether decoding can start there."""
    found = []
    for start in range(0, count, group):
        frame_number = 0
        order = [0]
        for one in range(1, group, 2 if reorders else 1):
            order += [one + 1, one] if reorders and one + 1 < group else [one]
        for place in order:
            is_b = reorders and place % 2 == 1 and place + 1 < group
            level = 20 + (start + place) * 7 % 150
            head = b"\0\0\0\1\x09\xf0" + (headers(reorders) if place == 0 else b"")
            first = field("B" if is_b else "I", 0, frame_number, 2 * place, idr=place == 0, level=level)
            second = field("B" if is_b else "P", 1, frame_number, 2 * place)
            found.append((head + first, b"\0\0\0\1\x09\xf0" + second, start + place, place == 0))
            frame_number += not is_b
    return found


def write_fields(path: Path, *, reorders: bool, drop: tuple[int, ...] = ()) -> None:
    """20 frames; each field is a packet, those of the numbers in `drop` are left out."""
    frames = coded_frames(20, 5, reorders=reorders)
    if path.suffix == ".h264":
        path.write_bytes(b"".join(first + second for first, second, _, _ in frames))
        return
    with av.open(str(path), "w") as container:
        stream = container.add_stream("h264", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.extradata = headers(reorders)
        stream.time_base = Fraction(1, 50)
        packets = [
            (content, 2 * (number + reorders) + second, is_key and not second)
            for *fields, number, is_key in frames
            for second, content in enumerate(fields)
        ]
        for number, (content, time, is_key) in enumerate(packets):
            if number in drop:
                continue
            packet = av.Packet(content)
            packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, 50), is_key
            packet.dts, packet.pts = number, time
            container.mux(packet)
