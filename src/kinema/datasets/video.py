"""Videos with class labels."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from kinema.datasets.annotations import Annotations, ClipRecord, check_labels, read_class_folders, read_list
from kinema.datasets.base import BaseDataset, join_path
from kinema.errors import AnnotationError
from kinema.registry import DATASETS


@DATASETS.register_module()
class VideoDataset(BaseDataset):
    """Video files with class labels.

    A sample, before the pipeline: `filename`, `label` (a class index; (N,) float32 multi-hot with `multi_class`; -1 when
    not labelled), `start_index`, `modality`, `sample_idx`. The metainfo has `classes` where the annotations tell them.

    Args:
        ann_file: a list of `path label` lines, or a folder that holds one folder of videos a class.
        pipeline: transforms, or configs of transforms.
        data_prefix: `dict(video=folder)`: folder that the paths of the list are relative to.
        multi_class: a clip may have several labels.
        num_classes: number of classes, for `multi_class` and for checking labels.
        start_index: number of the first frame.
        modality: "RGB" or "Flow".
        test_mode: for evaluation: unlabelled clips are allowed, a rejected sample is an error.
        delimiter: between path and label of a list; the default stands for any white space.
        metainfo: what is known of the whole set; `classes` (names by class index) sets the classes.
        data_root: folder that `ann_file` and `data_prefix` are relative to.
        filter_cfg, indices, serialize_data, lazy_init, max_refetch: see `BaseDataset`.

    Raises:
        AnnotationError: the annotations are missing or wrong. Names file and line.
        ValueError: `multi_class` without `num_classes` or `classes`.
    """

    def __init__(
        self,
        ann_file: str | os.PathLike,
        pipeline: Sequence[Mapping[str, Any] | Callable[[Any], Any]] = (),
        data_prefix: Mapping[str, Any] | None = None,
        multi_class: bool = False,
        num_classes: int | None = None,
        start_index: int = 0,
        modality: Literal["RGB", "Flow"] = "RGB",
        test_mode: bool = False,
        delimiter: str = " ",
        *,
        metainfo: Mapping[str, Any] | None = None,
        data_root: str | os.PathLike | None = None,
        filter_cfg: dict[str, Any] | None = None,
        indices: int | Sequence[int] | None = None,
        serialize_data: bool = True,
        lazy_init: bool = False,
        max_refetch: int = 1000,
    ) -> None:
        self.multi_class = multi_class
        self.num_classes = num_classes
        self.start_index = start_index
        self.modality = modality
        self.delimiter = delimiter
        super().__init__(
            ann_file,
            metainfo=metainfo,
            data_root=data_root,
            data_prefix={"video": ""} if data_prefix is None else data_prefix,
            filter_cfg=filter_cfg,
            indices=indices,
            serialize_data=serialize_data,
            pipeline=pipeline,
            test_mode=test_mode,
            lazy_init=lazy_init,
            max_refetch=max_refetch,
        )

    def load_data_list(self) -> list[dict[str, Any]]:
        annotations = self._read()
        if annotations.class_names:
            self._metainfo.setdefault("classes", list(annotations.class_names))
        if self.num_classes is None and self._metainfo.get("classes"):
            self.num_classes = len(self._metainfo["classes"])
        if self.multi_class and self.num_classes is None:
            raise ValueError("VideoDataset: multi_class=True needs num_classes, or metainfo=dict(classes=[...])")
        check_labels(annotations, self.num_classes, lowest=-1 if self.test_mode and not self.multi_class else 0)
        return [self._sample(record, annotations) for record in annotations.records]

    def _read(self) -> Annotations:
        if Path(self.ann_file).is_dir():
            self.data_prefix["video"] = self.ann_file
            return read_class_folders(self.ann_file, class_names=self._metainfo.get("classes"))
        return read_list(self.ann_file, delimiter=self.delimiter, multi_label=self.multi_class)

    def _sample(self, record: ClipRecord, annotations: Annotations) -> dict[str, Any]:
        if not record.labels and not self.test_mode:
            raise AnnotationError(
                f"{annotations.source}:1: expected 'path label' with a whole-number label, got {record.path!r} "
                "(only test_mode=True takes clips without labels)"
            )
        return {
            "filename": join_path(self.data_prefix["video"], record.path),
            "label": self._multi_hot(record.labels) if self.multi_class else (*record.labels, -1)[0],
            "start_index": self.start_index,
            "modality": self.modality,
        }

    def _multi_hot(self, labels: Sequence[int]) -> np.ndarray:
        """Class indices -> (N,) float32 of 0 and 1."""
        assert self.num_classes is not None  # load_data_list made sure of it
        hot = np.zeros(self.num_classes, dtype=np.float32)
        hot[list(labels)] = 1
        return hot
