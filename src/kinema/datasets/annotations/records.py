"""What a reader of annotations gives back: the clips of one split, by column."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from kinema.datasets.storage.columns import Indices, LabelColumn, TextColumn


class ClipRecord(NamedTuple):
    """One clip: a path as the annotations write it, and its class indices (none: not labelled)."""

    path: str
    labels: tuple[int, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Annotations:
    """The clips of one split, N of them, in the order of the file.

    Attributes:
        paths: of the videos or folders of frames, as written there.
        labels: their class indices.
        source: the file or folder that was read.
        class_names: names by class index, where the format has them; else empty.
        format: the format that `source` was read as, a name of `FORMATS`.
        lines: (N,) lines of `source` that the clips stand in; None where it has none.
        video_root: folder that the paths are relative to, where the reader found it.
        total_frames: (N,) lengths in frames, of folders of frames.
        frame_offsets: (N,) what to add to the numbers of frames, of folders of frames.
        clip_starts: (N,) where in its video each clip begins, in `clip_unit`; NaN: at the start.
            None: all are whole videos.
        clip_ends: (N,) where each ends; the frame there is not part of the clip. NaN: at the end.
        clip_unit: what `clip_starts` and `clip_ends` count.
        splits: (N,) place in `split_names` of the split that each clip belongs to; None where the
            format has no splits.
        split_names: "train", "val", "test", or as the file calls them.
        notes: what a user should know of the reading, a sentence each.
    """

    paths: TextColumn
    labels: LabelColumn
    source: Path
    class_names: tuple[str, ...] = ()
    format: str = "list"
    lines: np.ndarray | None = None
    video_root: Path | None = None
    total_frames: np.ndarray | None = None
    frame_offsets: np.ndarray | None = None
    clip_starts: np.ndarray | None = None
    clip_ends: np.ndarray | None = None
    clip_unit: Literal["seconds", "frames"] = "seconds"
    splits: np.ndarray | None = None
    split_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: int) -> ClipRecord:
        return ClipRecord(self.paths[place], self.labels.of(place))

    def __iter__(self) -> Iterator[ClipRecord]:
        return map(self.__getitem__, range(len(self)))

    def take(self, places: Indices) -> "Annotations":
        """Only these clips, in this order."""
        changes = {
            name: value[places]
            for name in ("lines", "total_frames", "frame_offsets", "clip_starts", "clip_ends", "splits")
            if (value := getattr(self, name)) is not None
        }
        return dataclasses.replace(self, paths=self.paths.take(places), labels=self.labels.take(places), **changes)

    def of_split(self, name: str) -> "Annotations":
        """Only the clips of one split, one of `split_names`."""
        if self.splits is None:
            return self
        return self.take(np.flatnonzero(self.splits == self.split_names.index(name)))

    def place_of(self, index: int) -> str:
        """Where clip `index` stands, for messages: `file:line`, or the folder."""
        return str(self.source) if self.lines is None else f"{self.source}:{self.lines[index]}"

    def unlabelled(self) -> int | None:
        """The first clip without a label; None when all have one."""
        if self.labels.ends is None:
            return None
        without = np.flatnonzero(self.labels.counts() == 0)
        return int(without[0]) if len(without) else None
