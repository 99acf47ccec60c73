"""Saving weights with their contract.

A saved model is a folder: `model.safetensors` (the weights) and `config.json` (what they are for), as model hubs name them.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from kinema import __version__
from kinema.files import sync_file, sync_folder, write_text
from kinema.models.model_card import CARD_FILE, model_card

FORMAT = 1
WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
TRAINING_FILE = "training.pt"


def save_pretrained(
    model: nn.Module,
    folder: str | os.PathLike[str],
    *,
    config: Mapping[str, Any],
    training: Mapping[str, Any] | None = None,
    card: bool = False,
) -> Path:
    """Write the weights of `model` and `config` into `folder`, which is complete or not there at all.

    Args:
        model: its state dict is written.
        folder: is made; one that exists is replaced.
        config: what JSON can hold: `model` (its config), `classes` (names), `sampling` and `preprocessing` (transforms),
            `metrics`. `format` and `kinema_version` are added. With the first four, `kinema.load(folder)` needs no more.
        training: state from which training goes on (optimizer, position, generators), of tensors and plain values;
            written as `training.pt`.
        card: also write a model card, `README.md`, that says what the model is and how to use it.

    Returns:
        The folder.

    Raises:
        TypeError: `config` holds something that JSON cannot.
    """
    contract = {"format": FORMAT, "kinema_version": __version__, **config}
    try:
        text = json.dumps(contract, indent=2)
    except TypeError as error:
        raise TypeError(f"the config of a checkpoint must be plain dicts, lists, texts and numbers: {error}") from None
    target = Path(folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        save_file(_storable(model.state_dict()), made / WEIGHTS_FILE, metadata={"format": "pt"})
        sync_file(made / WEIGHTS_FILE)
        write_text(made / CONFIG_FILE, text + "\n")
        if training is not None:
            torch.save(dict(training), made / TRAINING_FILE)
            sync_file(made / TRAINING_FILE)
        if card:
            parameters = sum(one.numel() for one in model.parameters())
            write_text(made / CARD_FILE, model_card(target.name, contract, parameters))
        made.chmod(0o777 & ~_umask())
        sync_folder(made)
        _replace_folder(made, target)
    finally:
        shutil.rmtree(made, ignore_errors=True)
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


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value


def _replace_folder(made: Path, target: Path) -> None:
    """Rename `made` to `target`. A folder cannot be renamed onto one that holds files, so an old one steps aside."""
    if not target.exists():
        made.rename(target)
        sync_folder(target.parent)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    target.rename(aside / target.name)
    made.rename(target)
    sync_folder(target.parent)  # before the old one is gone
    shutil.rmtree(aside, ignore_errors=True)
