"""A hold-out as a description: which clips of a list are trained on, and which are validated on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from kinema.datasets.annotations.grouping import folds_by_group, source_video_of, split_by_group
from kinema.datasets.annotations.records import Annotations
from kinema.datasets.annotations.time_blocks import split_by_time
from kinema.errors import AnnotationError
from kinema.registry import check_arguments


@dataclass(frozen=True, kw_only=True)
class HoldOut:
    """Which side of a hold-out a dataset reads.

    The same description gives the same clips of the same list, in every process and every run. Two
    datasets that differ in `part` alone share no source video.

    Attributes:
        part: "train": the clips to train on; "val": those held out.
        fraction: of each class's clips to hold out; see `split_by_group` and `split_by_time`.
        by: "source": whole source videos are held out, as the names of the clips show them; "time":
            stretches of time of few long recordings, with a gap around them that is in neither
            part.
        seed: another seed holds out other clips.
        fold: hold out this one, counted from 1, of `folds` parts of about equal size, in place of a
            fraction.
        folds: number of parts, 2 or more.

    Raises:
        ValueError: a value is out of range, or some do not go together.
    """

    part: Literal["train", "val"]
    fraction: float = 0.2
    by: Literal["source", "time"] = "source"
    seed: int = 0
    fold: int | None = None
    folds: int | None = None

    def __post_init__(self) -> None:
        if self.part not in ("train", "val"):
            raise ValueError(f"hold_out.part must be 'train' or 'val', got {self.part!r}")
        if self.by not in ("source", "time"):
            raise ValueError(f"hold_out.by must be 'source' or 'time', got {self.by!r}")
        if not 0 < self.fraction < 1:
            raise ValueError(f"hold_out.fraction must be above 0 and below 1, got {self.fraction}")
        if self.fold is None and self.folds is None:
            return
        if self.fold is None or self.folds is None or self.folds < 2 or not 1 <= self.fold <= self.folds:
            raise ValueError(
                f"hold_out: expected a fold from 1 to a number of folds of 2 or more, got {self.fold} of {self.folds}"
            )
        if self.by == "time":
            raise ValueError("hold_out: folds are by source video: leave out by='time'")

    def split(self, annotations: Annotations) -> tuple[Annotations, Annotations]:
        """The clips to train on and those held out, each in the order of `annotations`.

        Raises:
            AnnotationError: nothing can be held out.
        """
        if self.folds is not None and self.fold is not None:
            return _split_fold(annotations, self.fold, self.folds, self.seed)
        if self.by == "time":
            by_time = split_by_time(annotations, self.fraction, self.seed)
            if by_time is None:
                raise AnnotationError(
                    f"{annotations.source}: nothing can be held out by time: expected parts of few long videos, two or"
                    " more of a class"
                )
            return by_time.train, by_time.held
        train, val = split_by_group(annotations, self.fraction, self.seed)
        if not len(val):
            raise AnnotationError(
                f"{annotations.source}: no class has clips of two source videos, so none can be held out for"
                " validation: give --val, or lists made by `kinema data split --no-group`"
            )
        return train, val

    def as_config(self) -> dict[str, Any]:
        """The keywords that make this hold-out, without those that have no effect."""
        how = {"fraction": self.fraction} if self.fold is None else {"fold": self.fold, "folds": self.folds}
        return {"part": self.part, **how, "by": self.by, "seed": self.seed}

    def take(self, annotations: Annotations) -> Annotations:
        """The clips of the part."""
        return self.split(annotations)[self.part == "val"]


def _split_fold(annotations: Annotations, number: int, count: int, seed: int) -> tuple[Annotations, Annotations]:
    parts = folds_by_group(annotations, count, seed)
    if not all(len(part) for part in parts):
        sources = len(set(map(source_video_of, annotations.paths)))
        raise AnnotationError(
            f"{annotations.source}: {len(annotations)} clips of {sources} source videos cannot be put into {count}"
            " parts: take fewer folds"
        )
    held = parts[number - 1]
    return annotations.take(np.setdiff1d(np.arange(len(annotations)), held)), annotations.take(held)


def take_part(annotations: Annotations, hold_out: Mapping[str, Any] | None) -> Annotations:
    """The clips that a dataset with this `hold_out` reads: the keywords of `HoldOut`, or None for all clips.

    Raises:
        TypeError: a keyword is unknown, or `part` is missing.
        ValueError, AnnotationError: see `HoldOut`.
    """
    if hold_out is None:
        return annotations
    check_arguments(HoldOut, hold_out, "hold_out")
    return HoldOut(**hold_out).take(annotations)
