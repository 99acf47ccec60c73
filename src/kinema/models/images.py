"""Preprocessing of batches of images, for models of your own over single images."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from kinema.models.preprocessors import BaseDataPreprocessor, stack_batch
from kinema.registry import MODELS


@MODELS.register_module()
class ImgDataPreprocessor(BaseDataPreprocessor):
    """Orders channels, normalises, and stacks images of different sizes, padded below and to the right.

    Args:
        mean: value to subtract, one a channel or one for all; with `std` or not at all.
        std: value to divide by afterwards.
        pad_size_divisor: H and W become multiples of it.
        pad_value: value of the padding, after normalisation.
        bgr_to_rgb: reverse the order of the three channels.
        rgb_to_bgr: likewise.
        non_blocking: see `BaseDataPreprocessor`.

    Raises:
        ValueError: `mean` or `std` comes without the other, does not have 1 or 3 values, or both
            orders are asked for.
    """

    def __init__(
        self,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        pad_size_divisor: int = 1,
        pad_value: float = 0,
        bgr_to_rgb: bool = False,
        rgb_to_bgr: bool = False,
        non_blocking: bool = False,
    ) -> None:
        super().__init__(non_blocking)
        if bgr_to_rgb and rgb_to_bgr:
            raise ValueError("bgr_to_rgb and rgb_to_bgr are the same step: set one of them")
        if (mean is None) != (std is None):
            raise ValueError(f"mean and std come together, got {mean=} and {std=}")
        self._channel_conversion = bgr_to_rgb or rgb_to_bgr
        self._enable_normalize = mean is not None
        self.pad_size_divisor = pad_size_divisor
        self.pad_value = pad_value
        for name, values in {"mean": mean, "std": std}.items():
            if values is None:
                continue
            if len(values) not in (1, 3):
                raise ValueError(f"{name} has 1 or 3 values, got {values!r}")
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32).view(-1, 1, 1), persistent=False)

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Preprocess a batch.

        Args:
            data: dict with `inputs`, a list of B images (C, H, W) or one tensor (B, C, H, W).
            training: no effect.

        Returns:
            A dict with `inputs` as one float tensor (B, C, H', W') on `device`, and `data_samples`,
            None where there are none.

        Raises:
            TypeError: `inputs` is neither.
            ValueError: it has other dimensions, or channels that do not fit `mean`.
        """
        batch: dict[str, Any] = self.cast_data(data)
        inputs = batch["inputs"]
        batch.setdefault("data_samples", None)
        if isinstance(inputs, Tensor):
            if inputs.dim() != 4:
                raise ValueError(f"a tensor of images is (B, C, H, W), got {tuple(inputs.shape)}")
            images = self._prepared(inputs)
            height, width = images.shape[-2:]
            padding = (0, -width % self.pad_size_divisor, 0, -height % self.pad_size_divisor)
            batch["inputs"] = F.pad(images, padding, value=self.pad_value) if any(padding) else images
            return batch
        if not isinstance(inputs, list | tuple) or not all(isinstance(image, Tensor) for image in inputs):
            raise TypeError(f"inputs are a list of images or one tensor, got {type(inputs).__name__}")
        for image in inputs:
            if image.dim() != 3:
                raise ValueError(f"an image is (C, H, W), got {tuple(image.shape)}")
        batch["inputs"] = stack_batch(
            [self._prepared(image) for image in inputs], self.pad_size_divisor, self.pad_value
        )
        return batch

    def _prepared(self, images: Tensor) -> Tensor:
        """(..., C, H, W) -> the same as float, normalised."""
        channels = images.shape[-3]
        if self._channel_conversion:
            if channels != 3:
                raise ValueError(f"the order of channels is that of 3, but an image has {channels}")
            images = images.flip(-3)
        images = images.float()
        if not self._enable_normalize:
            return images
        mean, std = self.get_buffer("mean"), self.get_buffer("std")
        if len(mean) not in (1, channels):
            raise ValueError(f"mean has {len(mean)} values, but an image {channels} channels")
        return (images - mean) / std
