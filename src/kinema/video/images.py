"""Image files to arrays."""

from pathlib import Path

import cv2
import numpy as np

from kinema.errors import VideoError
from kinema.files import read_bytes


def read_image(path: str | Path, *, grey: bool = False) -> np.ndarray:
    """An image file as (H, W, 3) uint8 RGB, or (H, W) grey.

    Raises:
        VideoError: there is no such file, or it is no image.
    """
    path = Path(path)
    try:
        content = np.frombuffer(read_bytes(path), dtype=np.uint8)
    except OSError as error:
        raise VideoError(f"{path}: the image cannot be read: {error.strerror or error}") from error
    image = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR) if content.size else None
    if image is None:
        raise VideoError(f"{path}: expected an image file that OpenCV reads, such as .jpg or .png")
    return image if grey else np.ascontiguousarray(image[..., ::-1])
