"""Reading and writing image files, with OpenCV or Pillow."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from kinema.compat.parts.fileio.choosing import BackendArgs
from kinema.compat.parts.fileio.functions import get, put
from kinema.compat.parts.images.choices import check_choice
from kinema.errors import KinemaError
from kinema.video.images import image_size
from kinema.video.limits import Watch, default_limits

ChannelOrder = Literal["bgr", "rgb"]

imread_flags = {
    "color": cv2.IMREAD_COLOR,
    "grayscale": cv2.IMREAD_GRAYSCALE,
    "unchanged": cv2.IMREAD_UNCHANGED,
    "color_ignore_orientation": cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION,
    "grayscale_ignore_orientation": cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION,
}
supported_backends = ["cv2", "turbojpeg", "pillow", "tifffile"]  # as users know them
_TRANSPARENT = (124, 117, 104)  # RGB that shows through a transparent grey image

_backend = "cv2"


def use_backend(backend: str) -> None:
    """Choose the library that reads images where a call names none.

    Args:
        backend: `"cv2"` or `"pillow"`.

    Raises:
        ValueError: the name of no library.
        ImportError: `"turbojpeg"` or `"tifffile"`: Kinema reads their formats with the others.
    """
    global _backend
    _backend = require_backend(backend)


def require_backend(backend: str) -> str:
    """`backend`, when Kinema has it. Raises as `use_backend`."""
    check_choice(backend, supported_backends, "backend")
    if backend not in _DECODERS:
        raise ImportError(f"images are read with OpenCV or Pillow here, not with {backend}: 'cv2' reads its formats")
    return backend


def _decode_with_opencv(content: bytes, flag: str, channel_order: str) -> np.ndarray | None:
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), imread_flags[flag])
    except cv2.error:
        return None  # OpenCV has limits of its own, for the sides
    if image is None:
        return None
    if channel_order == "rgb" and flag.startswith("color"):
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return image


def _decode_with_pillow(content: bytes, flag: str, channel_order: str) -> np.ndarray | None:
    from PIL import Image, ImageOps

    try:
        image: Any = Image.open(io.BytesIO(content))
        image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    if flag == "unchanged":
        array = np.array(image)
        if array.ndim == 3 and array.shape[2] >= 3:
            array[..., :3] = array[..., 2::-1].copy()
        return array
    if not flag.endswith("ignore_orientation"):
        image = ImageOps.exif_transpose(image)
    if image.mode == "LA":
        solid = Image.new("RGB", image.size, _TRANSPARENT)
        solid.paste(image.convert("RGBA"), mask=image.getchannel("A"))
        image = solid
    image = image.convert("RGB")
    if flag.startswith("grayscale"):
        return np.array(image.convert("L"))
    array = np.array(image)
    return array if channel_order == "rgb" else array[..., ::-1]


_DECODERS: dict[str, Callable[[bytes, str, str], np.ndarray | None]] = {
    "cv2": _decode_with_opencv,
    "pillow": _decode_with_pillow,
}


def imfrombytes(
    content: bytes, flag: str = "color", channel_order: ChannelOrder = "bgr", backend: str | None = None
) -> np.ndarray:
    """Decode an image file's bytes.

    Args:
        content: the bytes.
        flag: `"color"`, `"grayscale"`, `"unchanged"`, or the first two with `_ignore_orientation`.
        channel_order: of a colour image.
        backend: `"cv2"`, `"pillow"`, or None for that of `use_backend`.

    Returns:
        (H, W, 3), or (H, W) for grayscale; "unchanged" gives the file's own channels and type.

    Raises:
        KinemaError: the library cannot read it.
        ValueError: an argument has an unknown value.
        ImportError: a library that Kinema does not use.
    """
    backend = require_backend(_backend if backend is None else backend)
    check_choice(flag, imread_flags, "flag")
    check_choice(channel_order, ("bgr", "rgb"), "channel_order")
    size = image_size(content)
    if size is not None:
        Watch(default_limits(), "this image").check_size(*size)
    image = None if size is None else _DECODERS[backend](content, flag, channel_order)
    if image is None:
        library = {"cv2": "OpenCV", "pillow": "Pillow"}[backend]
        raise KinemaError(f"these bytes are no image that {library} can read")
    return np.asarray(image)


def imread(
    img_or_path: np.ndarray | str | Path,
    flag: str = "color",
    channel_order: ChannelOrder = "bgr",
    backend: str | None = None,
    file_client_args: BackendArgs = None,
    *,
    backend_args: BackendArgs = None,
) -> np.ndarray:
    """Read an image file; an array is returned as it is. See `imfrombytes`.

    Raises:
        FileNotFoundError: there is no such file.
        KinemaError: the file is no image (the original returns None).
        ValueError: both `file_client_args` and `backend_args`.
        TypeError: neither an array nor a path.
    """
    check_one_of(file_client_args, backend_args)
    if isinstance(img_or_path, np.ndarray):
        return img_or_path
    if not isinstance(img_or_path, str | Path):
        raise TypeError(f"an image must be an array or the path of a file, got {type(img_or_path).__name__}")
    content = get(img_or_path, file_client_args or backend_args)
    try:
        return imfrombytes(content, flag, channel_order, backend)
    except KinemaError as error:
        raise KinemaError(f"{img_or_path}: {error}") from error


def check_one_of(file_client_args: BackendArgs, backend_args: BackendArgs) -> None:
    """Raise a ValueError for an argument that is given under its old name and its new one."""
    if file_client_args is not None and backend_args is not None:
        raise ValueError("file_client_args is the old name of backend_args: give one of them")


def imwrite(
    img: np.ndarray,
    file_path: str | Path,
    params: Sequence[int] | None = None,
    auto_mkdir: bool | None = None,
    file_client_args: BackendArgs = None,
    *,
    backend_args: BackendArgs = None,
) -> bool:
    """Write an image; its suffix chooses the format, its folder is created.

    Args:
        img: (H, W) or (H, W, 3) in BGR order.
        file_path: where to.
        params: of `cv2.imencode`.
        auto_mkdir: without effect.
        file_client_args: old name of `backend_args`.
        backend_args: see `mmengine.fileio.put`.

    Raises:
        ValueError: both `file_client_args` and `backend_args`.
    """
    check_one_of(file_client_args, backend_args)
    written, data = cv2.imencode(Path(file_path).suffix, img, list(params or ()))
    put(data.tobytes(), file_path, file_client_args or backend_args)
    return bool(written)
