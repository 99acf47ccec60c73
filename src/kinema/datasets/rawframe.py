"""Folders of frames with class labels."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from kinema.arguments import takes_arguments_of
from kinema.datasets.annotations import read_annotations
from kinema.datasets.annotations.samples import require_lengths
from kinema.datasets.base import BaseDataset
from kinema.datasets.labelled import LabelledDataset
from kinema.datasets.storage.columns import ColumnSamples
from kinema.registry import DATASETS


@DATASETS.register_module()
class RawframeDataset(LabelledDataset):
    """Folders of image files, one a frame, with class labels.

    A sample, before the pipeline: `frame_dir`, `total_frames`, `label` (a class index; (N,) float32
    multi-hot with `multi_class`; -1 when not labelled), `filename_tmpl`, `start_index`, `modality`,
    `sample_idx`, and `offset` with `with_offset`. `RawFrameDecode` reads the files.

    Args:
        ann_file: a list of `folder total_frames label` lines, or a table with such columns.
        pipeline: transforms, or configs of transforms.
        data_prefix: `dict(img=folder)`: folder that the paths of the list are relative to.
        filename_tmpl: name of a frame's file by its number; of optical flow with two places, the
            first for x or y, such as "flow_{}_{:05d}.jpg".
        with_offset: lines are `folder offset total_frames label`; `offset` is added to the numbers
            of the frames' files.
        multi_class: a clip may have several labels.
        num_classes: number of classes, for `multi_class` and for checking labels.
        start_index: number of the first frame's file.
        modality: "RGB" or "Flow".
        test_mode: for evaluation: unlabelled clips are allowed, a rejected sample is an error.
        ann_format: how to read `ann_file`, a name of `kinema.datasets.annotations.FORMATS`.
        delimiter: between the fields of a list; the default stands for any white space.
        columns: names of a table's columns, e.g. `dict(path="folder", total_frames="n")`.
        hold_out: read only the clips of one side of a hold-out, see `VideoDataset`.
        metainfo: what is known of the whole set; `classes` (names by class index) sets the classes.
        data_root: folder that `ann_file` and `data_prefix` are relative to.
        **settings: further arguments of `BaseDataset`.

    Raises:
        AnnotationError: the annotations are missing or wrong, or lack the numbers of frames. Names
            file and line.
        ValueError: `multi_class` without `num_classes` or `classes`.
    """

    @takes_arguments_of(BaseDataset)
    def __init__(
        self,
        ann_file: str | os.PathLike,
        pipeline: Sequence[Mapping[str, Any] | Callable[[Any], Any]] = (),
        data_prefix: Mapping[str, Any] | None = None,
        filename_tmpl: str = "img_{:05}.jpg",
        with_offset: bool = False,
        multi_class: bool = False,
        num_classes: int | None = None,
        start_index: int = 1,
        modality: Literal["RGB", "Flow"] = "RGB",
        test_mode: bool = False,
        *,
        ann_format: str = "rawframes",
        delimiter: str | None = None,
        columns: Mapping[str, str] | None = None,
        hold_out: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        self.filename_tmpl = filename_tmpl
        self.with_offset = with_offset
        self.ann_format = ann_format
        self.delimiter = delimiter
        self.columns = columns
        self.hold_out = hold_out
        super().__init__(
            ann_file,
            data_prefix={"img": ""} if data_prefix is None else data_prefix,
            pipeline=pipeline,
            multi_class=multi_class,
            num_classes=num_classes,
            start_index=start_index,
            modality=modality,
            test_mode=test_mode,
            **settings,
        )

    def load_columns(self) -> ColumnSamples:
        annotations = read_annotations(
            self.ann_file or self.data_root,
            self.ann_format,
            delimiter=self.delimiter,
            multi_label=self.multi_class,
            with_offset=self.with_offset,
            columns=self.columns,
            class_names=self._metainfo.get("classes"),
        )
        require_lengths(annotations)
        return self.columns_of(annotations, "frame_dir", self.data_prefix.get("img") or "", self.hold_out)

    def common_info(self) -> dict[str, Any]:
        return {"filename_tmpl": self.filename_tmpl, **super().common_info()}
