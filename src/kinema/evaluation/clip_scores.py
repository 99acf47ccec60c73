"""What a model said of each clip, by column: what tables, dumps and fusion are made of."""

import os
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from kinema.datasets.annotations.grouping import source_video_of
from kinema.evaluation.functional import confusion_matrix, in_top_k
from kinema.evaluation.intervals import AccuracyInterval, accuracy_interval


class ClipId(NamedTuple):
    """What names a clip: its path, and which part of the video it is (NaN as None: from the start, to the end)."""

    path: str
    start: float | None = None
    end: float | None = None

    def __str__(self) -> str:
        if self.start is None and self.end is None:
            return self.path
        return f"{self.path} [{'' if self.start is None else self.start}-{'' if self.end is None else self.end}]"


class FailedClip(NamedTuple):
    """A clip that could not be read; `label` is its class, None where it has none."""

    path: str
    error: str
    label: int | None = None


@dataclass(frozen=True, eq=False)
class ClipScores:
    """What a model said of each clip that it was measured on, B of them, N classes.

    Attributes:
        paths: (B,) of the clips, as their annotations write them.
        labels: (B,) int64, their classes; (B, N) bool where a clip may have several.
        scores: (B, N) float32.
        classes: names by class index; empty: the indices are the names.
        root: folder that the paths are relative to; empty: none.
        starts: (B,) where in its video each clip begins, in `unit`; NaN: at the start. None: all
            are whole videos.
        ends: (B,) where each ends; NaN: at the end.
        unit: what `starts` and `ends` count.
    """

    paths: tuple[str, ...]
    labels: np.ndarray
    scores: np.ndarray
    classes: tuple[str, ...] = ()
    root: str = ""
    starts: np.ndarray | None = None
    ends: np.ndarray | None = None
    unit: Literal["seconds", "frames"] = "seconds"

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def num_classes(self) -> int:
        """Classes that have a score, N."""
        return int(self.scores.shape[1])

    @property
    def names(self) -> tuple[str, ...]:
        """(N,) names of the classes: `classes`, else the indices."""
        return self.classes or tuple(str(index) for index in range(self.num_classes))

    @property
    def is_multi_label(self) -> bool:
        """May a clip have several labels? Then there is no single predicted class, confusion or accuracy."""
        return self.labels.ndim == 2

    def labels_of(self, place: int) -> list[int]:
        """The classes of a clip."""
        label = self.labels[place]
        return np.flatnonzero(label).tolist() if self.is_multi_label else [int(label)]

    @cached_property
    def ids(self) -> tuple[ClipId, ...]:
        """(B,) what names each clip."""
        nothing = np.full(len(self), np.nan)
        columns = (nothing if times is None else times for times in (self.starts, self.ends))
        times = ([None if np.isnan(time) else float(time) for time in column] for column in columns)
        return tuple(map(ClipId, self.paths, *times))

    @property
    def full_paths(self) -> tuple[str, ...]:
        """(B,) paths with `root` before them."""
        return tuple(os.path.join(self.root, path) for path in self.paths) if self.root else self.paths  # noqa: PTH118

    @property
    def predicted(self) -> np.ndarray:
        """(B,) the class with the highest score."""
        best: np.ndarray = self.scores.argmax(axis=1)
        return best

    @property
    def hits(self) -> np.ndarray:
        """(B,) bool: is it the label?"""
        right: np.ndarray = self.predicted == self.labels
        return right

    def confusion(self) -> np.ndarray:
        """(N, N) counts, true classes down, predicted classes across."""
        return confusion_matrix(self.predicted, self.labels, num_classes=self.num_classes)

    def intervals(self) -> dict[str, AccuracyInterval]:
        """For `top1`, and `top5` of more than five classes, the 95 % interval, by source video.

        Empty where a clip may have several labels.
        """
        if self.is_multi_label:
            return {}
        sources = [source_video_of(path) for path in self.paths]
        ks = [k for k in (1, 5) if k == 1 or k < self.num_classes]
        return {f"top{k}": accuracy_interval(in_top_k(self.scores, self.labels, k), sources) for k in ks}
