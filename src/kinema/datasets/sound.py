"""Features of sound with class labels."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kinema.arguments import takes_arguments_of
from kinema.datasets.annotations import read_annotations
from kinema.datasets.annotations.samples import require_lengths
from kinema.datasets.base import BaseDataset
from kinema.datasets.labelled import LabelledDataset
from kinema.datasets.storage.columns import ColumnSamples
from kinema.errors import AnnotationError
from kinema.registry import DATASETS


@DATASETS.register_module()
class AudioDataset(LabelledDataset):
    """Files of features of sound, with class labels.

    A sample, before the pipeline: `audio_path`, `total_frames` of the video, `label` (a class index; (N,)
    float32 multi-hot with `multi_class`), `start_index`, `modality`, `sample_idx`. `LoadAudioFeature`
    reads the files.

    Args:
        ann_file: a list of `path total_frames label` lines; more than one label with `multi_class`.
        pipeline: transforms, or configs of transforms.
        data_prefix: `dict(audio=folder)`: folder that the paths of the list are relative to.
        multi_class: a sample may have several labels.
        num_classes: number of classes, for `multi_class` and for checking labels.
        start_index: number of the first frame.
        **settings: further arguments of `BaseDataset`.

    Raises:
        AnnotationError: the list is missing or wrong. Names file and line.
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
        *,
        start_index: int = 0,
        **settings: Any,
    ) -> None:
        super().__init__(
            ann_file,
            data_prefix={"audio": ""} if data_prefix is None else data_prefix,
            pipeline=pipeline,
            multi_class=multi_class,
            num_classes=num_classes,
            start_index=start_index,
            modality="Audio",
            **settings,
        )

    def load_columns(self) -> ColumnSamples:
        annotations = read_annotations(
            self.ann_file, "rawframes", multi_label=True, class_names=self._metainfo.get("classes")
        )
        require_lengths(annotations)
        several = np.flatnonzero(annotations.labels.counts() > 1)
        if len(several) and not self.multi_class:
            place = int(several[0])
            raise AnnotationError(
                f"{annotations.place_of(place)}: {annotations.paths[place]!r} has the labels"
                f" {annotations.labels.of(place)}: set multi_class=True and num_classes for several"
            )
        return self.columns_of(annotations, "audio_path", self.data_prefix.get("audio") or "")
