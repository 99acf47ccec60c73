"""Image files to arrays."""

import io
import struct
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from kinema.errors import VideoError
from kinema.files import read_bytes
from kinema.video.limits import VideoLimits, Watch, default_limits

_KINDS = "a JPEG, PNG, BMP, WebP, TIFF, GIF, PPM or JPEG 2000 image"


Library = Literal["cv2", "pillow"]


def read_image(
    path: str | Path, *, grey: bool = False, limits: VideoLimits | None = None, library: Library = "cv2"
) -> np.ndarray:
    """An image file as (H, W, 3) uint8 RGB, or (H, W) grey.

    Args:
        path: the file.
        grey: without colour.
        limits: what it may ask for; None for `default_limits()`.
        library: OpenCV or Pillow; values of a JPEG file differ by a few levels.

    Raises:
        VideoError: there is no such file, it is no image, or has more pixels than `limits` say.
    """
    path = Path(path)
    try:
        content = read_bytes(path)
    except OSError as error:
        raise VideoError(f"{path}: the image cannot be read: {error.strerror or error}") from error
    if library == "pillow":
        return _decode_with_pillow(content, str(path), grey, limits)
    image = decode_image(content, str(path), grey=grey, limits=limits)
    return image if grey else np.ascontiguousarray(image[..., ::-1])


def decode_image(content: bytes, name: str, *, grey: bool = False, limits: VideoLimits | None = None) -> np.ndarray:
    """The content of an image file as (H, W, 3) uint8 BGR, or (H, W) grey.

    Its header is read before memory is taken.

    Raises:
        VideoError: it is no image, or has more pixels than `limits` say.
    """
    size = image_size(content)
    if size is not None:
        Watch(limits or default_limits(), name).check_size(*size)
        flag = cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR
        try:
            image = cv2.imdecode(np.frombuffer(content, np.uint8), flag)
        except cv2.error:
            image = None  # OpenCV has limits of its own, for the sides
        if image is not None:
            return image
    raise VideoError(f"{name}: expected an image file that OpenCV reads, such as .jpg or .png: {_KINDS}")


def _decode_with_pillow(content: bytes, name: str, grey: bool, limits: VideoLimits | None) -> np.ndarray:
    """(H, W, 3) uint8 RGB, or (H, W) grey."""
    from PIL import Image, ImageOps

    size = image_size(content)
    if size is not None:
        Watch(limits or default_limits(), name).check_size(*size)
        try:
            image = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB")
            return np.array(image.convert("L") if grey else image)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            pass
    raise VideoError(f"{name}: expected an image file that Pillow reads, such as .jpg or .png: {_KINDS}")


def image_size(content: bytes) -> tuple[int, int] | None:
    """Width and height by the header of an image; None when it is no image of a known kind, or has no such header."""
    try:
        return _image_size(content)
    except (struct.error, ValueError, IndexError):
        return None


def _image_size(content: bytes) -> tuple[int, int] | None:
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return struct.unpack_from(">II", content, 16)
    if content.startswith(b"\xff\xd8"):
        return _jpeg_size(content)
    if content.startswith(b"BM"):
        if struct.unpack_from("<I", content, 14)[0] == 12:
            return struct.unpack_from("<HH", content, 18)
        width, height = struct.unpack_from("<ii", content, 18)
        return abs(width), abs(height)
    if content.startswith(b"GIF8"):
        return struct.unpack_from("<HH", content, 6)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return _webp_size(content)
    if content[:4] in (b"II*\0", b"MM\0*"):
        return _tiff_size(content)
    if content[:1] == b"P" and content[1:2] in b"1234567" and content[1:2]:
        return _netpbm_size(content)
    if content.startswith((b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")):
        return _jpeg_2000_size(content)
    return None


def _jpeg_size(content: bytes) -> tuple[int, int] | None:
    """The largest frame header: which of several the decoder takes, nobody knows."""
    largest = None
    place = 2
    while place + 9 <= len(content):
        if content[place] != 0xFF:
            place += 1
            continue
        marker = content[place + 1]
        if marker == 0xFF:
            place += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", content, place + 5)
            largest = max(largest or (0, 0), (width, height), key=lambda size: size[0] * size[1])
            place += 2 + struct.unpack_from(">H", content, place + 2)[0]
        elif marker == 0xDA:
            break  # the pixels
        elif marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD9:
            place += 2
        else:
            place += 2 + struct.unpack_from(">H", content, place + 2)[0]
    return largest


def _webp_size(content: bytes) -> tuple[int, int] | None:
    kind = content[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(content[24:27], "little"), 1 + int.from_bytes(content[27:30], "little")
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", content, 21)[0]
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", content, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _tiff_size(content: bytes) -> tuple[int, int] | None:
    order = "<" if content[:2] == b"II" else ">"
    place = struct.unpack_from(f"{order}I", content, 4)[0]
    (count,) = struct.unpack_from(f"{order}H", content, place)
    sides: dict[int, int] = {}
    for entry in range(count):
        tag, kind = struct.unpack_from(f"{order}HH", content, place + 2 + 12 * entry)
        if tag in (256, 257):
            sides[tag] = struct.unpack_from(f"{order}{'H' if kind == 3 else 'I'}", content, place + 10 + 12 * entry)[0]
    return (sides[256], sides[257]) if len(sides) == 2 else None


def _netpbm_size(content: bytes) -> tuple[int, int] | None:
    head = content[:4096]
    if head.startswith(b"P7"):
        fields = dict(line.split(None, 1) for line in head.split(b"ENDHDR")[0].splitlines() if line.count(b" ") == 1)
        return (int(fields[b"WIDTH"]), int(fields[b"HEIGHT"])) if {b"WIDTH", b"HEIGHT"} <= fields.keys() else None
    words = b"\n".join(line.partition(b"#")[0] for line in head[2:].splitlines()).split()
    return int(words[0]), int(words[1])


def _jpeg_2000_size(content: bytes) -> tuple[int, int] | None:
    place = content.find(b"\xff\x4f\xff\x51")
    if place < 0:
        return None
    right, bottom, left, top = struct.unpack_from(">IIII", content, place + 8)
    return right - left, bottom - top
