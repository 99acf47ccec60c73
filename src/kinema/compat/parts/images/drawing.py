"""Boxes on images, and windows that show them: `mmcv.visualization`."""

from enum import Enum
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from kinema.compat.parts.images.files import imread, imwrite
from kinema.compat.parts.optical_flow import flow2rgb, flowread
from kinema.errors import KinemaError


class Color(Enum):
    """Colours by name, in BGR order."""

    red = (0, 0, 255)
    green = (0, 255, 0)
    blue = (255, 0, 0)
    cyan = (255, 255, 0)
    yellow = (0, 255, 255)
    magenta = (255, 0, 255)
    white = (255, 255, 255)
    black = (0, 0, 0)


def color_val(color: Any) -> tuple[Any, ...]:
    """(blue, green, red) of a name, a `Color`, a tuple or array of three numbers, or a grey level.

    Raises:
        ValueError: no such name, or not three numbers from 0 to 255.
        TypeError: something else.
    """
    if isinstance(color, str):
        if color not in Color.__members__:
            raise ValueError(f"a colour must be one of {', '.join(Color.__members__)}, got {color!r}")
        return Color[color].value
    if isinstance(color, Color):
        return color.value
    if isinstance(color, int):
        color = (color,) * 3
    elif isinstance(color, np.ndarray) and color.shape == (3,):
        color = tuple(color.astype(np.uint8)) if color.min() >= 0 and color.max() <= 255 else (-1,)
    elif not isinstance(color, tuple | np.ndarray):
        raise TypeError(f"a colour must be a name, a tuple, an array or a grey level, got {type(color).__name__}")
    if len(color) != 3 or not all(np.min(value) >= 0 and np.max(value) <= 255 for value in color):
        raise ValueError(f"a colour must be three numbers from 0 to 255, got {color!r}")
    return tuple(color)


def imshow(img: str | Path | np.ndarray, win_name: str = "", wait_time: int = 0) -> None:
    """Show an image in a window.

    Args:
        img: (H, W, 3) BGR, or a file.
        win_name: title of the window.
        wait_time: milliseconds; 0 waits until a key is pressed or the window closed.

    Raises:
        KinemaError: this OpenCV has no windows, as opencv-python-headless.
    """
    image = imread(img)
    try:
        cv2.imshow(win_name, image)
        if wait_time > 0:
            cv2.waitKey(wait_time)
            return
        while cv2.waitKey(1) < 0 and cv2.getWindowProperty(win_name, cv2.WND_PROP_VISIBLE) >= 1:
            pass
        cv2.destroyWindow(win_name)
    except cv2.error as error:
        raise KinemaError(
            "this OpenCV cannot open windows: use show=False and out_file, or install opencv-python"
        ) from error


def imshow_bboxes(
    img: str | Path | np.ndarray,
    bboxes: list[np.ndarray] | np.ndarray,
    colors: Any = "green",
    top_k: int = -1,
    thickness: int = 1,
    show: bool = True,
    win_name: str = "",
    wait_time: int = 0,
    out_file: str | Path | None = None,
) -> np.ndarray:
    """Draw boxes into an image, an array in place.

    Args:
        img: (H, W, 3) BGR, or a file.
        bboxes: (N, 4) left, top, right, bottom, or a list of such.
        colors: of each array of boxes, or one for all; see `color_val`.
        top_k: only so many of each; -1 for all.
        thickness: of the lines, in pixels.
        show: open a window; see `imshow`.
        win_name: see `imshow`.
        wait_time: see `imshow`.
        out_file: where to write the image.

    Raises:
        ValueError: not as many colours as arrays of boxes.
    """
    image = np.ascontiguousarray(imread(img))
    groups = [bboxes] if isinstance(bboxes, np.ndarray) else bboxes
    chosen = [color_val(color) for color in (colors if isinstance(colors, list) else [colors] * len(groups))]
    if len(chosen) != len(groups):
        raise ValueError(f"give one colour, or one for each of the {len(groups)} arrays of boxes, got {len(chosen)}")
    for group, color in zip(groups, chosen, strict=True):
        for left, top, right, bottom in group.astype(np.int32)[: top_k if top_k > 0 else None, :4].tolist():
            cv2.rectangle(image, (left, top), (right, bottom), color, thickness=thickness)
    return _shown(image, show, win_name, wait_time, out_file)


def imshow_det_bboxes(
    img: str | Path | np.ndarray,
    bboxes: np.ndarray,
    labels: np.ndarray,
    class_names: list[str] | None = None,
    score_thr: float = 0,
    bbox_color: Any = "green",
    text_color: Any = "green",
    thickness: int = 1,
    font_scale: float = 0.5,
    show: bool = True,
    win_name: str = "",
    wait_time: int = 0,
    out_file: str | Path | None = None,
) -> np.ndarray:
    """Draw boxes with their classes and scores into an image, an array in place.

    Args:
        img: (H, W, 3) BGR, or a file.
        bboxes: (N, 4) left, top, right, bottom; or (N, 5), with the score.
        labels: (N,) class numbers.
        class_names: of all classes.
        score_thr: leave out boxes of lower scores.
        bbox_color: see `color_val`.
        text_color: see `color_val`.
        thickness: of the lines, in pixels.
        font_scale: size of the text.
        show: open a window; see `imshow`.
        win_name: see `imshow`.
        wait_time: see `imshow`.
        out_file: where to write the image.

    Raises:
        ValueError: arrays that do not fit.
    """
    if bboxes.ndim != 2 or labels.ndim != 1 or len(bboxes) != len(labels) or bboxes.shape[1] not in (4, 5):
        raise ValueError(f"boxes must be (N, 4) or (N, 5) and labels (N,), got {bboxes.shape} and {labels.shape}")
    if score_thr > 0:
        if bboxes.shape[1] != 5:
            raise ValueError(f"{score_thr=} needs boxes with scores, (N, 5), got {bboxes.shape}")
        likely = bboxes[:, -1] > score_thr
        bboxes, labels = bboxes[likely], labels[likely]
    image = np.ascontiguousarray(imread(img))
    box_color, font_color = color_val(bbox_color), color_val(text_color)
    for box, label in zip(bboxes, labels, strict=True):
        left, top, right, bottom = box[:4].astype(np.int32).tolist()
        cv2.rectangle(image, (left, top), (right, bottom), box_color, thickness=thickness)
        text = f"cls {label}" if class_names is None else class_names[label]
        text += f"|{box[-1]:.02f}" if len(box) > 4 else ""
        cv2.putText(image, text, (left, top - 2), cv2.FONT_HERSHEY_COMPLEX, font_scale, font_color)
    return _shown(image, show, win_name, wait_time, out_file)


def _shown(image: np.ndarray, show: bool, win_name: str, wait_time: int, out_file: str | Path | None) -> np.ndarray:
    if show:
        imshow(image, win_name, wait_time)
    if out_file is not None:
        imwrite(image, out_file)
    return image


def flowshow(flow: np.ndarray | str | Path, win_name: str = "", wait_time: int = 0) -> None:
    """Show a flow, or that of a file, in a window. See `flow2rgb` and `imshow`."""
    imshow(flow2rgb(flowread(flow))[..., ::-1], win_name, wait_time)
