"""Saving weights with their contract, and loading them with a report.

A saved model is a folder: `model.safetensors` (the weights) and `config.json` (what they are for). Nothing that is loaded
here executes code: `.safetensors` cannot, `.pth` files are read by torch's weights-only unpickler.
"""

import json
import os
import pickle
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from kinema import __version__
from kinema.errors import CheckpointError

FORMAT = 1
WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
TRAINING_FILE = "training.pt"
TRAINING_FILE = "training.pt"

State = dict[str, Tensor]
ReviseKeys = Sequence[tuple[str, str]]
STRIP_WRAPPER: ReviseKeys = ((r"^module\.", ""),)

# Entries that files of some versions lack or carry in excess, and that a model makes itself.
_DERIVED = re.compile(r"(^|\.)(num_batches_tracked|relative_position_index)$")
_LEFTOVER = re.compile(r"^data_preprocessor\.")


@dataclass(frozen=True)
class LoadReport:
    """What `load_state` did.

    Attributes:
        loaded: number of the model's tensors that were set.
        expected: number of tensors that the model has, without those that it makes itself.
        missing: names in the model that the checkpoint does not have.
        unexpected: names in the checkpoint that the model does not have.
        mismatched: (name, shape in the checkpoint, shape in the model) of tensors that were not set.
    """

    loaded: int
    expected: int
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    mismatched: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...] = ()

    @property
    def is_complete(self) -> bool:
        """True when model and checkpoint have the same names and shapes."""
        return not (self.missing or self.unexpected or self.mismatched)

    def __str__(self) -> str:
        parts = [f"loaded {self.loaded} of {self.expected} tensors"]
        if self.missing:
            parts.append(f"missing in the checkpoint, left as they were: {_shorten(self.missing)}")
        if self.mismatched:
            shapes = [f"{name} ({_shape(theirs)} there, {_shape(ours)} here)" for name, theirs, ours in self.mismatched]
            parts.append(f"of another shape, left as they were: {_shorten(shapes)}")
        if self.unexpected:
            parts.append(f"not in the model, not used: {_shorten(self.unexpected)}")
        return "; ".join(parts)


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _shorten(names: Sequence[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


# ---- saving


def save_pretrained(
    model: nn.Module,
    folder: str | os.PathLike[str],
    *,
    config: Mapping[str, Any],
    training: Mapping[str, Any] | None = None,
) -> Path:
    """Write the weights of `model` and `config` into `folder`, which is complete or not there at all.

    Args:
        model: its state dict is written.
        folder: is made; one that exists is replaced.
        config: what JSON can hold: the model's config, class names, sampling, preprocessing. `format` and
            `kinema_version` are added.
        training: state from which training goes on (optimizer, position, generators), of tensors and plain values;
            written as `training.pt`.

    Returns:
        The folder.

    Raises:
        TypeError: `config` holds something that JSON cannot.
    """
    try:
        text = json.dumps({"format": FORMAT, "kinema_version": __version__, **config}, indent=2)
    except TypeError as error:
        raise TypeError(f"the config of a checkpoint must be plain dicts, lists, texts and numbers: {error}") from None
    target = Path(folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        save_file(_storable(model.state_dict()), made / WEIGHTS_FILE)
        (made / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")
        if training is not None:
            torch.save(dict(training), made / TRAINING_FILE)
        made.chmod(0o777 & ~_umask())
        _replace_folder(made, target)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return target


def _storable(state: Mapping[str, Tensor]) -> State:
    """Contiguous tensors on the CPU, none of which shares memory with another, as safetensors wants them."""
    result: State = {}
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
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    target.rename(aside / target.name)
    made.rename(target)
    shutil.rmtree(aside, ignore_errors=True)


# ---- reading


def read_state(path: str | os.PathLike[str], *, map_location: str | torch.device = "cpu") -> State:
    """Read the weights of a checkpoint.

    Args:
        path: a folder that `save_pretrained` wrote, a `.safetensors` file, or a file of `torch.save`: a state dict, or a
            dict with one under `state_dict`, `model` or `model_state`.
        map_location: device of the tensors.

    Raises:
        CheckpointError: there is nothing at `path`, or it is no checkpoint, or it holds more than weights.
    """
    file = Path(path).expanduser()
    if file.is_dir():
        if not (file / WEIGHTS_FILE).is_file():
            raise CheckpointError(f"{file}: the folder holds no {WEIGHTS_FILE}, so it is no checkpoint")
        file = file / WEIGHTS_FILE
    if not file.is_file():
        raise CheckpointError(f"{file}: there is no such checkpoint")
    if file.suffix == ".safetensors":
        try:
            return load_file(file, device=str(map_location))
        except SafetensorError as error:
            raise CheckpointError(f"{file} is not a safetensors file: {_first_line(error)}") from error
    return _weights_in(_load_pickle(file, map_location), file)


def _load_pickle(file: Path, map_location: str | torch.device) -> Any:
    try:
        return torch.load(file, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        unsafe = re.search(r"GLOBAL (\S+)", str(error))
        if unsafe is None:
            raise CheckpointError(f"{file} is not a checkpoint: torch.save did not write it") from error
        raise CheckpointError(
            f"{file} holds {unsafe[1]}, which is not weights; it was not loaded, as that could run code. "
            "Save its state_dict alone, where it was made"
        ) from error
    except (EOFError, RuntimeError, OSError, ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
        # torch.load meets garbage with whatever its unpickler stumbles over.
        raise CheckpointError(f"{file} is not a checkpoint: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _weights_in(content: Any, file: Path) -> State:
    if isinstance(content, Mapping):
        inner = next(
            (content[key] for key in ("state_dict", "model", "model_state") if isinstance(content.get(key), Mapping)),
            content,
        )
        state = {str(name): value for name, value in inner.items() if isinstance(value, Tensor)}
        if state:
            return state
        found = f"a dict with {_shorten([str(key) for key in content]) or 'nothing'}"
    else:
        found = f"a {type(content).__name__}"
    raise CheckpointError(f"{file} holds no weights: expected a state dict, found {found}")


# ---- loading


def load_state(
    model: nn.Module, state: Mapping[str, Tensor], *, strict: bool = False, revise_keys: ReviseKeys = STRIP_WRAPPER
) -> LoadReport:
    """Set the weights of `model` from `state`.

    Args:
        model: is changed in place.
        state: name -> tensor.
        strict: refuse any difference of names or shapes, and then change nothing.
        revise_keys: (regular expression, replacement) pairs that are applied to the names, in this order.

    Returns:
        What was set and what was not. `num_batches_tracked` and `relative_position_index` may differ silently.

    Raises:
        CheckpointError: nothing fits, or `strict` and not everything does.
    """
    own = model.state_dict()
    given: State = {}
    for name, tensor in state.items():
        for pattern, replacement in revise_keys:
            name = re.sub(pattern, replacement, name)
        given[name] = tensor
    fitting = {name: given[name] for name in own if name in given and given[name].shape == own[name].shape}
    report = LoadReport(
        loaded=len(fitting),
        expected=sum(name in given or not _DERIVED.search(name) for name in own),
        missing=tuple(name for name in own if name not in given and not _DERIVED.search(name)),
        unexpected=tuple(n for n in given if n not in own and not (_DERIVED.search(n) or _LEFTOVER.search(n))),
        mismatched=tuple(
            (name, tuple(given[name].shape), tuple(own[name].shape))
            for name in own
            if name in given and name not in fitting
        ),
    )
    if not fitting and own:
        raise CheckpointError(
            f"nothing in the checkpoint fits {type(model).__name__}: it has {_shorten(list(given), 3) or 'nothing'}; "
            f"the model has {_shorten(list(own), 3)}"
        )
    if strict and not report.is_complete:
        raise CheckpointError(f"the checkpoint does not fit {type(model).__name__}: {report}")
    model.load_state_dict(fitting, strict=False)
    return report


def load_checkpoint(
    model: nn.Module,
    path: str | os.PathLike[str],
    *,
    strict: bool = False,
    revise_keys: ReviseKeys = STRIP_WRAPPER,
    map_location: str | torch.device = "cpu",
) -> LoadReport:
    """Read the weights at `path` and set those of `model`; see `read_state` and `load_state`.

    Raises:
        CheckpointError: the file cannot be read or does not fit; the message names it.
    """
    state = read_state(path, map_location=map_location)
    try:
        return load_state(model, state, strict=strict, revise_keys=revise_keys)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
