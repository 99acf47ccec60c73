"""From the loader's batch to the arguments of a model, on the model's device: stack, normalise, blend."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models.mixing import Blending
from kinema.registry import MODELS
from kinema.structures import BaseDataElement
from kinema.transforms.formatting import LAYOUTS


def stack_batch(tensors: Sequence[Tensor], pad_size_divisor: int = 1, pad_value: float = 0) -> Tensor:
    """Stack tensors of different sizes, padded at the end of each dimension but the first.

    Args:
        tensors: B tensors of D dimensions with the same first one: (C, H, W), or (V, C, T, H, W)
            with V views.
        pad_size_divisor: all dimensions but the first become multiples of it.
        pad_value: value of the padding.

    Returns:
        (B, first dimension, largest of each other dimension) of the type of the first tensor.

    Raises:
        ValueError: there is no tensor, or numbers of dimensions or first dimensions differ.
    """
    if isinstance(tensors, Tensor) or not all(isinstance(tensor, Tensor) for tensor in tensors):
        raise TypeError(f"stack_batch takes a list of tensors, got {type(tensors).__name__}")
    shapes = [tuple(tensor.shape) for tensor in tensors]
    if not shapes:
        raise ValueError("stack_batch needs at least one tensor")
    if len({len(shape) for shape in shapes}) > 1:
        raise ValueError(f"cannot stack tensors with different numbers of dimensions: {_differing(shapes)}")
    if len({shape[:1] for shape in shapes}) > 1:
        raise ValueError(
            "cannot stack samples that differ in the first dimension (views of a clip, channels of an image): "
            f"{_differing(shapes)}. Give all samples the same number of clips and crops, or use a batch size of 1"
        )
    sizes = [max(dimension) for dimension in zip(*shapes, strict=True)]
    for axis in range(1, len(sizes)):
        sizes[axis] = -(-sizes[axis] // pad_size_divisor) * pad_size_divisor
    if all(list(shape) == sizes for shape in shapes):
        return torch.stack(list(tensors))
    batch = tensors[0].new_full((len(tensors), *sizes), pad_value)
    for place, tensor in zip(batch, tensors, strict=True):
        place[tuple(slice(size) for size in tensor.shape)] = tensor
    return batch


def _differing(shapes: Sequence[tuple[int, ...]]) -> str:
    return " and ".join(map(str, dict.fromkeys(shapes)))


@MODELS.register_module()
class BaseDataPreprocessor(nn.Module):
    """Moves a batch to the device of the model.

    The host waits for no copy to a GPU, where it is from pinned memory (`pin_memory=True` of the
    loader).

    Args:
        non_blocking: ask for asynchronous copies to other devices, too.
    """

    def __init__(self, non_blocking: bool = False) -> None:
        super().__init__()
        self._non_blocking = non_blocking
        # Buffers follow the module to its device, by whatever way it gets there.
        self.register_buffer("_place", torch.empty(0), persistent=False)

    @property
    def device(self) -> torch.device:
        """Where this module, and with it the model, is."""
        place: Tensor = self._place  # type: ignore[assignment]
        return place.device

    @property
    def _device(self) -> torch.device:
        """MMEngine's name for `device`."""
        return self.device

    def cast_data(self, data: Any) -> Any:
        """Move tensors and data elements, in dicts, lists, tuples and named tuples of any depth, to `device`."""
        if isinstance(data, Tensor | BaseDataElement):
            return data.to(self.device, non_blocking=self._non_blocking or self.device.type == "cuda")
        if isinstance(data, Mapping):
            return {key: self.cast_data(value) for key, value in data.items()}
        if isinstance(data, tuple) and hasattr(data, "_fields"):
            return type(data)(*(self.cast_data(value) for value in data))
        if isinstance(data, list | tuple):
            return type(data)(self.cast_data(value) for value in data)
        return data

    def forward(self, data: Any, training: bool = False) -> Any:
        """Return the batch on `device`; subclasses do more."""
        return self.cast_data(data)


