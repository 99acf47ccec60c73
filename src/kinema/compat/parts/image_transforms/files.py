"""Transforms between files, arrays and tensors."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from kinema.compat.parts.fileio.choosing import BackendArgs
from kinema.compat.parts.fileio.functions import get
from kinema.compat.parts.image_transforms.registry import IMAGE_TRANSFORMS
from kinema.compat.parts.images.files import check_one_of, imfrombytes
from kinema.transforms import BaseTransform
from kinema.transforms.formatting import to_tensor


class _FileReader(BaseTransform):
    """Keeps the arguments of the storage backend, under their new name or the old one."""

    imdecode_backend: str
    file_client_args: BackendArgs
    backend_args: BackendArgs

    def _keep_backend(self, file_client_args: BackendArgs, backend_args: BackendArgs) -> None:
        check_one_of(file_client_args, backend_args)
        if file_client_args is not None:
            warnings.warn("file_client_args is the old name of backend_args", DeprecationWarning, stacklevel=3)
        self.file_client_args = None if file_client_args is None else dict(file_client_args)
        self.backend_args = None if backend_args is None else dict(backend_args)

    def _read(self, path: Any, flag: str) -> np.ndarray:
        content = get(path, self.file_client_args or self.backend_args)
        return imfrombytes(content, flag=flag, backend=self.imdecode_backend)

    def _shown_backend(self) -> str:
        if self.file_client_args is not None:
            return f"file_client_args={self.file_client_args}"
        return f"backend_args={self.backend_args}"


@IMAGE_TRANSFORMS.register_module()
class LoadImageFromFile(_FileReader):
    """Read the image `img_path`. Writes `img` (H, W, C), `img_shape`, `ori_shape`, both (H, W).

    Args:
        to_float32: change the values to float32.
        color_type: see `flag` of `mmcv.imfrombytes`.
        imdecode_backend: see `backend` of `mmcv.imfrombytes`.
        file_client_args: old name of `backend_args`.
        ignore_empty: return None for an image that cannot be read.
        backend_args: see `mmengine.fileio.get`.

    Raises:
        ValueError: both `file_client_args` and `backend_args`.
    """

    def __init__(
        self,
        to_float32: bool = False,
        color_type: str = "color",
        imdecode_backend: str = "cv2",
        file_client_args: BackendArgs = None,
        ignore_empty: bool = False,
        *,
        backend_args: BackendArgs = None,
    ) -> None:
        self.ignore_empty = ignore_empty
        self.to_float32 = to_float32
        self.color_type = color_type
        self.imdecode_backend = imdecode_backend
        self._keep_backend(file_client_args, backend_args)

    def transform(self, results: Any) -> Any:
        try:
            img = self._read(results["img_path"], self.color_type)
        except Exception:
            if self.ignore_empty:
                return None
            raise
        if self.to_float32:
            img = img.astype(np.float32)
        results["img"] = img
        results["img_shape"] = results["ori_shape"] = img.shape[:2]
        return results

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(ignore_empty={self.ignore_empty}, to_float32={self.to_float32},"
            f" color_type={self.color_type!r}, imdecode_backend={self.imdecode_backend!r}, {self._shown_backend()})"
        )


@IMAGE_TRANSFORMS.register_module()
class LoadAnnotations(_FileReader):
    """Read what is known of the objects in an image from `instances` and `seg_map_path`.

    Writes `gt_bboxes` (N, 4) float32, `gt_bboxes_labels` (N,) int64, `gt_seg_map` (H, W) uint8,
    `gt_keypoints` (N, K, 3) float32, each where it is asked for.

    Args:
        with_bbox: read `bbox` of the instances.
        with_label: read `bbox_label` of the instances.
        with_seg: read the image `seg_map_path`.
        with_keypoints: read `keypoints` of the instances.
        imdecode_backend: see `backend` of `mmcv.imfrombytes`.
        file_client_args: old name of `backend_args`.
        backend_args: see `mmengine.fileio.get`.

    Raises:
        ValueError: both `file_client_args` and `backend_args`.
    """

    def __init__(
        self,
        with_bbox: bool = True,
        with_label: bool = True,
        with_seg: bool = False,
        with_keypoints: bool = False,
        imdecode_backend: str = "cv2",
        file_client_args: BackendArgs = None,
        *,
        backend_args: BackendArgs = None,
    ) -> None:
        self.with_bbox = with_bbox
        self.with_label = with_label
        self.with_seg = with_seg
        self.with_keypoints = with_keypoints
        self.imdecode_backend = imdecode_backend
        self._keep_backend(file_client_args, backend_args)

    def transform(self, results: Any) -> Any:
        if self.with_bbox:
            self._load_bboxes(results)
        if self.with_label:
            self._load_labels(results)
        if self.with_seg:
            self._load_seg_map(results)
        if self.with_keypoints:
            self._load_kps(results)
        return results

    def _load_bboxes(self, results: Any) -> None:
        boxes = [instance["bbox"] for instance in results["instances"]]
        results["gt_bboxes"] = np.array(boxes, dtype=np.float32).reshape(-1, 4)

    def _load_labels(self, results: Any) -> None:
        labels = [instance["bbox_label"] for instance in results["instances"]]
        results["gt_bboxes_labels"] = np.array(labels, dtype=np.int64)

    def _load_seg_map(self, results: Any) -> None:
        results["gt_seg_map"] = self._read(results["seg_map_path"], "unchanged").squeeze()

    def _load_kps(self, results: Any) -> None:
        points = [instance["keypoints"] for instance in results["instances"]]
        results["gt_keypoints"] = np.array(points, np.float32).reshape(len(points), -1, 3)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(with_bbox={self.with_bbox}, with_label={self.with_label}, with_seg={self.with_seg},"
            f" with_keypoints={self.with_keypoints}, imdecode_backend={self.imdecode_backend!r},"
            f" {self._shown_backend()})"
        )


@IMAGE_TRANSFORMS.register_module()
class ToTensor(BaseTransform):
    """Make values tensors. See `to_tensor`.

    Args:
        keys: of the values; `a.b` means the key `b` of the dict `a`.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = keys

    def transform(self, results: Any) -> Any:
        """Raises a KeyError for a key that is not there."""
        for key in self.keys:
            *folders, name = key.split(".")
            place = results
            for folder in folders:
                if folder not in place:
                    raise KeyError(f"{type(self).__name__}: the sample has no key {key!r}")
                place = place[folder]
            if name not in place:
                raise KeyError(f"{type(self).__name__}: the sample has no key {key!r}")
            place[name] = to_tensor(place[name])
        return results

    def __repr__(self) -> str:
        return f"{type(self).__name__}(keys={self.keys})"


@IMAGE_TRANSFORMS.register_module()
class ImageToTensor(BaseTransform):
    """Make images (H, W, C) or (H, W) tensors (C, H, W).

    Args:
        keys: of the images.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = keys

    def transform(self, results: Any) -> Any:
        for key in self.keys:
            img = results[key]
            img = img[..., None] if img.ndim < 3 else img
            results[key] = to_tensor(img.transpose(2, 0, 1)).contiguous()
        return results

    def __repr__(self) -> str:
        return f"{type(self).__name__}(keys={self.keys})"
