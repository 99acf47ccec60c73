"""MMPretrain's transforms of one image with a class label, as MMAction2's config of OmniSource names them."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from kinema.compat.parts.image_transforms.randomness import cache_randomness
from kinema.compat.parts.images.choices import check_choice
from kinema.compat.parts.images.files import require_backend
from kinema.compat.parts.images.resizing import imresize
from kinema.structures import ActionDataSample
from kinema.transforms import BaseTransform
from kinema.transforms.formatting import to_tensor
from kinema.transforms.geometry import INTERPOLATIONS

META_KEYS = ("sample_idx", "img_path", "ori_shape", "img_shape", "scale_factor", "flip", "flip_direction")


class RandomResizedCrop(BaseTransform):
    """Cut a part of random size and shape out of the image and resize it. Writes `img`, `img_shape`.

    Args:
        scale: (H, W) of the result, or one number for both.
        crop_ratio_range: lowest and highest share of the image's area.
        aspect_ratio_range: lowest and highest width / height of the part.
        max_attempts: parts that are drawn; where none of them fits in, the largest one in the
            middle is taken whose shape is in the range.
        interpolation: see `mmcv.imresize`.
        backend: see `mmcv.imresize`.

    Raises:
        ValueError: a value is out of range.

    Draws two numbers an attempt and two for the place from numpy's global generator.
    """

    def __init__(
        self,
        scale: int | Sequence[int],
        crop_ratio_range: tuple[float, float] = (0.08, 1.0),
        aspect_ratio_range: tuple[float, float] = (3 / 4, 4 / 3),
        max_attempts: int = 10,
        interpolation: str = "bilinear",
        backend: str = "cv2",
    ) -> None:
        self.scale = tuple(scale) if isinstance(scale, Sequence) else (scale, scale)
        if len(self.scale) != 2 or min(self.scale) < 1:
            raise ValueError(f"RandomResizedCrop: scale must be one or two numbers of pixels, got {scale!r}")
        for name, (lowest, highest) in (("crop", crop_ratio_range), ("aspect", aspect_ratio_range)):
            if not 0 < lowest <= highest:
                raise ValueError(
                    f"RandomResizedCrop: {name}_ratio_range must be (lowest, highest), got {(lowest, highest)}"
                )
        if max_attempts < 0:
            raise ValueError(f"RandomResizedCrop: max_attempts must be at least 0, got {max_attempts}")
        check_choice(interpolation, INTERPOLATIONS, "interpolation")
        self.crop_ratio_range = crop_ratio_range
        self.aspect_ratio_range = aspect_ratio_range
        self.max_attempts = max_attempts
        self.interpolation = interpolation
        self.backend = require_backend(backend)

    @cache_randomness
    def rand_crop_params(self, img: np.ndarray) -> tuple[int, int, int, int]:
        """Top, left, height and width of a part of the image."""
        height, width = img.shape[:2]
        narrowest, widest = map(math.log, self.aspect_ratio_range)
        for _ in range(self.max_attempts):
            area = np.random.uniform(*self.crop_ratio_range) * (height * width)
            ratio = math.exp(np.random.uniform(narrowest, widest))
            across, down = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < across <= width and 0 < down <= height:
                top = np.random.randint(0, height - down + 1)
                return top, np.random.randint(0, width - across + 1), down, across
        lowest, highest = min(self.aspect_ratio_range), max(self.aspect_ratio_range)
        down = round(width / lowest) if width / height < lowest else height
        across = round(height * highest) if width / height > highest else width
        return (height - down) // 2, (width - across) // 2, down, across

    def transform(self, results: Any) -> Any:
        top, left, down, across = self.rand_crop_params(results["img"])
        part = results["img"][top : top + down, left : left + across]
        height, width = self.scale
        img: Any = imresize(part, (width, height), interpolation=self.interpolation, backend=self.backend)
        results["img"], results["img_shape"] = img, img.shape
        return results

    def __repr__(self) -> str:
        crop, aspect = (
            tuple(round(share, 4) for share in shares) for shares in (self.crop_ratio_range, self.aspect_ratio_range)
        )
        return (
            f"{type(self).__name__}(scale={self.scale}, crop_ratio_range={crop}, aspect_ratio_range={aspect},"
            f" max_attempts={self.max_attempts}, interpolation={self.interpolation}, backend={self.backend})"
        )


class PackInputs(BaseTransform):
    """Pack an image into what the data loader batches: `dict(inputs=tensor, data_samples=ActionDataSample)`.

    Reads `gt_label`, a class index or several, and the keys named below, where they are there.

    Args:
        input_key: of the image, (H, W) or (H, W, C), which becomes (C, H, W). Arrays of other
            dimensions and tensors keep theirs.
        algorithm_keys: keys that go with the data sample as data fields, as they are.
        meta_keys: keys that go with the data sample as metainfo.
    """

    def __init__(
        self, input_key: str = "img", algorithm_keys: Sequence[str] = (), meta_keys: Sequence[str] = META_KEYS
    ) -> None:
        self.input_key = input_key
        self.algorithm_keys = algorithm_keys
        self.meta_keys = meta_keys

    def transform(self, results: Any) -> dict[str, Any]:
        packed: dict[str, Any] = {}
        if self.input_key in results:
            packed["inputs"] = self._tensor(results[self.input_key])
        sample = packed["data_samples"] = ActionDataSample()
        if "gt_label" in results:
            sample.set_gt_label(results["gt_label"])
        for key in self.algorithm_keys:
            if key in results:
                sample.set_field(results[key], key)
        sample.set_metainfo({key: results[key] for key in self.meta_keys if key in results})
        return packed

    @staticmethod
    def _tensor(image: Any) -> Tensor:
        if isinstance(image, Tensor):
            return image
        image = np.asarray(image)
        image = image[..., None] if image.ndim == 2 else image
        return to_tensor(image.transpose(2, 0, 1) if image.ndim == 3 else image)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(input_key={self.input_key!r}, algorithm_keys={self.algorithm_keys},"
            f" meta_keys={self.meta_keys})"
        )


def PackClsInputs(meta_keys: Sequence[str] = META_KEYS) -> PackInputs:  # noqa: N802 - the name in configs
    """`PackInputs`, by the name in MMClassification. Arguments as there."""
    return PackInputs(meta_keys=meta_keys)
