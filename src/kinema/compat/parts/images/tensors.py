"""Images of tensors."""

from collections.abc import Sequence

import numpy as np
import torch

from kinema.compat.parts.images.adjustments import imdenormalize


def tensor2imgs(
    tensor: torch.Tensor,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    to_rgb: bool = True,
) -> list[np.ndarray]:
    """Undo the normalisation of a batch.

    Args:
        tensor: (B, C, H, W), with 3 channels or 1.
        mean: that was subtracted, one a channel; None: 0.
        std: that it was divided by, one a channel; None: 1.
        to_rgb: the channels are in RGB order, and the images shall be in BGR.

    Returns:
        B arrays (H, W, C) uint8.

    Raises:
        TypeError: no tensor of four axes.
        ValueError: channels, `mean`, `std` and `to_rgb` do not fit.
    """
    if not (torch.is_tensor(tensor) and tensor.ndim == 4):
        raise TypeError(f"expected a tensor (B, C, H, W), got {getattr(tensor, 'shape', type(tensor).__name__)}")
    channels = tensor.shape[1]
    mean = (0,) * channels if mean is None else mean
    std = (1,) * channels if std is None else std
    if channels not in (1, 3) or not channels == len(mean) == len(std) or (channels == 1 and to_rgb):
        raise ValueError(
            "images have 3 channels, or 1 with to_rgb=False, and as many values of mean and std, got "
            f"{channels} channels, {mean=}, {std=}, {to_rgb=}"
        )
    images = []
    for image in tensor.detach().cpu().numpy().transpose(0, 2, 3, 1):
        plain = imdenormalize(np.ascontiguousarray(image), mean, std, to_bgr=to_rgb).astype(np.uint8)
        images.append(np.ascontiguousarray(plain))
    return images
