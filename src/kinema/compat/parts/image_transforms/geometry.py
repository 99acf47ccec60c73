"""Size and place: of an image, and of what is in it."""

import math
from typing import Any

import numpy as np

from kinema.compat.parts.image_transforms.registry import IMAGE_TRANSFORMS
from kinema.compat.parts.images.geometry import imcrop, impad
from kinema.compat.parts.images.resizing import _scale_size, imrescale, imresize
from kinema.transforms import BaseTransform


def _clip_boxes(boxes: np.ndarray, height: int, width: int) -> None:
    boxes[:, 0::2] = np.clip(boxes[:, 0::2], 0, width)
    boxes[:, 1::2] = np.clip(boxes[:, 1::2], 0, height)


@IMAGE_TRANSFORMS.register_module()
class Resize(BaseTransform):
    """Resize the image, its boxes, segmentation and key points.

    Reads `img`, `gt_bboxes`, `gt_seg_map`, `gt_keypoints`, as far as they are there. Writes them
    and `scale` (W, H) wanted, `img_shape`, `scale_factor` of (width, height), `keep_ratio`.

    Args:
        scale: (W, H) wanted, one number for both; or
        scale_factor: the factor of both, or of width and height.
        keep_ratio: keep the image's shape; `scale` is what it has to fit in then.
        clip_object_border: clip boxes to the image.
        backend: see `mmcv.imresize`.
        interpolation: see `mmcv.imresize`.

    Raises:
        ValueError: neither `scale` nor `scale_factor`.
        TypeError: a factor that is neither a float nor a tuple.
    """

    def __init__(
        self,
        scale: int | tuple[int, int] | None = None,
        scale_factor: float | tuple[float, float] | None = None,
        keep_ratio: bool = False,
        clip_object_border: bool = True,
        backend: str = "cv2",
        interpolation: str = "bilinear",
    ) -> None:
        if scale is None and scale_factor is None:
            raise ValueError("Resize: give scale or scale_factor, got neither")
        if scale_factor is not None and not isinstance(scale_factor, float | tuple):
            raise TypeError(f"Resize: scale_factor must be a float or a tuple of two, got {scale_factor!r}")
        self.scale: Any = (scale, scale) if isinstance(scale, int) else scale
        self.scale_factor = (scale_factor, scale_factor) if isinstance(scale_factor, float) else scale_factor
        self.keep_ratio = keep_ratio
        self.clip_object_border = clip_object_border
        self.backend = backend
        self.interpolation = interpolation

    def transform(self, results: Any) -> Any:
        if self.scale:
            results["scale"] = self.scale
        else:
            results["scale"] = _scale_size(results["img"].shape[1::-1], self.scale_factor)  # type: ignore[arg-type]
        self._resize_img(results)
        self._resize_bboxes(results)
        self._resize_seg(results)
        self._resize_keypoints(results)
        return results

    def _resized(self, img: np.ndarray, results: Any, interpolation: str) -> np.ndarray:
        resize: Any = imrescale if self.keep_ratio else imresize
        return resize(img, results["scale"], interpolation=interpolation, backend=self.backend)

    def _resize_img(self, results: Any) -> None:
        if results.get("img") is None:
            return
        height, width = results["img"].shape[:2]
        img = self._resized(results["img"], results, self.interpolation)
        results["img"] = img
        results["img_shape"] = img.shape[:2]
        results["scale_factor"] = (img.shape[1] / width, img.shape[0] / height)
        results["keep_ratio"] = self.keep_ratio

    def _resize_bboxes(self, results: Any) -> None:
        if results.get("gt_bboxes") is None:
            return
        boxes = results["gt_bboxes"] * np.tile(np.array(results["scale_factor"]), 2)
        if self.clip_object_border:
            _clip_boxes(boxes, *results["img_shape"])
        results["gt_bboxes"] = boxes

    def _resize_seg(self, results: Any) -> None:
        if results.get("gt_seg_map") is not None:
            results["gt_seg_map"] = self._resized(results["gt_seg_map"], results, "nearest")

    def _resize_keypoints(self, results: Any) -> None:
        if results.get("gt_keypoints") is None:
            return
        points = results["gt_keypoints"]
        points[..., :2] = points[..., :2] * np.array(results["scale_factor"])
        if self.clip_object_border:
            height, width = results["img_shape"]
            points[..., 0] = np.clip(points[..., 0], 0, width)
            points[..., 1] = np.clip(points[..., 1], 0, height)
        results["gt_keypoints"] = points

    def __repr__(self) -> str:
        return (  # as users know it
            f"{type(self).__name__}(scale={self.scale}, scale_factor={self.scale_factor}, keep_ratio={self.keep_ratio},"
            f" clip_object_border={self.clip_object_border}), backend={self.backend}),"
            f" interpolation={self.interpolation})"
        )


