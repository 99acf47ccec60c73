"""The checkpoints of a run: `work_dir/checkpoints/epoch_0003/`, with the text files `last` and `best` beside them."""

import json
import logging
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import nn

from kinema.checkpoints.saving import CONFIG_FILE, TRAINING_FILE, WEIGHTS_FILE, save_pretrained
from kinema.checkpoints.unpickling.restricted import load_restricted
from kinema.engine.history import History, rank_of_last
from kinema.errors import CheckpointError, ConfigError
from kinema.files import write_text
from kinema.registry import Registry
from kinema.transforms import Compose

logger = logging.getLogger("kinema")

_NAME = re.compile(r"(epoch|step)_\d+")


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
        self.point("last", name)
        if is_best:
            self.point("best", name)
        self._prune()
        return folder

    def point(self, pointer: str, name: str) -> None:
        """Make `last` or `best` name a checkpoint."""
        write_text(self.folder / pointer, name + "\n")

    def restore_pointers(self, last: Path, best: Mapping[str, Any]) -> None:
        """Write `last` and `best` again where they are lost, or name a checkpoint that a resumed run does not know."""
        if last.parent != self.folder:
            return
        if self.pointed("last") != last:
            self.point("last", last.name)
        name = best.get("checkpoint")
        known = self.folder / str(name)
        if name and known.is_dir() and self.pointed("best") != known:
            self.point("best", known.name)

    def _prune(self) -> None:
        if self.keep < 0:
            return
        pointed = (self.pointed("best"), self.pointed("last"))
        for folder in self.newest_first()[self.keep :]:
            if folder not in pointed:
                shutil.rmtree(folder)

    def newest_first(self) -> list[Path]:
        """The folders of all checkpoints, by the number in their names."""
        entries = self.folder.iterdir() if self.folder.is_dir() else ()
        folders = [entry for entry in entries if _NAME.fullmatch(entry.name) and entry.is_dir()]
        return sorted(folders, key=lambda folder: int(folder.name.rpartition("_")[2]), reverse=True)

    def pointed(self, pointer: str) -> Path | None:
        """The folder that `last` or `best` names; None when that file is lost or empty, or names no checkpoint."""
        try:
            name = (self.folder / pointer).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return None
        # A plain name: the file must not lead to another place.
        if name in ("", ".", "..") or name != Path(name).name or not (self.folder / name).is_dir():
            return None
        return self.folder / name

    def find(self, pointer: str = "last") -> Path | None:
        """A checkpoint to load: the one that `last` or `best` names.

        Where that file is lost, or the checkpoint is damaged, it is found again: the best by what the newest checkpoints say,
        else the newest that is whole. What is damaged is logged.

        Returns:
            Its folder; None when there is no checkpoint.

        Raises:
            CheckpointError: there are checkpoints, but none is whole.
        """
        folders = self.newest_first()
        first = self.pointed(pointer) or (self._best_of(folders) if pointer == "best" else None)
        return self._first_whole(first, folders, _check_weights)[0]

    def find_to_resume(self) -> tuple[Path | None, dict[str, Any]]:
        """The checkpoint to resume from, as `find` finds it, and its training state; it must be whole, too.

        Raises:
            CheckpointError: there are checkpoints, but none is whole.
        """

        def check(folder: Path) -> dict[str, Any]:
            _check_weights(folder)
            return read_training_state(folder)

        return self._first_whole(self.pointed("last"), self.newest_first(), check)

    def _first_whole(
        self, first: Path | None, folders: list[Path], check: Callable[[Path], dict[str, Any]]
    ) -> tuple[Path | None, dict[str, Any]]:
        """The first folder that `check` lets pass, with what it returns: `first`, else the newest."""
        candidates = folders if first is None else [first, *(folder for folder in folders if folder != first)]
        is_lost = self.pointed("last") is None
        problems = []
        for folder in candidates:
            try:
                content = check(folder)
            except CheckpointError as error:
                logger.warning("%s; trying the one before", error)
                problems.append(str(error))
                continue
            if problems or (first is None and is_lost):
                logger.warning("using %s, the newest checkpoint that is whole", folder)
            return folder, content
        if problems:
            raise CheckpointError(
                f"{self.folder}: none of {len(problems)} checkpoints can be used; the newest: {problems[0]}; to start again, "
                "train without --resume, which keeps them in a folder of their own"
            )
        return None, {}

    def _best_of(self, folders: list[Path]) -> Path | None:
        """The best checkpoint, as the newest one that can be read names it."""
        for folder in folders:
            try:
                best = _check_weights(folder).get("best")
            except CheckpointError:
                continue
            name = best.get("checkpoint") if isinstance(best, Mapping) else None
            return next((one for one in folders if one.name == name), None)
        return None