@MODELS.register_module()
class ActionDataPreprocessor(BaseDataPreprocessor):
    """Stacks clips, normalises them, and blends them in training.

    Args:
        mean: value to subtract, one a channel, in the range of the input (0 to 255 for frames).
        std: value to divide by afterwards, one a channel. Without both nothing is normalised.
        to_rgb: reverse the order of the three channels first.
        to_float32: make the input float32 also where it is not normalised.
        blending: changes a batch and its samples in training: `MixupBlending`, `CutmixBlending`,
            `RandomBatchAugment`, any callable `(inputs, data_samples) -> (inputs, data_samples)`,
            or a config.
        format_shape: where a sample's channels are: `"NCHW"` (views, C, H, W), `"NCTHW"` (views, C,
            T, H, W), or `"MIX2d3d"`: images (C, H, W) and clips (views, C, T, H, W) in turns. Without
            `mean` also another layout of `FormatShape`.
    """

    def __init__(
        self,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        to_rgb: bool = False,
        to_float32: bool = True,
        blending: Blending | Mapping[str, Any] | None = None,
        format_shape: str = "NCHW",
    ) -> None:
        super().__init__()
        if (mean is None) != (std is None):
            raise ValueError(f"mean and std go together, got {mean=}, {std=}")
        if format_shape not in ("NCHW", "NCTHW", "MIX2d3d", *(LAYOUTS if mean is None else ())):
            raise ValueError(f"format_shape must be 'NCHW', 'NCTHW' or 'MIX2d3d', got {format_shape!r}")
        self.to_rgb = to_rgb
        self.to_float32 = to_float32
        self.format_shape = format_shape
        self.blending: Blending | None = MODELS.build(blending) if isinstance(blending, Mapping) else blending
        self._mean: Tensor | None
        self._std: Tensor | None
        if not (blending is None or callable(self.blending)):
            raise TypeError(f"blending must be callable, or its config, got {blending!r}")
        for name, values in (("_mean", mean), ("_std", std)):
            # A vector, which every layout in memory leaves as it is.
            value = None if values is None else torch.tensor(values, dtype=torch.float32)
            self.register_buffer(name, value, persistent=False)

    @property
    def mean(self) -> Tensor | None:
        """What is subtracted, of the shape in which it meets a batch: (3, 1, 1) or, of clips, (3, 1, 1, 1)."""
        return self._for_batches(self._mean)

    @property
    def std(self) -> Tensor | None:
        """What is divided by, of the shape of `mean`."""
        return self._for_batches(self._std)

    @property
    def _enable_normalize(self) -> bool:
        """Whether anything is normalised, by the name that subclasses written for MMEngine read."""
        return self._mean is not None

    def _for_batches(self, values: Tensor | None) -> Tensor | None:
        return values if values is None else values.view((-1, 1, 1) if self.format_shape == "NCHW" else (-1, 1, 1, 1))

    def forward(self, data: Any, training: bool = False) -> Any:
        """Preprocess a batch.

        Args:
            data: dict with `inputs`, a list of B tensors or one tensor of B samples, and maybe
                `data_samples`; or a tuple or list of such dicts.
            training: blend.

        Returns:
            A new dict with `inputs` as one tensor on `device`, (B, ...), and the other entries
            moved there; of a tuple or list, one of these.

        Raises:
            ValueError: the samples cannot be stacked, their channels do not fit `mean`, or there
                are no samples to blend.
            ConfigError: a label does not fit the classes of the blending.
        """
        if isinstance(data, tuple | list):
            return type(data)(self.forward(part, training) for part in data)
        return self.forward_onesample(data, training)

    def forward_onesample(self, data: Any, training: bool = False) -> dict[str, Any]:
        """Preprocess a batch that is a dict: `cast_data`, then `preprocess`."""
        data = self.cast_data(data)
        data["inputs"], samples = self.preprocess(data["inputs"], data.get("data_samples"), training)
        if samples is not None:
            data["data_samples"] = samples
        return data

    def preprocess(self, inputs: Any, data_samples: Any, training: bool = False) -> tuple[Tensor, Any]:
        """Stack, normalise and, in training, blend.

        Args:
            inputs: list of B tensors or one tensor of B samples, on `device`.
            data_samples: of these, or None.
            training: blend.

        Returns:
            (B, ...) float, and the data samples.

        Raises:
            ValueError, ConfigError: see `forward`.
        """
        batch = self._normalize(inputs if isinstance(inputs, Tensor) else stack_batch(inputs))
        if training and self.blending is not None:
            if data_samples is None:
                raise ValueError("blending needs data_samples with gt_label, got a batch of inputs alone")
            batch, data_samples = self.blending(batch, data_samples)
        return batch, data_samples

    def _normalize(self, batch: Tensor) -> Tensor:
        has_time = self.format_shape == "NCTHW" or (self.format_shape == "MIX2d3d" and batch.dim() != 4)
        channel_axis = -4 if has_time else -3
        if self.to_rgb:
            batch = batch.flip(channel_axis)
        if self._mean is None or self._std is None:
            return batch.to(torch.float32) if self.to_float32 else batch
        channels = batch.shape[channel_axis]
        if self._mean.numel() not in (1, channels):
            raise ValueError(
                f"mean has {self._mean.numel()} values, but the inputs {tuple(batch.shape)} have {channels} channels "
                f"as format_shape={self.format_shape!r} reads them"
            )
        shape = (-1, 1, 1, 1) if has_time else (-1, 1, 1)
        mean, std = self._mean.view(shape), self._std.view(shape)
        return batch.sub(mean).div_(std)


def check_range(backbone: nn.Module, preprocessor: nn.Module | None) -> None:
    """Check that a backbone with `unit_range` gets values from 0 to 1.

    Raises:
        ConfigError: the preprocessor makes other values of frames, which have values from 0 to 255.
    """
    if not (getattr(backbone, "unit_range", False) and isinstance(preprocessor, ActionDataPreprocessor)):
        return
    mean, std = preprocessor.mean, preprocessor.std
    if mean is None or std is None or mean.is_meta:
        return
    if mean.any() or (std != 255).any():
        raise ConfigError(
            f"{type(backbone).__name__} takes values from 0 to 1, but data_preprocessor has mean="
            f"{mean.flatten().tolist()}, std={std.flatten().tolist()}: set mean=[0, 0, 0], std=[255, 255, 255]"
        )
