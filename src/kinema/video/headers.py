"""Headers in a stream that stay valid for the packets behind them.

Parameter sets, layer and sequence headers, an encoder's version.
"""

import re
from collections.abc import Iterator

from kinema.video.bitstream import Bits

# What names a header in its stream -> its bytes. A later one of the same name takes the place of
# the earlier one.
Headers = dict[tuple[object, ...], bytes]

_START_CODE = re.compile(rb"\x00\x00\x01")
_X264_VERSION = re.compile(rb"\x05\xff*[^\xff](?s:.{16})x264 - core ?(\d{1,5})")
# Codec -> start code of the header, and of what ends it.
_HEADER_CODES = {
    "mpeg4": (re.compile(rb"\x00\x00\x01[\x20-\x2f]"), re.compile(rb"\x00\x00\x01[\xb3\xb6]")),
    "mpeg1video": (re.compile(rb"\x00\x00\x01\xb3"), re.compile(rb"\x00\x00\x01[\xb8\x00]")),
    "mpeg2video": (re.compile(rb"\x00\x00\x01\xb3"), re.compile(rb"\x00\x00\x01[\xb8\x00]")),
    "vc1": (re.compile(rb"\x00\x00\x01\x0f"), re.compile(rb"\x00\x00\x01\x0d")),
}
CODECS_WITH_HEADERS = frozenset({"h264", "hevc", *_HEADER_CODES})
_SEI, _SPS, _PPS = 6, 7, 8  # H.264
_VPS_HEVC, _SPS_HEVC, _PPS_HEVC = 32, 33, 34


def headers_in_packet(codec: str, content: bytes, length_size: int) -> Headers:
    """The headers in a packet, before its picture.

    Args:
        codec: FFmpeg's name.
        content: of the packet.
        length_size: bytes of the length before each NAL unit; 0 for start codes.
    """
    if codec in ("h264", "hevc"):
        headers: Headers = {}
        for unit in nal_units(content, length_size):
            if is_slice(codec, unit):
                break
            headers |= _nal_header(codec, unit)
        return headers
    if codec in _HEADER_CODES:
        start, end = _HEADER_CODES[codec]
        last = end.search(content)
        header = content if last is None else content[: last.start()]
        return {(codec,): header} if start.search(header) else {}
    return {}


def headers_in_extradata(codec: str, extradata: bytes | None) -> Headers:
    """Likewise, of a stream's extradata."""
    if not extradata:
        return {}
    if codec in ("h264", "hevc") and extradata[0] == 1:
        units = _units_of_avc(extradata) if codec == "h264" else _units_of_hevc(extradata)
        headers: Headers = {}
        for unit in units:
            headers |= _nal_header(codec, unit)
        return headers
    return headers_in_packet(codec, extradata, 0)


def prefix_of(codec: str, headers: Headers, length_size: int) -> bytes:
    """`headers` as the beginning of a packet."""
    if codec not in ("h264", "hevc"):
        return b"".join(headers.values())
    prefix = b""
    for key in sorted(headers, key=str):  # HEVC 32 before 33 before 34, H.264 7 before 8
        unit = _version_message(headers[key]) if key == ("x264",) else headers[key]
        if not length_size:
            prefix += b"\x00\x00\x00\x01" + unit
        elif len(unit) < 256**length_size:
            prefix += len(unit).to_bytes(length_size) + unit
    return prefix


# ---- H.264 and HEVC


def nal_units(content: bytes, length_size: int) -> Iterator[bytes]:
    """Whole NAL units."""
    if length_size:
        place = 0
        while place + length_size < len(content):
            size = int.from_bytes(content[place : place + length_size])
            place += length_size
            yield content[place : place + size]
            place += size
        return
    start = None
    for code in _START_CODE.finditer(content):
        if start is not None:
            yield content[start : code.start()].rstrip(b"\0")
        start = code.end()
    if start is not None:
        yield content[start:].rstrip(b"\0")


def is_slice(codec: str, unit: bytes) -> bool:
    """Whether a NAL unit holds a part of a picture."""
    if not unit:
        return False
    return 1 <= unit[0] & 31 <= 5 if codec == "h264" else unit[0] >> 1 & 63 < 32


def _nal_header(codec: str, unit: bytes) -> Headers:
    """A NAL unit by its type and number, if it is one that lasts.

    Source: ITU-T H.264, 7.3.2.1 and 7.3.2.2; H.265, 7.3.2.
    """
    if len(unit) < 4:
        return {}
    plain = unit[:64].replace(b"\0\0\3", b"\0\0")
    if codec == "h264":
        kind = unit[0] & 31
        if kind == _SPS:
            return {(kind, Bits(plain[4:]).take_exp_golomb()): unit}
        if kind == _PPS:
            return {(kind, Bits(plain[1:]).take_exp_golomb()): unit}
        version = _X264_VERSION.search(unit) if kind == _SEI else None
        return {} if version is None else {("x264",): version[1]}
    kind, layer = unit[0] >> 1 & 63, (unit[0] & 1) << 5 | unit[1] >> 3
    if kind == _VPS_HEVC:
        return {(kind, layer, unit[2] >> 4): unit}
    if kind == _SPS_HEVC:
        return {(kind, layer, _hevc_sps_number(plain[2:])): unit}
    if kind == _PPS_HEVC:
        return {(kind, layer, Bits(plain[2:]).take_exp_golomb()): unit}
    return {}


def _hevc_sps_number(content: bytes) -> int:
    """Behind profile, tier and level of the stream and of its sub-layers.

    Source: H.265, 7.3.2.2.1 and 7.3.3.
    """
    bits = Bits(content)
    bits.take(4)
    num_below = bits.take(3)
    bits.take(1 + 88 + 8)
    if num_below:
        has = [(bits.take(1), bits.take(1)) for _ in range(num_below)]
        bits.take(2 * (8 - num_below))
        for has_profile, has_level in has:
            bits.take(88 * has_profile + 8 * has_level)
    return bits.take_exp_golomb()


def _units_of_avc(extradata: bytes) -> Iterator[bytes]:
    """Parameter sets of an AVCDecoderConfigurationRecord. Source: ISO/IEC 14496-15, 5.3.3.1."""
    place = 5
    for mask in (31, 255):
        if place >= len(extradata):
            return
        count = extradata[place] & mask
        place += 1
        for _ in range(count):
            size = int.from_bytes(extradata[place : place + 2])
            yield extradata[place + 2 : place + 2 + size]
            place += 2 + size


def _units_of_hevc(extradata: bytes) -> Iterator[bytes]:
    """Parameter sets of an HEVCDecoderConfigurationRecord. Source: ISO/IEC 14496-15, 8.3.3.1."""
    place = 23
    for _ in range(extradata[22] if len(extradata) > 22 else 0):
        count = int.from_bytes(extradata[place + 1 : place + 3])
        place += 3
        for _ in range(count):
            if place >= len(extradata):
                return
            size = int.from_bytes(extradata[place : place + 2])
            yield extradata[place + 2 : place + 2 + size]
            place += 2 + size


def _version_message(version: bytes) -> bytes:
    """A message as x264 writes it at the head of a stream, without the settings.

    Source: ITU-T H.264, D.1.7.
    """
    text = bytes.fromhex("dc45e9bde6d948b7962cd820d923eeef") + b"x264 - core " + version + b" \0"
    return bytes([_SEI, 5, len(text)]) + text + b"\x80"
