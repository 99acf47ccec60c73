"""The checkpoints of a run: `work_dir/checkpoints/epoch_0003/`, with the text files `last` and `best` beside them."""

import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from kinema.errors import CheckpointError, ConfigError
from kinema.models.saving import TRAINING_FILE, save_pretrained
from kinema.models.unpickling import load_restricted
from kinema.registry import Registry

logger = logging.getLogger("kinema")


class CheckpointStore:
    """Writes, names, finds and prunes the checkpoints of one work folder.

    Args:
        work_dir: the work folder.
        keep: how many of the newest to keep; the best stays too; -1 keeps all.
    """

    def __init__(self, work_dir: Path, keep: int = 3) -> None:
        self.folder = work_dir / "checkpoints"
        self.keep = keep

    def save(
        self,
        name: str,
        model: nn.Module,
        *,
        config: Mapping[str, Any],
        training: Mapping[str, Any],
        is_best: bool,
    ) -> Path:
        """Write checkpoint `name`, point `last` (and `best`) to it, remove those that are too old.

        A checkpoint is complete or not there: it is written beside its place and then renamed.
        """
        folder = save_pretrained(model, self.folder / name, config=config, training=training)
        self._point("last", name)
        if is_best:
            self._point("best", name)
        self._prune()
        return folder

    def _point(self, pointer: str, name: str) -> None:
        made = self.folder / f".{pointer}.new"
        made.write_text(name + "\n", encoding="utf-8")
        os.replace(made, self.folder / pointer)  # noqa: PTH105 - atomic on every system

    def _prune(self) -> None:
        if self.keep < 0:
            return
        pointed = (self._read("best"), self._read("last"))
        names = sorted(entry.name for entry in self.folder.iterdir() if entry.is_dir() and entry.name[0] != ".")
        for name in names[: max(len(names) - self.keep, 0)]:
            if name not in pointed:
                shutil.rmtree(self.folder / name)

    def _read(self, pointer: str) -> str | None:
        file = self.folder / pointer
        return file.read_text(encoding="utf-8").strip() if file.is_file() else None

    def find(self, pointer: str = "last") -> Path | None:
        """Folder that `last` or `best` names; None when there is none."""
        name = self._read(pointer)
        return None if name is None else self.folder / name


# What a run writes into its work folder.
RUN_FILES = ("checkpoints", "metrics.jsonl", "summary.json", "config.py", "train.log", "broken.jsonl")


def set_aside(work_dir: Path) -> Path | None:
    """Move the files of an earlier run into `work_dir/earlier_1` (or the next free number), so that a new one loses nothing.

    Returns:
        Where they are now; None when there was no run.
    """
    if not (work_dir / "checkpoints").exists():
        return None
    number = 1
    while (work_dir / f"earlier_{number}").exists():
        number += 1
    aside = work_dir / f"earlier_{number}"
    aside.mkdir()
    for name in RUN_FILES:
        if (work_dir / name).exists():
            (work_dir / name).rename(aside / name)
    return aside


class CheckpointSettings:
    """What `default_hooks.checkpoint` says."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        known = {"type", "interval", "max_keep_ckpts", "save_best", "rule", "by_epoch", "save_last", "priority"}
        unknown = sorted(set(settings) - known)
        if unknown:
            raise ConfigError(f"default_hooks.checkpoint has no {unknown[0]!r}: it takes {', '.join(sorted(known))}")
        self.interval = int(settings.get("interval", 1))
        self.keep = int(settings.get("max_keep_ckpts", 3))
        self.save_best = settings.get("save_best", "auto")
        self.rule = settings.get("rule")
        if not settings.get("by_epoch", True):
            raise ConfigError("default_hooks.checkpoint: by_epoch=False is not there yet: interval counts epochs")
        if not isinstance(self.save_best, str | None):
            raise ConfigError(
                "default_hooks.checkpoint: save_best must be the name of one metric, 'auto' or None, "
                f"got {self.save_best!r}"
            )
        if self.rule not in (None, "greater", "less"):
            raise ConfigError(f"default_hooks.checkpoint: rule must be 'greater' or 'less', got {self.rule!r}")

    def is_due(self, epoch: int) -> bool:
        """Is a checkpoint to be written after `epoch` epochs? With an interval below 1 none but the best and the last."""
        return self.interval > 0 and epoch % self.interval == 0

    def metric(self, metrics: Mapping[str, float]) -> str:
        """Name of the metric that decides which checkpoint is best: the first one unless it is named."""
        if self.save_best in (None, "auto"):
            return next(iter(metrics))
        if self.save_best not in metrics:
            raise ConfigError(
                f"save_best={self.save_best!r} is no metric of the evaluation: it has {', '.join(metrics)}"
            )
        return str(self.save_best)

    def improves(self, metrics: Mapping[str, float], best: Mapping[str, Any]) -> bool:
        """Is this evaluation better than the best one so far?"""
        if not metrics or self.save_best is None:
            return False
        name = self.metric(metrics)
        if not best:
            return True
        is_less = self.rule == "less" or (self.rule is None and ("loss" in name or "error" in name))
        return metrics[name] < best["value"] if is_less else metrics[name] > best["value"]


def portable_config(config: Any, registry: Registry) -> Any:
    """A config as JSON can hold it: registered classes by their names, tuples as lists.

    Args:
        config: nested dicts, lists and values.
        registry: where classes have their names.

    Returns:
        The same in plain types; None when something in it cannot be written down.
    """
    try:
        return _portable(config, registry)
    except TypeError as error:
        logger.info("the checkpoints will not tell how to rebuild the %s: %s", registry.name, error)
        return None


def _portable(value: Any, registry: Registry) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _portable(one, registry) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_portable(one, registry) for one in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    name = getattr(value, "__name__", "")
    if name and registry.get(name) is value:
        return name
    raise TypeError(f"its config holds {value!r}, which is neither a plain value nor a registered part")


def read_training_state(folder: Path) -> dict[str, Any]:
    """The training state of a checkpoint: optimizer, position, generators. Reading it executes nothing.

    Raises:
        CheckpointError: the folder holds none, or it cannot be read.
    """
    file = folder / TRAINING_FILE
    if not file.is_file():
        raise CheckpointError(
            f"{folder}: no {TRAINING_FILE} here: training can only go on from a checkpoint of a training run"
        )
    try:
        read = load_restricted(file)
    except CheckpointError as error:
        raise CheckpointError(
            f"{file}: cannot be read: {str(error).removeprefix(f'{file} ')}: resume from an older checkpoint"
        ) from error
    if read.inert or not isinstance(read.content, dict):
        raise CheckpointError(f"{file}: holds no training state of Kinema: resume from an older checkpoint")
    return read.content
