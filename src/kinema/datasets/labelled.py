"""What the datasets of clips with class labels share."""

import os
from collections.abc import Mapping
from typing import Any

from kinema.arguments import takes_arguments_of
from kinema.datasets.annotations import Annotations
from kinema.datasets.annotations.hold_out import take_part
from kinema.datasets.annotations.samples import samples_of, settle_classes
from kinema.datasets.base import BaseDataset
from kinema.datasets.storage.columns import ColumnSamples


class LabelledDataset(BaseDataset):
    """Clips with class labels: a subclass defines `load_columns()`, a user's one `load_data_list()`.

    A sample, before the pipeline, has `label` (a class index; (N,) float32 multi-hot with
    `multi_class`; -1 when not labelled), `start_index` and `modality`.

    Args:
        ann_file: see `BaseDataset`.
        multi_class: a clip may have several labels.
        num_classes: number of classes N, for `multi_class` and for checking labels; None: that of
            the `classes` of the annotations or the metainfo.
        start_index: number of the first frame.
        modality: of all clips, such as "RGB", "Flow" or "Audio".
        **settings: further arguments of `BaseDataset`.

    Raises:
        ValueError: `multi_class` without `num_classes` or `classes`.
    """

    @takes_arguments_of(BaseDataset)
    def __init__(
        self,
        ann_file: str | os.PathLike = "",
        *,
        multi_class: bool = False,
        num_classes: int | None = None,
        start_index: int = 0,
        modality: str = "RGB",
        **settings: Any,
    ) -> None:
        self.multi_class = multi_class
        self.num_classes = num_classes
        self.start_index = start_index
        self.modality = modality
        super().__init__(ann_file, **settings)

    def load_columns(self) -> ColumnSamples:
        """The clips by column."""
        raise NotImplementedError(f"{type(self).__name__} must define load_columns or load_data_list")

    def load_data_list(self) -> list[dict[str, Any]] | ColumnSamples:
        """The clips. A subclass that calls this gets a list of dicts, which it may change."""
        samples = self.load_columns()
        return samples if type(self).load_data_list is LabelledDataset.load_data_list else list(samples)

    def multi_hot_classes(self) -> int | None:
        """N where a clip may have several labels."""
        return self.num_classes if self.multi_class else None

    def common_info(self) -> dict[str, Any]:
        """What transforms need of every sample, also where a subclass lists the clips."""
        return {"start_index": self.start_index, "modality": self.modality}

    def columns_of(
        self, annotations: Annotations, path_key: str, folder: str, hold_out: Mapping[str, Any] | None = None
    ) -> ColumnSamples:
        """The samples that annotations list; sets the classes to theirs.

        Args:
            annotations: the clips.
            path_key: key of the path in a sample.
            folder: put before relative paths.
            hold_out: only those of one side of a hold-out, see `VideoDataset`.

        Raises:
            AnnotationError: a label is missing or out of range, or nothing can be held out. Names
                file and line.
            ValueError: see the class.
        """
        self.num_classes = settle_classes(
            annotations, self._metainfo, self.num_classes, multi_class=self.multi_class, test_mode=self.test_mode
        )
        return samples_of(take_part(annotations, hold_out), path_key, folder, multi_class=self.multi_class)
