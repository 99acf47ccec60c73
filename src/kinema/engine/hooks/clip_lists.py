"""A record of the clips that a run trains and validates on."""

import csv
import io
import os
from pathlib import Path
from typing import Any

from kinema.datasets import labels_of
from kinema.distributed import broadcast_object, is_main_process
from kinema.engine.hooks.hook import Hook
from kinema.engine.run import Run
from kinema.errors import ConfigError
from kinema.files import read_text, written_whole
from kinema.registry import HOOKS

FILES = ("train_clips.csv", "val_clips.csv")
_PART_KEYS = ("start_seconds", "end_seconds", "start_frame", "end_frame")


@HOOKS.register_module()
class ClipListsHook(Hook):
    """Write the clips to train and to validate on into the work folder.

    They are `train_clips.csv` and `val_clips.csv`, for people to read.

    The datasets do not read them. A resumed run is compared with them: where the data changed so
    much that clips would move from one side to the other, it is refused.
    """

    def before_train(self, runner: Run) -> None:
        """Compare a resumed run with the lists, then write them.

        Raises:
            ConfigError: a clip would move from one side to the other.
        """
        problem = None
        if is_main_process():
            loops = (runner.train_loop, runner.val_loop)
            lists = [[] if loop is None else _rows_of(loop.dataloader.dataset) for loop in loops]
            problem = _moved(runner.work_dir, lists) if runner.progress.iteration else None
            if problem is None:
                for name, rows in zip(FILES, lists, strict=True):
                    with written_whole(runner.work_dir / name, errors="surrogateescape", newline="") as file:
                        csv.writer(file).writerows([("path", "label", "start", "end"), *rows])
        problem = broadcast_object(problem)
        if problem is not None:
            raise ConfigError(problem)


def _rows_of(dataset: Any) -> list[tuple[str, ...]]:
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


def _moved(work_dir: Path, lists: list[list[tuple[str, ...]]]) -> str | None:
    """Why a run cannot be resumed with these clips; None: it can."""
    files = [work_dir / name for name in FILES]
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
        f" validation, such as {moved[0][0]}: resume with the clips in {FILES[0]} and {FILES[1]}, or choose another"
        " --work-dir"
    )


def _clip(row: Any) -> tuple[str, ...]:
    """What a clip is known by, whatever its label."""
    return (row[0], *row[2:])
