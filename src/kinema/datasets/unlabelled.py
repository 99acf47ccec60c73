"""Videos without labels, for pretraining."""

import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from kinema.arguments import takes_arguments_of
from kinema.datasets.annotations import Annotations, read_annotations
from kinema.datasets.annotations.samples import samples_of
from kinema.datasets.annotations.walking import find_videos, notes_on_skipped
from kinema.datasets.base import BaseDataset
from kinema.datasets.storage.columns import ColumnSamples, LabelColumn, TextColumn
from kinema.errors import AnnotationError
from kinema.registry import DATASETS

Part = Literal["train", "val"]


def read_unlabelled(source: str | os.PathLike[str]) -> tuple[Annotations, Path]:
    """All videos below a folder, or those that a file lists.

    Args:
        source: see `UnlabelledVideos`.

    Returns:
        The videos, and the folder that their paths are relative to.

    Raises:
        AnnotationError: there is no such file or folder, or no video in it.
    """
    source = Path(source)
    if not source.exists():
        raise AnnotationError(f"{source}: there is no such file or folder: expected a folder of videos")
    if not source.is_dir():
        annotations = read_annotations(source)
        if annotations.format == "rawframes":
            raise AnnotationError(f"{source}: expected a list of video files, it lists folders of frames")
        return annotations, annotations.video_root or source.parent
    videos = find_videos(source)
    if not videos.paths:
        raise AnnotationError(f"{source}: there is no video in it, nor in its folders")
    none = LabelColumn(np.zeros(0, np.int64), np.zeros(len(videos.paths), np.int64))
    notes = tuple(notes_on_skipped([videos]))
    return Annotations(TextColumn.from_texts(videos.paths), none, source, format="folder", notes=notes), source


@DATASETS.register_module()
class UnlabelledVideos(BaseDataset):
    """All videos below a folder, or those of a list or table; their labels are not read.

    A sample, before the pipeline: `filename`, `start_index`, `modality`, `sample_idx`; of a part of a
    video also `start_seconds` and `end_seconds`, or `start_frame` and `end_frame`.

    Args:
        source: a folder, in which videos may lie at any depth; or a file of any format that
            `kinema.datasets.annotations.read_annotations` reads.
        pipeline: transforms, or configs of transforms.
        part: only the samples of one side of a hold-out; None: all.
        held_out: share of the samples that is the side "val".
        seed: of the samples held out.
        test_mode: for evaluation: a rejected sample is an error.
        **settings: further arguments of `BaseDataset`.

    Attributes:
        notes: what a user should know of the reading, a sentence each.

    Raises:
        AnnotationError: there are no videos, or too few to hold some out.
        ValueError: there is no such part, or the share is not between 0 and 1.
    """

    @takes_arguments_of(BaseDataset, without=("ann_file", "data_root", "data_prefix"))
    def __init__(
        self,
        source: str | os.PathLike[str],
        pipeline: Sequence[Mapping[str, Any] | Callable[[Any], Any]] = (),
        *,
        part: Part | None = None,
        held_out: float = 0.1,
        seed: int = 0,
        test_mode: bool = False,
        **settings: Any,
    ) -> None:
        if part not in (None, "train", "val"):
            raise ValueError(f"part must be 'train', 'val' or None, got {part!r}")
        if not 0 < held_out < 1:
            raise ValueError(f"held_out must be a share between 0 and 1, got {held_out!r}")
        self.source = Path(source)
        self.part = part
        self.held_out = held_out
        self.seed = seed
        self.notes: tuple[str, ...] = ()
        super().__init__(pipeline=pipeline, test_mode=test_mode, **settings)

    def load_data_list(self) -> ColumnSamples:
        annotations, root = read_unlabelled(self.source)
        self.notes = annotations.notes
        columns = samples_of(annotations, "filename", os.fspath(root)).columns
        samples = ColumnSamples({key: column for key, column in columns.items() if key != "label"})
        if self.part is None:
            return samples
        count = round(self.held_out * len(samples))
        if not 0 < count < len(samples):
            raise AnnotationError(
                f"{self.source}: of {len(samples)} videos a share of {self.held_out:g} cannot be held out: give more"
                " videos, or read all of them (part=None)"
            )
        # By a hash of the paths, so that further videos hardly move others to the other side.
        texts = (f"{self.seed} {path}".encode("utf-8", "surrogateescape") for path in annotations.paths)
        order = np.argsort([zlib.crc32(text) for text in texts], kind="stable")
        return samples.take(np.sort(order[:count] if self.part == "val" else order[count:]))

    def common_info(self) -> dict[str, Any]:
        """What transforms need of every sample."""
        return {"start_index": 0, "modality": "RGB"}