@IMAGE_TRANSFORMS.register_module()
class Pad(BaseTransform):
    """Put a border to the right of the image and below it, and of its segmentation.

    Writes `img`, `gt_seg_map`, `img_shape` (H, W), `pad_shape`, `pad_fixed_size`,
    `pad_size_divisor`.

    Args:
        size: (W, H) to reach; or
        size_divisor: pad to multiples of it.
        pad_to_square: pad to the longer side; with `size_divisor` to its multiple.
        pad_val: value of the border of the image, or a dict of those of `img` and `seg`.
        padding_mode: see `mmcv.impad`.

    Raises:
        ValueError: not just one size, or an unknown mode.
        TypeError: `pad_val` is neither a whole number nor a dict.
    """

    def __init__(
        self,
        size: tuple[int, int] | None = None,
        size_divisor: int | None = None,
        pad_to_square: bool = False,
        pad_val: int | dict[str, Any] | None = None,
        padding_mode: str = "constant",
    ) -> None:
        if pad_val is None:
            pad_val = {"img": 0, "seg": 255}
        if isinstance(pad_val, int):
            pad_val = {"img": pad_val, "seg": 255}
        if not isinstance(pad_val, dict):
            raise TypeError(f"Pad: pad_val must be a whole number or a dict of those of img and seg, got {pad_val!r}")
        if size is not None and (pad_to_square or size_divisor is not None):
            raise ValueError(f"Pad: size is given, so leave out {size_divisor=}, {pad_to_square=}")
        if size is None and size_divisor is None and not pad_to_square:
            raise ValueError("Pad: give size, size_divisor or pad_to_square, got none of them")
        if padding_mode not in (modes := ("constant", "edge", "reflect", "symmetric")):
            raise ValueError(f"Pad: padding_mode must be one of {', '.join(modes)}, got {padding_mode!r}")
        self.size = size
        self.size_divisor = size_divisor
        self.pad_val = pad_val
        self.pad_to_square = pad_to_square
        self.padding_mode = padding_mode

    def transform(self, results: Any) -> Any:
        self._pad_img(results)
        self._pad_seg(results)
        return results

    def _pad_img(self, results: Any) -> None:
        img = results["img"]
        size = img.shape[:2] if self.size is None else self.size[::-1]
        if self.pad_to_square:
            size = (max(size), max(size))
        if self.size_divisor is not None:
            size = tuple(math.ceil(side / self.size_divisor) * self.size_divisor for side in size)
        results["img"] = self._padded(img, size, self.pad_val.get("img", 0))
        results["pad_shape"] = results["img"].shape
        results["pad_fixed_size"] = self.size
        results["pad_size_divisor"] = self.size_divisor
        results["img_shape"] = results["img"].shape[:2]

    def _pad_seg(self, results: Any) -> None:
        if results.get("gt_seg_map") is not None:
            size = results["pad_shape"][:2]
            results["gt_seg_map"] = self._padded(results["gt_seg_map"], size, self.pad_val.get("seg", 255))

    def _padded(self, img: np.ndarray, size: tuple[int, int], value: Any) -> np.ndarray:
        if isinstance(value, int) and img.ndim == 3:
            value = (value,) * img.shape[2]
        return impad(img, shape=size, pad_val=value, padding_mode=self.padding_mode)

    def __repr__(self) -> str:
        return (  # as users know it
            f"{type(self).__name__}(size={self.size}, size_divisor={self.size_divisor},"
            f" pad_to_square={self.pad_to_square}, pad_val={self.pad_val}), padding_mode={self.padding_mode})"
        )