def _check_weights(folder: Path) -> dict[str, Any]:
    """Is the contract of a checkpoint, and raises CheckpointError unless it and the weights are whole."""
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder}: is damaged: has no {name}")
    try:
        content = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{folder / CONFIG_FILE}: is damaged: {error}") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{folder / CONFIG_FILE}: is damaged: holds a {type(content).__name__}, not an object")
    try:
        with safe_open(folder / WEIGHTS_FILE, framework="pt"):  # compares the sizes of all tensors with the file's
            pass
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{folder / WEIGHTS_FILE}: is damaged: {error}") from None
    return content


class CheckpointSettings:
    """What `default_hooks.checkpoint` says."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        known = {
            "type",
            "interval",
            "max_keep_ckpts",
            "save_best",
            "rule",
            "smooth",
            "by_epoch",
            "save_last",
            "priority",
        }
        unknown = sorted(set(settings) - known)
        if unknown:
            raise ConfigError(f"default_hooks.checkpoint has no {unknown[0]!r}: it takes {', '.join(sorted(known))}")
        self.interval = int(settings.get("interval", 1))
        self.keep = int(settings.get("max_keep_ckpts", 3))
        self.save_best = settings.get("save_best", "auto")
        self.rule = settings.get("rule")
        self.smooth = settings.get("smooth", 1)
        if not isinstance(self.smooth, int) or self.smooth < 1:
            raise ConfigError(
                f"default_hooks.checkpoint: smooth must be a number of validations from 1, got {self.smooth!r}"
            )
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

    def is_less(self, name: str) -> bool:
        """Is a lower value of this metric better?"""
        return self.rule == "less" or (self.rule is None and ("loss" in name or "error" in name))

    def improves(self, metrics: Mapping[str, float], best: Mapping[str, Any], history: History = ()) -> bool:
        """Is this evaluation better than the best one so far?

        With `smooth` above 1 the mean of the last `smooth` evaluations decides; of equal means the lower loss, then the later
        epoch. Until there have been so many, the last one is the best.

        Args:
            metrics: of this evaluation.
            best: the best one so far: its `value` and `epoch`; empty: none.
            history: see `kinema.engine.history`; this evaluation is its last entry.
        """
        if not metrics or self.save_best is None:
            return False
        name = self.metric(metrics)
        if not best:
            return True
        is_less = self.is_less(name)
        if self.smooth == 1:
            return bool(metrics[name] < best["value"] if is_less else metrics[name] > best["value"])
        if len(history) <= self.smooth:
            return True
        before = [entry for entry in history if entry["epoch"] <= best["epoch"]]
        now, then = (rank_of_last(part, name, self.smooth, is_less=is_less) for part in (history, before or history))
        return now >= then


def configs_of_pipeline(loader: Any) -> list[dict[str, Any]] | None:
    """Configs of the transforms that a loader's data set runs; None where they are objects, or there are none.

    Args:
        loader: a data loader, or its config; data sets around others are looked into.
    """
    dataset = loader
    while dataset is not None:
        get = dataset.get if isinstance(dataset, Mapping) else partial(getattr, dataset)
        pipeline = get("pipeline", None)
        if isinstance(pipeline, Compose):
            return pipeline.configs
        if isinstance(pipeline, Sequence) and pipeline:
            return [dict(step) for step in pipeline] if all(isinstance(step, Mapping) for step in pipeline) else None
        dataset = get("dataset", None)
    return None


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


# What a training state holds, and of which type.
_STATE = {
    **{"optimizer": dict, "epoch": int, "step": int, "best": dict},
    **{"train_seconds": int | float, "seed": int, "random": dict},
}


def read_training_state(folder: Path) -> dict[str, Any]:
    """The training state of a checkpoint: optimizer, position, generators. Reading it executes nothing.

    Raises:
        CheckpointError: the folder holds none, or it cannot be read, or lacks something.
    """
    file = folder / TRAINING_FILE
    if not file.is_file():
        raise CheckpointError(
            f"{folder}: no {TRAINING_FILE} here: training can only be resumed from a checkpoint of a training run"
        )
    try:
        read = load_restricted(file)
    except CheckpointError as error:
        raise CheckpointError(
            f"{file}: cannot be read: {str(error).removeprefix(f'{file} ')}: resume from an older checkpoint"
        ) from error
    state: Any = read.content
    if read.inert or not isinstance(state, dict):
        raise CheckpointError(f"{file}: holds no training state of Kinema: resume from an older checkpoint")
    for key, kind in _STATE.items():
        if not isinstance(state.get(key), kind):
            raise CheckpointError(
                f"{file}: is damaged: {key!r} is {type(state[key]).__name__ if key in state else 'missing'}"
            )
    return state
