"""The checkpoints of a run: `work_dir/checkpoints/step_00001200/`, and beside them the text files `last` and `best`."""

import json
import logging
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from kinema.checkpoints.contract import CONFIG_FILE, ModelContract
from kinema.checkpoints.saving import TRAINING_FILE, WEIGHTS_FILE, check_mark, save_checkpoint
from kinema.checkpoints.unpickling import load_restricted
from kinema.errors import CheckpointError
from kinema.files import read_bytes, write_text

logger = logging.getLogger("kinema")

_NAME = re.compile(r"(epoch|step)_\d+")
_LONGEST_NAME = 100  # bytes, far more than a count needs


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
        weights: Mapping[str, Tensor],
        *,
        contract: ModelContract,
        training: Mapping[str, Any],
        is_best: bool,
        replaces: str | None = None,
    ) -> Path:
        """Write checkpoint `name`, point `last` (and `best`) to it, remove those that are too old, and `replaces`.

        A checkpoint is complete or not there: it is written beside its place and then renamed.
        """
        folder = save_checkpoint(self.folder / name, weights, config=contract, training=training)
        self.point("last", name)
        if is_best:
            self.point("best", name)
        self._prune(replaces)
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
        name = str(best.get("checkpoint"))
        known = self.folder / name
        if _NAME.fullmatch(name) and len(name) < _LONGEST_NAME and known.is_dir() and self.pointed("best") != known:
            self.point("best", known.name)

    def _prune(self, replaced: str | None) -> None:
        pointed = (self.pointed("best"), self.pointed("last"))
        folders = self.newest_first()
        old = [folder for folder in folders if folder.name == replaced and folder not in pointed]
        rest = [folder for folder in folders if folder not in old]
        for folder in old + (rest[self.keep :] if self.keep >= 0 else []):
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
            name = read_bytes(self.folder / pointer, _LONGEST_NAME).decode().strip()
        except (OSError, UnicodeDecodeError):
            return None
        # A plain name: the file must not lead to another place.
        if name in ("", ".", "..") or name != Path(name).name or not (self.folder / name).is_dir():
            return None
        return self.folder / name

    def find(self, pointer: str = "last") -> Path | None:
        """A checkpoint to load: the one that `last` or `best` names.

        Where that file is lost, or the checkpoint is damaged, it is found again: the best by what
        the newest checkpoints say, else the newest that is whole. What is damaged is logged.

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
            check_mark(folder)
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
                f"{self.folder}: none of {len(problems)} checkpoints can be used; the newest: {problems[0]}; to start"
                " again, train without --resume, which keeps them in a folder of their own"
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
            return next((entry for entry in folders if entry.name == name), None)
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


# What a training state holds, and of which type.
_STATE = {"format": int, "seed": int, "optimizer": dict, "parts": dict, "history": list, "random": list}
FORMAT = 2


def read_training_state(folder: Path) -> dict[str, Any]:
    """The training state of a checkpoint, see `kinema.training.checkpoints.snapshot`.

    Reading it executes nothing.

    Raises:
        CheckpointError: the folder holds none, or it cannot be read, or lacks something.
    """
    file = folder / TRAINING_FILE
    if not folder.exists():
        raise CheckpointError(f"{folder}: there is no such checkpoint to resume")
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
    if type(state.get("format", FORMAT)) is not int:
        raise CheckpointError(f"{file}: is damaged: 'format' is {type(state['format']).__name__}")
    if ("format" not in state and "optimizer" in state) or state.get("format", FORMAT) != FORMAT:
        raise CheckpointError(
            f"{file}: was written by another version of Kinema, format {state.get('format', 1)} and not {FORMAT}:"
            " start a new run from its weights (load_from)"
        )
    for key, kind in _STATE.items():
        if not isinstance(state.get(key), kind):
            raise CheckpointError(
                f"{file}: is damaged: {key!r} is {type(state[key]).__name__ if key in state else 'missing'}"
            )
    return state
