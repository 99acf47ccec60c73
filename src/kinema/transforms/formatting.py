"""From frames to what a model takes: the order of the axes, tensors, data samples."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import cv2
import numpy as np
import torch

from kinema.errors import SampleError, SampleValueError
from kinema.registry import TRANSFORMS
from kinema.structures import ActionDataSample, InstanceData
from kinema.transforms.base import BaseTransform, Sample, name_of


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


# ---- layouts


def clips_first(frames: Any, clip_len: int) -> np.ndarray:
    """(views * T, H, W, C) frames, or a list of (H, W, C) -> (views, C, T, H, W) contiguous."""
    height, width, channels = frames[0].shape
    out = np.empty((len(frames) // clip_len, channels, clip_len, height, width), dtype=frames[0].dtype)
    for number, frame in enumerate(frames):
        split_channels(frame, out[number // clip_len, :, number % clip_len])
    return out


def channels_first(frames: Any) -> np.ndarray:
    """(frames, H, W, C), or a list of (H, W, C) -> (frames, C, H, W) contiguous."""
    return clips_first(frames, 1)[:, :, 0]


def split_channels(frame: np.ndarray, planes: np.ndarray) -> None:
    """Copy a frame (H, W, C), which may be a crop or a mirror image of another, into `planes` (C, H, W).

    OpenCV splits bytes two to three times as fast as numpy transposes them; this is the one copy of
    a clip's pixels between the last resize and the batch.
    """
    if frame.dtype != np.uint8:
        planes[:] = frame.transpose(2, 0, 1)
        return
    if frame.strides[1] < 0:
        frame = cv2.flip(frame[:, ::-1], 1)
    cv2.split(frame, list(planes))


def heatmaps_first(heatmaps: np.ndarray, clip_len: int) -> np.ndarray:
    """(views * T, C, H, W) heat maps -> (views, C, T, H, W) view."""
    return heatmaps.reshape(-1, clip_len, *heatmaps.shape[1:]).swapaxes(1, 2)


LAYOUTS = ("NCTHW", "NCHW", "NCTHW_Heatmap", "NPTCHW")


@TRANSFORMS.register_module()
class FormatShape(BaseTransform):
    """Bring the frames into the layout of a model.

    Reads `imgs`, `clip_len`, `modality`; `heatmap_imgs` with "NCTHW"; `num_proposals`, `num_clips`
    with "NPTCHW". Writes `imgs` (an array of the type it had, uint8 of frames), `input_shape`;
    `heatmap_imgs`, `heatmap_input_shape`.

    Args:
        input_format: "NCTHW": (views, C, T, H, W) for 3D models, views being clips times crops;
            heat maps beside the frames too, where `clip_len` is a dict with "RGB" and "Pose".
            "NCHW": (frames, C, H, W) for 2D models; of optical flow (views, T * C, H, W).
            "NCTHW_Heatmap": `imgs` are heat maps (frames, C, H, W) and become (views, C, T, H, W).
            "NPTCHW": (proposals, clips * T, C, H, W).
        collapse: drop a leading 1 (one clip, one crop).

    Raises:
        ValueError: unknown `input_format`.
        SampleValueError: no frames, frames of different sizes, a number of frames that is no
            multiple of the clip's, `collapse` with several views.
    """

    def __init__(
        self, input_format: Literal["NCTHW", "NCHW", "NCTHW_Heatmap", "NPTCHW"], collapse: bool = False
    ) -> None:
        if input_format not in LAYOUTS:
            raise ValueError(f"FormatShape: input_format must be one of {', '.join(LAYOUTS)}, got {input_format!r}")
        self.input_format = input_format
        self.collapse = collapse

    def transform(self, results: Sample) -> Sample:
        if "heatmap_imgs" in results and self.input_format == "NCTHW":
            heatmaps = results["heatmap_imgs"]
            results["heatmap_imgs"] = heatmaps_first(heatmaps, self._clip_len(results, "Pose", len(heatmaps)))
            results["heatmap_input_shape"] = results["heatmap_imgs"].shape
            if "imgs" not in results:
                return results
        frames = self._layout(self._frames(results), results)
        if self.collapse:
            if len(frames) != 1:
                raise SampleValueError(f"FormatShape: collapse=True needs one view, got {len(frames)}")
            frames = frames[0]
        results["imgs"] = frames
        results["input_shape"] = frames.shape
        return results

    def _frames(self, results: Sample) -> Any:
        """The frames, all of one size, with an axis of channels.

        Also where x and y of a flow are frames of their own.
        """
        frames = results["imgs"]
        if len(frames) == 0:
            raise SampleValueError(f"FormatShape: the sample has no frames ({name_of(results)})")
        sizes = {frame.shape for frame in frames}
        if len(sizes) > 1:
            raise SampleValueError(
                f"FormatShape: the frames have different sizes, {', '.join(map(str, sorted(sizes)))}: "
                f"put a Resize with keep_ratio=False, or a crop, before it ({name_of(results)})"
            )
        if frames[0].ndim == 2 and results.get("modality") == "Flow":
            return [np.stack(pair, axis=-1) for pair in zip(frames[::2], frames[1::2], strict=True)]
        if frames[0].ndim != 3:
            raise SampleValueError(
                f"FormatShape: a frame must be (H, W, C), a heat map (C, H, W), got {frames[0].shape}"
                f" ({name_of(results)})"
            )
        return frames

    def _layout(self, frames: Any, results: Sample) -> np.ndarray:
        if self.input_format == "NCTHW":
            return clips_first(frames, self._clip_len(results, "RGB", len(frames)))
        if self.input_format == "NCTHW_Heatmap":
            return heatmaps_first(np.asarray(frames), self._clip_len(results, "Pose", len(frames)))
        if self.input_format == "NPTCHW":
            clips = results["num_proposals"], results["num_clips"] * self._clip_len(results, "RGB", len(frames))
            images = channels_first(frames)
            return images.reshape(*clips, *images.shape[1:])
        images = channels_first(frames)
        if results.get("modality") == "Flow":  # the frames of a clip become channels
            clip_len = self._clip_len(results, "Flow", len(images))
            return images.reshape(-1, clip_len * images.shape[1], *images.shape[2:])
        return images

    @staticmethod
    def _clip_len(results: Sample, modality: str, num_frames: int) -> int:
        clip_len: Any = results["clip_len"]
        clip_len = clip_len[modality] if isinstance(clip_len, Mapping) and modality in clip_len else clip_len
        if not isinstance(clip_len, int | np.integer) or num_frames % clip_len:
            raise SampleValueError(
                f"FormatShape: {num_frames} frames cannot be cut into clips of clip_len={clip_len!r}"
                f" ({name_of(results)})"
            )
        return int(clip_len)

    def __repr__(self) -> str:
        collapse = ", collapse=True" if self.collapse else ""
        return f"{type(self).__name__}(input_format={self.input_format!r}{collapse})"


@TRANSFORMS.register_module()
class FormatAudioShape(BaseTransform):
    """Bring sound into the layout of a model. Reads `audios`. Writes `audios`, `input_shape`.

    Args:
        input_format: "NCTF": (clips, T, F) features -> (clips, 1, T, F).

    Raises:
        ValueError: unknown `input_format`.
    """

    def __init__(self, input_format: Literal["NCTF"]) -> None:
        if input_format != "NCTF":
            raise ValueError(f"FormatAudioShape: input_format must be 'NCTF', got {input_format!r}")
        self.input_format = input_format

    def transform(self, results: Any) -> Any:
        audios = results["audios"]
        results["audios"] = audios.reshape(len(audios), 1, *audios.shape[1:])
        results["input_shape"] = results["audios"].shape
        return results

    def __repr__(self) -> str:
        return f"{type(self).__name__}(input_format={self.input_format!r})"


# ---- packing


INPUT_KEYS = ("imgs", "heatmap_imgs", "keypoint", "audios", "text")


@TRANSFORMS.register_module()
class PackActionInputs(BaseTransform):
    """Pack a sample into what the data loader batches: `dict(inputs=tensor, data_samples=ActionDataSample)`.

    Reads the first there is of `imgs`, `heatmap_imgs`, `keypoint`, `audios`, `text` (or the keys of
    `collect_keys`); `label`, `gt_bboxes`, `gt_labels`, `proposals` and the keys named below, where
    the sample has them. A label is a class index, a sequence of them, or multi-hot: floating point
    numbers stay what they are.

    Args:
        collect_keys: pack a dict of these keys as inputs.
        meta_keys: keys that go with the data sample as metainfo, where present.
        algorithm_keys: keys that go with the data sample as data fields, as they are, where
            present.

    Raises:
        SampleError: the sample has nothing to pack, or lacks one of `collect_keys`.
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
        data_sample = ActionDataSample()
        if "gt_bboxes" in results:
            data_sample.gt_instances = InstanceData(
                bboxes=to_tensor(results["gt_bboxes"]), labels=to_tensor(results["gt_labels"])
            )
        if results.get("proposals") is not None:
            data_sample.proposals = InstanceData(bboxes=to_tensor(results["proposals"]))
        if "label" in results:
            label = results["label"]
            is_soft = isinstance(label, np.ndarray) and np.issubdtype(label.dtype, np.floating)
            data_sample.set_gt_label(torch.tensor(label) if is_soft else label)
        for key in self.algorithm_keys:
            if key in results:
                data_sample.set_field(results[key], key)
        data_sample.set_metainfo({key: results[key] for key in self.meta_keys if key in results})
        return {"inputs": self._inputs(results), "data_samples": data_sample}

    def _inputs(self, results: Any) -> Any:
        keys = INPUT_KEYS if self.collect_keys is None else self.collect_keys
        present = [key for key in keys if key in results]
        if not present or (self.collect_keys is not None and len(present) < len(keys)):
            missing = [key for key in keys if key not in present]
            word = "none of" if self.collect_keys is None else "no"
            raise SampleError(
                f"PackActionInputs found {word} {', '.join(missing)} in the sample, which has "
                f"{', '.join(map(str, results)) or 'no keys'} ({name_of(results)})"
            )
        if self.collect_keys is None:
            return to_tensor(results[present[0]])
        return {key: to_tensor(results[key]) for key in present}

    def __repr__(self) -> str:
        return f"{type(self).__name__}(collect_keys={self.collect_keys}, meta_keys={self.meta_keys})"


@TRANSFORMS.register_module()
class Transpose(BaseTransform):
    """Reorder the axes of arrays.

    Args:
        keys: arrays of the sample.
        order: of the axes, as for `numpy.transpose`.

    Raises:
        TypeError: `keys` is a single name.
    """

    def __init__(self, keys: Sequence[str], order: Sequence[int]) -> None:
        if isinstance(keys, str):
            raise TypeError(f"Transpose: keys must be a list of names, got {keys!r}")
        self.keys = keys
        self.order = order

    def transform(self, results: Any) -> Any:
        for key in self.keys:
            results[key] = results[key].transpose(self.order)
        return results

    def __repr__(self) -> str:
        return f"{type(self).__name__}(keys={self.keys}, order={self.order})"


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
