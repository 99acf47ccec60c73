"""Activations of a layer as a picture in colours."""

import logging
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from kinema.visualization.canvas import Canvas

logger = logging.getLogger("kinema")


def draw_feature_map(
    featmap: Tensor,
    overlaid_image: np.ndarray | None = None,
    channel_reduction: Literal["squeeze_mean", "select_max"] | None = "squeeze_mean",
    topk: int = 20,
    arrangement: tuple[int, int] = (4, 5),
    resize_shape: tuple[int, int] | None = None,
    alpha: float = 0.5,
) -> np.ndarray:
    """Draw a feature map, by itself or over the image it was computed from.

    Args:
        featmap: (C, H, W).
        overlaid_image: (H', W', 3) uint8 RGB; the feature map is resized to it.
        channel_reduction: "squeeze_mean": the mean over channels; "select_max": the channel with
            the largest mean; None: see `topk`.
        topk: without a reduction, the number of channels with the largest means that are drawn side
            by side; 0 or less: all as one image, which needs 1 or 3 channels.
        arrangement: rows and columns of channels side by side.
        resize_shape: (height, width) of the map, and of the image, before they are drawn.
        alpha: share of the map over an image.

    Returns:
        (H', W', 3) uint8 RGB.

    Raises:
        TypeError: `featmap` is no tensor.
        ValueError: an argument does not fit.
    """
    if not isinstance(featmap, Tensor):
        raise TypeError(f"featmap must be a torch.Tensor, got {type(featmap).__name__}")
    if featmap.ndim != 3:
        raise ValueError(f"featmap must have the shape (C, H, W), got {tuple(featmap.shape)}")
    if channel_reduction not in ("squeeze_mean", "select_max", None):
        raise ValueError(f"channel_reduction must be 'squeeze_mean', 'select_max' or None, got {channel_reduction!r}")
    featmap = featmap.detach().cpu().float()
    if overlaid_image is not None:
        if overlaid_image.ndim == 2:
            overlaid_image = np.repeat(overlaid_image[..., None], 3, axis=2)
        if overlaid_image.shape[:2] != featmap.shape[1:]:
            logger.warning(
                "the feature map of %s is resized to the image of %s", featmap.shape[1:], overlaid_image.shape[:2]
            )
            featmap = _resized(featmap, overlaid_image.shape[:2])
    if resize_shape is not None:
        featmap = _resized(featmap, resize_shape)
        if overlaid_image is not None:
            import cv2

            overlaid_image = cv2.resize(overlaid_image, resize_shape[::-1])
    if channel_reduction == "squeeze_mean":
        return _colored(featmap.mean(dim=0).numpy(), overlaid_image, alpha)
    means = featmap.mean(dim=(1, 2))
    if channel_reduction == "select_max":
        return _colored(featmap[means.argmax()].numpy(), overlaid_image, alpha)
    if topk <= 0:
        if featmap.shape[0] not in (1, 3):
            raise ValueError(
                f"without topk the feature map needs 1 or 3 channels, got {featmap.shape[0]}: give channel_reduction,"
                " or topk greater than 0"
            )
        return _colored(featmap.permute(1, 2, 0).squeeze(2).numpy(), overlaid_image, alpha)
    rows, columns = arrangement
    if rows * columns < topk:
        raise ValueError(f"an arrangement of {rows} x {columns} has no room for topk={topk} channels")
    chosen = means.topk(min(topk, featmap.shape[0])).indices
    maps = [_colored(featmap[channel].numpy(), overlaid_image, alpha) for channel in chosen]
    return _side_by_side(maps, chosen.tolist(), rows, columns)


def _resized(featmap: Tensor, size: Any) -> Tensor:
    return torch.nn.functional.interpolate(featmap[None], tuple(size), mode="bilinear", align_corners=False)[0]


def _colored(values: np.ndarray, image: np.ndarray | None, alpha: float) -> np.ndarray:
    """(H, W) or (H, W, 3) of any numbers -> (H, W, 3) uint8 RGB, the smallest blue, the largest red."""
    import cv2

    low, high = values.min(), values.max()
    grey = ((values - low) / max(high - low, 1e-12) * 255).astype(np.uint8)
    colored: np.ndarray = cv2.cvtColor(cv2.applyColorMap(grey, cv2.COLORMAP_JET), cv2.COLOR_BGR2RGB)
    return colored if image is None else cv2.addWeighted(image, 1 - alpha, colored, alpha, 0)


def _side_by_side(maps: list[np.ndarray], channels: list[int], rows: int, columns: int) -> np.ndarray:
    height, width = maps[0].shape[:2]
    canvas = Canvas({"frameon": False})
    canvas.figure.clear()
    dpi = canvas.figure.get_dpi()
    canvas.figure.set_size_inches((width * columns + 1e-2) / dpi, (height * rows + 1e-2) / dpi)
    for place, (picture, channel) in enumerate(zip(maps, channels, strict=True), start=1):
        axes = canvas.figure.add_subplot(rows, columns, place)
        axes.axis("off")
        axes.text(2, 15, f"channel: {channel}", fontsize=10)
        axes.imshow(picture)
    canvas.figure.subplots_adjust(left=0, right=1, bottom=0, top=1, wspace=0, hspace=0)
    return canvas.read()
