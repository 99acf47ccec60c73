"""`train_clips.csv` and `val_clips.csv`: which clips a run trains and validates on, for people and for resumed runs."""

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kinema.datasets import labels_of
from kinema.files import read_text, written_whole

CLIP_LISTS = ("train_clips.csv", "val_clips.csv")
_PART_KEYS = ("start_seconds", "end_seconds", "start_frame", "end_frame")

Rows = Sequence[Sequence[tuple[str, ...]]]  # of the training, of the validation


def clip_rows(dataset: Any) -> list[tuple[str, ...]]:
    """Path, class names or indices, start and end of every clip."""
    names = (getattr(dataset, "metainfo", None) or {}).get("classes")
    classes = labels_of(dataset)
    here = os.getcwd()  # noqa: PTH109 - joined as text: a list may hold a million clips
    rows = []
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        path = os.path.join(here, info.get("filename") or info.get("frame_dir") or f"sample {index}")  # noqa: PTH118
        labels = [str(names[label]) if names and label >= 0 else str(label) for label in classes.of(index)]
        parts = [str(info[key]) for key in _PART_KEYS if key in info]
        rows.append((path, "|".join(labels), *(parts or ("", ""))))
    return rows


def write_clip_lists(work_dir: Path, lists: Rows) -> None:
    """Write the clips of the training and of the validation, whole or not at all."""
    for name, rows in zip(CLIP_LISTS, lists, strict=True):
        with written_whole(work_dir / name, errors="surrogateescape", newline="") as file:
            csv.writer(file).writerows([("path", "label", "start", "end"), *rows])


def moved_clips(work_dir: Path, lists: Rows) -> str | None:
    """Why a run cannot be resumed with these clips; None: it can."""
    files = [work_dir / name for name in CLIP_LISTS]
    if not all(file.is_file() for file in files):
        return None
    before = [
        {_clip(row) for row in csv.reader(io.StringIO(read_text(file, errors="surrogateescape"), newline=""))}
        for file in files
    ]
    now = [set(map(_clip, rows)) for rows in lists]
    moved = sorted((before[0] & now[1]) | (before[1] & now[0]))
    if not moved:
        return None
    return (
        f"{work_dir}: the data changed since the run began: {len(moved)} clips would move between training and"
        f" validation, such as {moved[0][0]}: resume with the clips in {' and '.join(CLIP_LISTS)}, or choose"
        " another --work-dir"
    )


def _clip(row: Any) -> tuple[str, ...]:
    """What a clip is known by, whatever its label."""
    return (row[0], *row[2:])