@IMAGE_TRANSFORMS.register_module()
class CenterCrop(BaseTransform):
    """Cut the middle out of the image, with its boxes, segmentation and key points.

    Writes `img`, `img_shape`, `pad_shape`, and what there is of `gt_seg_map`, `gt_bboxes`,
    `gt_keypoints`.

    Args:
        crop_size: (W, H), or one number for both; at most the image's.
        auto_pad: put a border around a smaller image first.
        pad_cfg: the transform that does it; gets `size`.
        clip_object_border: clip boxes to what is left. Key points always are, and those outside
            become invisible (0).

    Raises:
        TypeError: `crop_size` is neither a whole number nor a tuple of two.
        ValueError: a size below 1.
    """

    def __init__(
        self,
        crop_size: int | tuple[int, int],
        auto_pad: bool = False,
        pad_cfg: dict[str, Any] | None = None,
        clip_object_border: bool = True,
    ) -> None:
        size = (crop_size, crop_size) if isinstance(crop_size, int) else crop_size
        if not (isinstance(size, tuple) and len(size) == 2):
            raise TypeError(f"CenterCrop: crop_size must be a whole number or a tuple (W, H), got {crop_size!r}")
        if min(size) < 1:
            raise ValueError(f"CenterCrop: crop_size must be 1 or more, got {crop_size!r}")
        self.crop_size = size
        self.auto_pad = auto_pad
        self.pad_cfg = {"type": "Pad"} if pad_cfg is None else pad_cfg.copy()
        if "size" in self.pad_cfg and auto_pad:
            raise ValueError("CenterCrop: auto_pad finds the size: leave it out of pad_cfg")
        self.clip_object_border = clip_object_border

    def transform(self, results: Any) -> Any:
        crop_width, crop_height = self.crop_size
        height, width = results["img"].shape[:2]
        if (crop_height > height or crop_width > width) and self.auto_pad:
            height, width = max(height, crop_height), max(width, crop_width)
            results = IMAGE_TRANSFORMS.build({**self.pad_cfg, "size": (width, height)})(results)
        crop_height, crop_width = min(crop_height, height), min(crop_width, width)
        top = max(0, round((height - crop_height) / 2.0))
        left = max(0, round((width - crop_width) / 2.0))
        box = np.array([left, top, min(width, left + crop_width) - 1, min(height, top + crop_height) - 1])
        self._crop_img(results, box)
        self._crop_seg_map(results, box)
        self._crop_bboxes(results, box)
        self._crop_keypoints(results, box)
        return results

    def _crop_img(self, results: Any, bboxes: np.ndarray) -> None:
        if results.get("img") is not None:
            img: Any = imcrop(results["img"], bboxes=bboxes)
            results["img"] = img
            results["img_shape"] = img.shape[:2]
            results["pad_shape"] = img.shape[:2]

    def _crop_seg_map(self, results: Any, bboxes: np.ndarray) -> None:
        if results.get("gt_seg_map") is not None:
            results["gt_seg_map"] = imcrop(results["gt_seg_map"], bboxes=bboxes)

    def _crop_bboxes(self, results: Any, bboxes: np.ndarray) -> None:
        if "gt_bboxes" in results:
            boxes = results["gt_bboxes"] - np.tile(bboxes[:2], 2)
            if self.clip_object_border:
                _clip_boxes(boxes, *results["img"].shape[:2])
            results["gt_bboxes"] = boxes

    def _crop_keypoints(self, results: Any, bboxes: np.ndarray) -> None:
        if "gt_keypoints" in results:
            points = results["gt_keypoints"] - np.array([*bboxes[:2], 0])
            size = results["img"].shape[1::-1]
            inside = np.logical_and(points[..., :2] >= 0, points[..., :2] < size).all(axis=-1)
            points[..., 2] = np.where(inside, points[..., 2], 0)
            points[..., :2] = np.clip(points[..., :2], 0, size)
            results["gt_keypoints"] = points

    def __repr__(self) -> str:
        return (  # as users know it
            f"{type(self).__name__}(crop_size = {self.crop_size}, auto_pad={self.auto_pad}, pad_cfg={self.pad_cfg},"
            f"clip_object_border = {self.clip_object_border})"
        )
