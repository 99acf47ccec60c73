"""Reading checkpoints of any origin. Nothing that is read here executes code.

Files: folders of `save_pretrained`, work folders, `.safetensors`, `.npz` of numpy, and what
`torch.save` wrote: MMAction2's files of both generations, state dicts bare or under the usual keys.
Addresses are downloaded once, see `kinema.checkpoints.downloads`.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kinema.checkpoints.connections import shown_address
from kinema.checkpoints.downloads import fetch, is_address
from kinema.checkpoints.npz_files import read_npz
from kinema.checkpoints.safetensors_files import read_safetensors
from kinema.checkpoints.saving import WEIGHTS_FILE
from kinema.checkpoints.store import CheckpointStore
from kinema.checkpoints.unpickling import load_restricted
from kinema.errors import CheckpointError

State = dict[str, Tensor]

# Where files keep the weights: OpenMMLab, timm and Swin, PySlowFast, DeepSpeed and VideoMAE, and
# hand-written loops; then files of averaged weights alone, of distillation (DINO), of parts, and
# of several classifiers that were trained side by side, of which the first is taken.
_WEIGHT_KEYS = (
    *("state_dict", "model", "model_state", "module", "model_state_dict"),
    *("state_dict_ema", "model_ema", "ema_state_dict", "ema", "teacher", "student"),
    *("network", "net", "weights", "params", "encoder", "target_encoder", "ema_encoder", "backbone"),
    "classifiers",
)


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds.

    Attributes:
        state: the weights. Where training kept a moving average of them (EMA), these are the
            averaged ones.
        content: the rest, by its keys: `meta`, `optimizer`, `message_hub`, ... Objects of unknown
            classes in it are inert shells, see `kinema.checkpoints.unpickling`.
        key: under which the file keeps the weights; empty: they are all that it holds.
        inert: names of their classes.
        path: where it was read.
        name: what messages call it.
    """

    state: State
    content: Mapping[str, Any] = field(default_factory=dict)
    inert: tuple[str, ...] = ()
    path: Path | None = None
    name: str = ""
    key: str = ""

    def training_state(self) -> State:
        """The weights that training resumes from: those that were trained, not their moving average.

        An EMA hook swaps the two when it saves: `ema_state_dict` then holds the trained ones, under
        `module.`.
        """
        swapped = self.content.get("ema_state_dict")
        if not isinstance(swapped, Mapping):
            return self.state
        trained = {
            str(name).removeprefix("module."): tensor for name, tensor in swapped.items() if isinstance(tensor, Tensor)
        }
        return {name: trained.get(name, tensor) for name, tensor in self.state.items()}

    def below(self, prefix: str) -> "Checkpoint":
        """The weights of one part of the network, `"backbone"` for example, under their names in that part.

        Raises:
            CheckpointError: no name starts with the prefix and a dot.
        """
        start = prefix.rstrip(".") + "."
        state = {name.removeprefix(start): tensor for name, tensor in self.state.items() if name.startswith(start)}
        if not state:
            raise CheckpointError(
                f"{self.name}: no weight's name starts with {start!r}; there are {shortened(list(self.state), 3)}"
            )
        return replace(self, state=state)


def read_checkpoint(path: str | os.PathLike[str], *, map_location: str | torch.device = "cpu") -> Checkpoint:
    """Read a checkpoint.

    Args:
        path: a folder that `save_pretrained` wrote; a work folder, of which it is the best
            checkpoint, or else the last; a `.safetensors` or `.npz` file, a file of `torch.save`: a
            state dict, or a dict with one under `state_dict`, `model`, `model_state`, `module` or
            `model_state_dict`; or the address of one (`https://...`, `torchvision://resnet50`),
            which is downloaded once.
        map_location: device of the tensors.

    Raises:
        CheckpointError: there is nothing at `path`, or it is no checkpoint, or it would run
            something.
    """
    name = shown_address(os.fspath(path))
    file = fetch(os.fspath(path)) if is_address(os.fspath(path)) else Path(path).expanduser()
    if file.is_dir():
        folder = file if (file / WEIGHTS_FILE).is_file() else CheckpointStore(file).find("best")
        if folder is None:
            raise CheckpointError(f"{file}: the folder holds no {WEIGHTS_FILE}, so it is no checkpoint")
        file = folder / WEIGHTS_FILE
    if not file.is_file():
        raise CheckpointError(f"{file}: there is no such checkpoint")
    if file.suffix == ".safetensors":
        return Checkpoint(read_safetensors(file, map_location), path=file, name=name)
    if file.suffix == ".npz":
        return Checkpoint(read_npz(file, map_location), path=file, name=name)
    read = load_restricted(file, map_location=map_location)
    state, content, key = _weights_in(read.content, file)
    return Checkpoint(state, content, read.inert, file, name, key)


def _weights_in(content: Any, file: Path) -> tuple[State, Mapping[str, Any], str]:
    """The weights in what was read, the rest of it, and the key of the weights."""
    if isinstance(content, Mapping):
        for key in (*_WEIGHT_KEYS, None):
            inner = content if key is None else content.get(key)
            if key == "classifiers" and isinstance(inner, Sequence) and inner:
                inner = inner[0]
            if not isinstance(inner, Mapping):
                continue
            state = {str(name): value for name, value in inner.items() if isinstance(value, Tensor)}
            if state:
                rest = {} if key is None else {str(k): value for k, value in content.items() if k != key}
                return state, rest, key or ""
        actual = f"a dict with {shortened([str(key) for key in content]) or 'nothing'}"
    else:
        actual = f"a {type(content).__name__}"
    raise CheckpointError(f"{file} holds no weights: expected a state dict, found {actual}")


def shortened(names: Sequence[str], most: int = 8) -> str:
    """The first names, and how many there are more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"
