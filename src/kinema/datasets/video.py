"""Videos with class labels."""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from kinema.arguments import takes_arguments_of
from kinema.datasets.annotations import Annotations, read_annotations
from kinema.datasets.base import BaseDataset
from kinema.datasets.labelled import LabelledDataset
from kinema.datasets.storage.columns import ColumnSamples
from kinema.errors import AnnotationError
from kinema.registry import DATASETS

logger = logging.getLogger("kinema")


@DATASETS.register_module()
class VideoDataset(LabelledDataset):
    """Video files with class labels.

    A sample, before the pipeline: `filename`, `label` (a class index; (N,) float32 multi-hot with
    `multi_class`; -1 when not labelled), `start_index`, `modality`, `sample_idx`; of a part of a
    video also `start_seconds` and `end_seconds`, or `start_frame` and `end_frame`. The metainfo has
    `classes` where the annotations name them.

    Args:
        ann_file: a file or folder of any format that `kinema.datasets.annotations.read_annotations`
            reads: a list of `path label` lines, a folder that holds one folder of videos a class, a
            table, ...
        pipeline: transforms, or configs of transforms.
        data_prefix: `dict(video=folder)`: folder that the paths of the list are relative to.
        multi_class: a clip may have several labels.
        num_classes: number of classes, for `multi_class` and for checking labels.
        start_index: number of the first frame.
        modality: "RGB" or "Flow".
        test_mode: for evaluation: unlabelled clips are allowed, a rejected sample is an error.
        delimiter: between path and label of a list; the default stands for any white space.
        ann_format: how to read `ann_file`, a name of `kinema.datasets.annotations.FORMATS`; "auto"
            finds out.
        split: the part to take, such as "train", of a file or folder that holds several.
        fold: which of the official splits of UCF101 and HMDB51, 1 to 3.
        columns: names of columns where they cannot be found out, e.g.
            `dict(path="clip", label="verb")`.
        hold_out: read only the clips of one side of a hold-out, e.g.
            `dict(part="train", fraction=0.2, by="source", seed=0)`; keywords of
            `kinema.datasets.annotations.hold_out.HoldOut`.
        metainfo: what is known of the whole set; `classes` (names by class index) sets the classes.
        data_root: folder that `ann_file` and `data_prefix` are relative to.
        **settings: further arguments of `BaseDataset`.

    Raises:
        AnnotationError: the annotations are missing or wrong, or nothing can be held out. Names
            file and line.
        ValueError: `multi_class` without `num_classes` or `classes`.
    """

    @takes_arguments_of(BaseDataset)
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
        ann_format: str = "auto",
        split: str | None = None,
        fold: int = 1,
        columns: Mapping[str, str] | None = None,
        hold_out: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        self.delimiter = delimiter
        self.ann_format = ann_format
        self.split = split
        self.fold = fold
        self.columns = columns
        self.hold_out = hold_out
        super().__init__(
            ann_file,
            data_prefix={"video": ""} if data_prefix is None else data_prefix,
            pipeline=pipeline,
            multi_class=multi_class,
            num_classes=num_classes,
            start_index=start_index,
            modality=modality,
            test_mode=test_mode,
            **settings,
        )

    def load_columns(self) -> ColumnSamples:
        annotations = self._read()
        if annotations.total_frames is not None and annotations.format == "rawframes":
            raise AnnotationError(f"{annotations.source}: lists folders of frames: RawframeDataset reads these")
        if annotations.format == "shards":
            raise AnnotationError(f"{annotations.source}: holds videos in tar files: ShardDataset reads these")
        for note in annotations.notes:
            logger.info("%s: %s", annotations.source, note)
        return self.columns_of(annotations, "filename", self.data_prefix["video"], self.hold_out)

    def _read(self) -> Annotations:
        annotations = read_annotations(
            self.ann_file or self.data_root,
            self.ann_format,
            split=self.split,
            fold=self.fold,
            delimiter=None if self.delimiter == " " else self.delimiter,
            multi_label=self.multi_class,
            columns=self.columns,
            class_names=self._metainfo.get("classes"),
            video_root=self.data_prefix["video"] or None,
        )
        if annotations.video_root is not None:
            self.data_prefix["video"] = os.fspath(annotations.video_root)
        return annotations
