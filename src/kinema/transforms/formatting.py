"""From frames to what a model takes: the order of the axes, tensors, data samples."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch

from kinema.registry import TRANSFORMS
from kinema.structures import ActionDataSample
from kinema.transforms.base import BaseTransform, Sample


def to_tensor(data: Any) -> torch.Tensor:
    """A tensor of an ndarray, a sequence of numbers, a number, or a tensor (returned as it is).

    Raises:
        TypeError: `data` is something else.
    """
    if isinstance(data, torch.Tensor):
        return data
    if isinstance(data, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(data))
    if isinstance(data, Sequence) and not isinstance(data, str):
        return torch.tensor(data)
    if isinstance(data, int):
        return torch.LongTensor([data])
    if isinstance(data, float):
        return torch.FloatTensor([data])
    raise TypeError(
        f"{type(data).__name__} cannot be made a tensor: expected ndarray, tensor, sequence or number, got {data!r}"
    )


def clips_first(frames: np.ndarray, clip_len: int) -> np.ndarray:
    """(views * T, H, W, C) frames -> (views, C, T, H, W) view."""
    return frames.reshape(-1, clip_len, *frames.shape[1:]).transpose(0, 4, 1, 2, 3)


@TRANSFORMS.register_module()
class FormatShape(BaseTransform):
    """Bring the frames into the layout of a model.

    Reads `imgs`, `clip_len`, `modality`. Writes `imgs` (an array, still uint8), `input_shape`.

    Args:
        input_format: "NCTHW": (views, C, T, H, W) for 3D models, views being clips times crops;
            "NCHW": (frames, C, H, W) for 2D models; of optical flow (views, T * C, H, W).
        collapse: drop a leading 1 (one clip, one crop).

    Raises:
        ValueError: unknown `input_format`, or `collapse` with several views.
    """

    def __init__(self, input_format: Literal["NCTHW", "NCHW"], collapse: bool = False) -> None:
        if input_format not in ("NCTHW", "NCHW"):
            raise ValueError(f"FormatShape: input_format must be 'NCTHW' or 'NCHW', got {input_format!r}")
        self.input_format = input_format
        self.collapse = collapse

    def transform(self, results: Sample) -> Sample:
        images = results["imgs"]
        frames = images if isinstance(images, np.ndarray) else np.stack(images)
        if self.input_format == "NCTHW":
            frames = clips_first(frames, results["clip_len"])
        else:
            frames = frames.transpose(0, 3, 1, 2)
            if results.get("modality") == "Flow":  # the frames of a clip become channels: (clips, clip_len * 2, H, W)
                frames = frames.reshape(-1, results["clip_len"] * frames.shape[1], *frames.shape[2:])
        if self.collapse:
            if len(frames) != 1:
                raise ValueError(f"FormatShape: collapse=True needs one view, got {len(frames)}")
            frames = frames[0]
        results["imgs"] = frames
        results["input_shape"] = frames.shape
        return results

    def __repr__(self) -> str:
        return f"FormatShape(input_format={self.input_format!r}, collapse={self.collapse})"


@TRANSFORMS.register_module()
class PackActionInputs(BaseTransform):
    """Pack a sample into what the data loader batches: `dict(inputs=tensor, data_samples=ActionDataSample)`.

    Reads `imgs` (or the keys of `collect_keys`), `label` and the keys named below.

    Args:
        collect_keys: pack a dict of these keys as inputs, in place of `imgs`.
        meta_keys: keys that go with the data sample as metainfo, where present.
        algorithm_keys: keys that go with the data sample as data fields.

    Raises:
        SampleError: the sample has nothing to pack.
    """

    def __init__(
        self,
        collect_keys: Sequence[str] | None = None,
        meta_keys: Sequence[str] = ("img_shape", "img_key", "video_id", "timestamp"),
        algorithm_keys: Sequence[str] = (),
    ) -> None:
        self.collect_keys = collect_keys
        self.meta_keys = meta_keys
        self.algorithm_keys = algorithm_keys

    def transform(self, results: Any) -> dict[str, Any]:
        inputs: Any
        if self.collect_keys is not None:
            inputs = {key: to_tensor(results[key]) for key in self.collect_keys}
        else:
            inputs = to_tensor(results["imgs"])
        data_sample = ActionDataSample()
        if "label" in results:
            data_sample.set_gt_label(results["label"])
        for key in self.algorithm_keys:
            data_sample.set_field(to_tensor(results[key]), key)
        data_sample.set_metainfo({key: results[key] for key in self.meta_keys if key in results})
        return {"inputs": inputs, "data_samples": data_sample}

    def __repr__(self) -> str:
        return f"PackActionInputs(collect_keys={self.collect_keys}, meta_keys={self.meta_keys})"


@TRANSFORMS.register_module()
class Transpose(BaseTransform):
    """Reorder the axes of arrays.

    Args:
        keys: arrays of the sample.
        order: of the axes, as for `numpy.transpose`.
    """

    def __init__(self, keys: Sequence[str], order: Sequence[int]) -> None:
        self.keys = tuple(keys)
        self.order = tuple(order)

    def transform(self, results: Any) -> Any:
        for key in self.keys:
            results[key] = results[key].transpose(self.order)
        return results

    def __repr__(self) -> str:
        return f"Transpose(keys={self.keys}, order={self.order})"


@TRANSFORMS.register_module()
class Rename(BaseTransform):
    """Rename keys of the sample; keys that are not there are left out.

    Args:
        mapping: old key -> new key.
    """

    def __init__(self, mapping: dict[str, str]) -> None:
        self.mapping = dict(mapping)

    def transform(self, results: Any) -> Any:
        for old, new in self.mapping.items():
            if old in results:
                results[new] = results.pop(old)
        return results

    def __repr__(self) -> str:
        return f"Rename(mapping={self.mapping})"


@TRANSFORMS.register_module()
class ToTensor(BaseTransform):
    """Make values of the sample tensors.

    Args:
        keys: of the sample.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = tuple(keys)

    def transform(self, results: Any) -> Any:
        for key in self.keys:
            results[key] = to_tensor(results[key])
        return results

    def __repr__(self) -> str:
        return f"ToTensor(keys={self.keys})"
