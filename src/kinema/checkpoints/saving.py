"""Saving weights with their contract.

A saved model is a folder: `model.safetensors` (the weights) and `config.json` (what they are for),
as model hubs name them.
"""

import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from kinema.checkpoints.card import CARD_FILE, model_card
from kinema.checkpoints.contract import CONFIG_FILE, ModelContract, config_text
from kinema.errors import CheckpointError
from kinema.files import partial_path, read_bytes, sha256_of, sync_file, sync_folder, write_text

WEIGHTS_FILE = "model.safetensors"
TRAINING_FILE = "training.pt"
MARK_FILE = "complete.json"
_MARK_BYTES = 1 << 20
LEFTOVER_SECONDS = 24 * 3600.0  # no save takes so long

# What `partial_path` names what is not yet complete, and here what steps aside for it.
_LEFTOVER = re.compile(r"\.(.+)\.[0-9a-f]{8}\.(part|old)", re.DOTALL)


def save_pretrained(
    model: nn.Module,
    folder: str | os.PathLike[str],
    *,
    config: ModelContract | Mapping[str, Any],
    card: bool = False,
) -> Path:
    """Write the weights of `model` and `config` into `folder`, which is complete or not there at all.

    Args:
        model: its state dict is written.
        folder: is created, or replaced if it exists.
        config: the contract, or what JSON can hold in its place: `model` (its config), `classes`
            (names), `sampling` and `preprocessing` (transforms), `metrics`. `format` and
            `kinema_version` are added. With the first four, `kinema.load(folder)` needs no more.
        card: also write a model card, `README.md`, that says what the model is and how to use it.

    Returns:
        The folder.

    Raises:
        TypeError: `config` holds something that JSON cannot.
    """
    content = config.to_config() if isinstance(config, ModelContract) else config
    with _whole_folder(folder) as partial:
        _write_model(partial, model.state_dict(), config_text(content))
        if card:
            parameters = sum(parameter.numel() for parameter in model.parameters())
            write_text(partial / CARD_FILE, model_card(Path(folder).name, content, parameters))
    return Path(folder)


def save_checkpoint(
    folder: str | os.PathLike[str],
    weights: Mapping[str, Tensor],
    *,
    config: ModelContract,
    training: Mapping[str, Any],
) -> Path:
    """Write what a training can be resumed from: weights, contract and state, and a mark that they are whole.

    Args:
        folder: is created, or replaced if it exists; it is complete or not there at all.
        weights: state dict of the model, to evaluate with.
        config: what the weights are for.
        training: the state of the rest, of tensors and plain values; written as `training.pt`.

    Returns:
        The folder.
    """
    text = config_text(config.to_config())
    with _whole_folder(folder) as partial:
        _write_model(partial, weights, text)
        torch.save(dict(training), partial / TRAINING_FILE)
        sync_file(partial / TRAINING_FILE)
        write_mark(partial)
    return Path(folder)


def rewrite_contract(folder: str | os.PathLike[str], contract: ModelContract) -> Path:
    """Put another contract beside the weights of a checkpoint folder, which is always whole.

    The other files stay, as further names of the same bytes where the file system can; a mark
    is changed for the contract alone, so that it still shows damage of the others.

    Args:
        folder: of a checkpoint that Kinema wrote; of a link the folder that it leads to.
        contract: what its `config.json` then says.

    Returns:
        The folder.

    Raises:
        CheckpointError: it holds no contract, or its mark is damaged.
        TypeError: the contract holds something that JSON cannot.
    """
    target = Path(folder).resolve()
    text = config_text(contract.to_config())
    if not (target / CONFIG_FILE).is_file():
        raise CheckpointError(f"{folder}: has no {CONFIG_FILE} to change: expected a checkpoint that Kinema wrote")
    mark = _read_mark(target) if (target / MARK_FILE).is_file() else None
    with _whole_folder(target) as partial:
        shutil.copytree(target, partial, copy_function=_link_or_copy, dirs_exist_ok=True)
        write_text(partial / CONFIG_FILE, text)
        if mark is not None:
            mark[CONFIG_FILE] = _marked(partial / CONFIG_FILE)
            _write_mark_of(partial, mark)
    return target


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copy2(source, target)
        sync_file(target)


@contextmanager
def _whole_folder(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """A folder to write into, which then takes the place of `folder`."""
    target = Path(folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(target.parent, target.name, older_than_seconds=LEFTOVER_SECONDS)
    partial = partial_path(target)
    partial.mkdir()  # its permissions, like those of the files in it, follow the umask
    try:
        yield partial
        sync_folder(partial)
        _replace_folder(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_model(folder: Path, weights: Mapping[str, Tensor], config: str) -> None:
    write_text(folder / CONFIG_FILE, config)
    save_file(_storable(weights), folder / WEIGHTS_FILE, metadata={"format": "pt"})
    # safetensors makes a file that only its owner can read.
    (folder / WEIGHTS_FILE).chmod((folder / CONFIG_FILE).stat().st_mode & 0o777)
    sync_file(folder / WEIGHTS_FILE)


# ---- the mark of a whole checkpoint


def write_mark(folder: Path) -> None:
    """Write `complete.json`: size and SHA-256 of every other file, as the last file of a checkpoint."""
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_file() and entry.name != MARK_FILE)
    _write_mark_of(folder, {name: _marked(folder / name) for name in names})


_Marked = tuple[int, str]  # bytes and SHA-256 of a file


def _marked(file: Path) -> _Marked:
    return file.stat().st_size, sha256_of(file)


def _write_mark_of(folder: Path, files: Mapping[str, _Marked]) -> None:
    entries = {name: {"bytes": size, "sha256": sha256} for name, (size, sha256) in files.items()}
    write_text(folder / MARK_FILE, json.dumps({"files": entries}, indent=1) + "\n")


def _read_mark(folder: Path) -> dict[str, _Marked]:
    """Size and SHA-256 of every file, as the mark says; raises CheckpointError as `check_mark` does."""
    try:
        files = json.loads(read_bytes(folder / MARK_FILE, _MARK_BYTES))["files"]
        return {str(name): (int(entry["bytes"]), str(entry["sha256"])) for name, entry in files.items()}
    except FileNotFoundError:
        raise CheckpointError(f"{folder}: is not complete: has no {MARK_FILE}, which is written last") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{folder / MARK_FILE}: is damaged: {error}") from None


def check_mark(folder: Path) -> None:
    """Compare the files of a checkpoint with its mark.

    Raises:
        CheckpointError: there is no mark, or a file is missing or another one.
    """
    expected = _read_mark(folder)
    for name, marked in expected.items():
        file = folder / name
        if name != Path(name).name or not file.is_file():
            raise CheckpointError(f"{folder}: is damaged: has no {name}")
        if file.stat().st_size != marked[0] or _marked(file) != marked:
            raise CheckpointError(f"{file}: is damaged: is not what was saved, by its size or checksum")


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
