"""Saving weights with their contract.

A saved model is a folder: `model.safetensors` (the weights) and `config.json` (what they are for),
as model hubs name them.
"""

import os
import re
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from kinema.checkpoints.card import CARD_FILE, model_card
from kinema.checkpoints.contract import CONFIG_FILE, ModelContract, config_text
from kinema.files import partial_path, sync_file, sync_folder, write_text

WEIGHTS_FILE = "model.safetensors"
TRAINING_FILE = "training.pt"
LEFTOVER_SECONDS = 24 * 3600.0  # no save takes so long

# What `partial_path` names what is not yet complete, and here what steps aside for it.
_LEFTOVER = re.compile(r"\.(.+)\.[0-9a-f]{8}\.(part|old)", re.DOTALL)


def save_pretrained(
    model: nn.Module,
    folder: str | os.PathLike[str],
    *,
    config: ModelContract | Mapping[str, Any],
    training: Mapping[str, Any] | None = None,
    card: bool = False,
) -> Path:
    """Write the weights of `model` and `config` into `folder`, which is complete or not there at all.

    Args:
        model: its state dict is written.
        folder: is created, or replaced if it exists.
        config: the contract, or what JSON can hold in its place: `model` (its config), `classes`
            (names), `sampling` and `preprocessing` (transforms), `metrics`. `format` and
            `kinema_version` are added. With the first four, `kinema.load(folder)` needs no more.
        training: state from which training resumes (optimizer, position, generators), of tensors
            and plain values; written as `training.pt`.
        card: also write a model card, `README.md`, that says what the model is and how to use it.

    Returns:
        The folder.

    Raises:
        TypeError: `config` holds something that JSON cannot.
    """
    content = config.to_config() if isinstance(config, ModelContract) else config
    text = config_text(content)
    target = Path(folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(target.parent, target.name, older_than_seconds=LEFTOVER_SECONDS)
    partial = partial_path(target)
    partial.mkdir()  # its permissions, like those of the files in it, follow the umask
    try:
        write_text(partial / CONFIG_FILE, text)
        save_file(_storable(model.state_dict()), partial / WEIGHTS_FILE, metadata={"format": "pt"})
        # safetensors makes a file that only its owner can read.
        (partial / WEIGHTS_FILE).chmod((partial / CONFIG_FILE).stat().st_mode & 0o777)
        sync_file(partial / WEIGHTS_FILE)
        if training is not None:
            torch.save(dict(training), partial / TRAINING_FILE)
            sync_file(partial / TRAINING_FILE)
        if card:
            parameters = sum(parameter.numel() for parameter in model.parameters())
            write_text(partial / CARD_FILE, model_card(target.name, content, parameters))
        sync_folder(partial)
        _replace_folder(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _storable(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous tensors on the CPU, none of which shares memory with another, as safetensors wants them."""
    result: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in state.items():
        stored = tensor.detach().cpu().contiguous()
        place = stored.untyped_storage().data_ptr()
        result[name] = stored.clone() if place in seen else stored
        seen.add(place)
    return result


def _replace_folder(partial: Path, target: Path) -> None:
    """Rename `partial` to `target`.

    A folder cannot be renamed onto one that holds files, so an old one steps aside.
    """
    if not target.exists():
        partial.rename(target)
        sync_folder(target.parent)
        return
    old = partial_path(target).with_suffix(".old")
    target.rename(old)
    try:
        partial.rename(target)
    except BaseException:
        old.rename(target)
        raise
    sync_folder(target.parent)  # before the old one is gone
    shutil.rmtree(old, ignore_errors=True)


def remove_leftovers(folder: Path, name: str | None = None, *, older_than_seconds: float = 0.0) -> list[str]:
    """Remove what killed saves left in `folder`; a folder that was moved aside for a new one returns.

    Only for a folder in which nobody saves at this moment, or with an age at which no save is still
    under way.

    Args:
        folder: where checkpoints or other files of `kinema.files.written_whole` were saved.
        name: of the one file or folder whose leftovers to remove; None: of all.
        older_than_seconds: since the leftover was changed.

    Returns:
        What was removed or has returned, by name.
    """
    done = []
    for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
        match = _LEFTOVER.fullmatch(entry.name)
        if match is None or name not in (None, match[1]):
            continue
        with suppress(OSError):  # another process may have removed it
            if time.time() - entry.lstat().st_mtime < older_than_seconds:
                continue
            if match[2] == "old" and not (folder / match[1]).exists():
                entry.rename(folder / match[1])
            elif entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
            done.append(entry.name)
    return done
