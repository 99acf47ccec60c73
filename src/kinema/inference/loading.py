"""From the path of a checkpoint to a recognizer: which folder it names, and what is built from it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from kinema.checkpoints.connections import shown_address
from kinema.checkpoints.contract import CONFIG_FILE, ModelContract, Steps
from kinema.checkpoints.downloads import is_address
from kinema.checkpoints.loading import load_checkpoint
from kinema.checkpoints.reading import Checkpoint, read_checkpoint
from kinema.checkpoints.saving import TRAINING_FILE, WEIGHTS_FILE
from kinema.checkpoints.store import CheckpointStore
from kinema.config import Config
from kinema.distributed import choose_device
from kinema.errors import CheckpointError, MissingDependencyError
from kinema.inference.contract import foreign_contract, given_contract, read_contract
from kinema.inference.recognizer import VideoRecognizer
from kinema.inference.untrusted import build_checked, check_class_count
from kinema.models import zoo
from kinema.printable import first_line
from kinema.registry import MODELS
from kinema.video.suffixes import has_video_suffix

# Files of a checkpoint folder; each names it.
CHECKPOINT_FILES = (CONFIG_FILE, WEIGHTS_FILE, TRAINING_FILE)
EXPECTED = (
    f"a folder with {CONFIG_FILE} and {WEIGHTS_FILE}, a work folder of `kinema train` with checkpoints/, or a .pth file"
    " of MMAction2"
)


def find_checkpoint(path: str | os.PathLike) -> Path:
    """The checkpoint folder that `path` names.

    Args:
        path: the folder itself or a file of it; a work folder, which gives its best (else last)
            checkpoint, or the `checkpoints` in it, or the file `best` or `last` there.

    Raises:
        CheckpointError: there is none.
    """
    given = Path(path).expanduser()
    folder = given.parent if given.name in CHECKPOINT_FILES and given.is_file() else given
    if (folder / CONFIG_FILE).is_file():
        return folder
    pointer = "best"
    if folder.parent.name == "checkpoints" and folder.name in ("best", "last") and folder.is_file():
        folder, pointer = folder.parent.parent, folder.name
    elif folder.name == "checkpoints" and folder.is_dir():
        folder = folder.parent
    checkpoint = CheckpointStore(folder).find(pointer)
    if checkpoint is None:
        raise CheckpointError(f"{given}: {_why_none(given)}: expected {EXPECTED}")
    return checkpoint


def require_checkpoint(path: str | os.PathLike) -> None:
    """Require that `load` would find something to read, without reading it; an address is not asked.

    Raises:
        CheckpointError: there is no checkpoint.
    """
    if not _is_foreign(path):
        find_checkpoint(path)


def _is_foreign(path: str | os.PathLike) -> bool:
    file = Path(path).expanduser()
    return is_address(os.fspath(path)) or (file.is_file() and not _is_part_of_checkpoint(file))


def _why_none(path: Path) -> str:
    if not path.exists():
        if str(path) in zoo.names():
            return "is a model of the zoo, of which there is no checkpoint here (kinema train --model makes one)"
        return "there is no such file or folder"
    if has_video_suffix(path.name):
        return "is a video, not a checkpoint"
    if path.is_file():
        return f"is no file of weights, and there is no {CONFIG_FILE} beside it"
    if (path / WEIGHTS_FILE).is_file():
        return f"no checkpoint here: its {WEIGHTS_FILE} lacks the {CONFIG_FILE} that says what it is for"
    if any((path / name).exists() for name in ("config.py", "train.log", "checkpoints")):
        return "no checkpoint here: the training in this work folder has finished no epoch yet"
    return "no checkpoint here"


def load(
    path: str | os.PathLike, *, config: str | os.PathLike | Mapping[str, Any] | None = None, device: str = "auto"
) -> VideoRecognizer:
    """Load a trained recognizer.

    Args:
        path: a checkpoint folder; a work folder (its best checkpoint, else its last); or a file of
            MMAction2, or the address of one.
        config: a config that you trust, in place of the one that came with the weights: a path, or
            dicts. For a file of MMAction2 the one that it was trained with; for a folder that, or
            what its `config.json` holds. A config that came with the weights may name Kinema's
            parts and those that your program registered, and nothing else.
        device: "auto", "cpu", "cuda", ...

    Raises:
        CheckpointError: there is no checkpoint, or it does not say what is needed.
        ConfigError: there is no such device, or the config is wrong.
    """
    chosen = choose_device(device)
    if _is_foreign(path):
        return _load_foreign(os.fspath(path), config, chosen)
    folder = find_checkpoint(path)
    is_from_file = config is None
    if config is None:
        contract = read_contract(folder)
        pipeline = contract.pipeline
    else:
        contract, pipeline = given_contract(_config(config), str(folder))
    return _recognizer(contract, pipeline, read_checkpoint(folder), str(folder), chosen, is_from_file)


def _is_part_of_checkpoint(file: Path) -> bool:
    """Is a file no checkpoint by itself: part of one that Kinema wrote, or none at all?"""
    if file.name in CHECKPOINT_FILES or (file.parent.name == "checkpoints" and file.name in ("best", "last")):
        return True
    return has_video_suffix(file.name)


def _load_foreign(
    path: str, config: str | os.PathLike | Mapping[str, Any] | None, device: torch.device
) -> VideoRecognizer:
    read = read_checkpoint(path)
    name = shown_address(path)
    contract, pipeline = foreign_contract(read, None if config is None else _config(config), name)
    return _recognizer(contract, pipeline, read, name, device, is_from_file=config is None)


def _config(config: str | os.PathLike | Mapping[str, Any]) -> Mapping[str, Any]:
    return config if isinstance(config, Mapping) else Config.fromfile(config)


def _recognizer(
    contract: ModelContract,
    pipeline: Steps,
    read: Checkpoint,
    name: str,
    device: torch.device,
    is_from_file: bool,
) -> VideoRecognizer:
    config = contract.model or {}
    model = build_checked(config, read, name) if is_from_file else MODELS.build(config)
    load_checkpoint(model, read, strict=True)
    check_class_count(model, contract.classes, name)
    _check_thresholds(contract, name)
    model.contract = contract
    try:
        return VideoRecognizer(
            model,
            contract.classes,
            pipeline,
            device=device,
            contract=contract,
            name=name,
            is_from_file=is_from_file,
        )
    except Exception as error:  # whatever odd values make of a transform's constructor
        if not is_from_file or isinstance(error, CheckpointError | MissingDependencyError):
            raise
        raise CheckpointError(f"{name}: its pipeline cannot be built: {first_line(error)}") from error


def _check_thresholds(contract: ModelContract, name: str) -> None:
    """Raises CheckpointError: a threshold is of a class that there is not."""
    unknown = [label for label in contract.thresholds or {} if contract.classes and label not in contract.classes]
    if unknown:
        raise CheckpointError(
            f"{name}: its 'thresholds' name a class that it does not have, {unknown[0]!r:.80}: the names are those of"
            " its 'classes'; `kinema tune` writes them anew"
        )
