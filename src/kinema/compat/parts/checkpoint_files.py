"""Checkpoint files with the functions of `mmengine.runner.checkpoint`; what is read never runs code."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from kinema.checkpoints import Checkpoint
from kinema.checkpoints import read_checkpoint as read_any_checkpoint
from kinema.datasets.samplers import draw_shared_seed
from kinema.distributed import get_rank
from kinema.files import written_whole
from kinema.models.wrappers import is_model_wrapper
from kinema.randomness import seed_everything

Loader = Callable[..., Any]
FilePath = str | PathLike[str]


def contents_of(read: Checkpoint) -> dict[str, Any]:
    """What a file holds, the weights under the key that they have there; bare ones as they are."""
    if read.key:
        return {**read.content, read.key: read.state}
    if read.path is not None and read.path.suffix == ".safetensors":
        return {"state_dict": read.state}
    return dict(read.state)


def read_file(filename: FilePath, map_location: Any = None) -> dict[str, Any]:
    """The contents of a file or of an address that Kinema reads.

    Raises:
        CheckpointError: it cannot be read, or holds no weights.
    """
    return contents_of(read_any_checkpoint(filename, map_location=map_location or "cpu"))


def load_from_local(filename: FilePath, map_location: Any = None) -> dict[str, Any]:
    """The contents of a local file; `~` stands for the home folder."""
    return read_file(filename, map_location)


def load_from_http(
    filename: str, map_location: Any = None, model_dir: Any = None, progress: bool = False
) -> dict[str, Any]:
    """The contents of a file of the web, which is downloaded once into Kinema's own folder."""
    return read_file(filename, map_location)


def load_from_torchvision(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Weights of torchvision, `torchvision://NAME`."""
    return read_file(filename, map_location)


def load_from_openmmlab(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Weights that OpenMMLab published, `open-mmlab://NAME`."""
    return read_file(filename, map_location)


def load_from_mmcls(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Weights that MMClassification published, `mmcls://NAME`."""
    return read_file(filename, map_location)


class CheckpointLoader:
    """Finds by the beginning of a file's name the function that reads it; the longest beginning counts.

    Further ones are registered, as with `@CheckpointLoader.register_scheme(prefixes="ftp://")`; a
    loader is called with `(filename, map_location)`.
    """

    _schemes: ClassVar[dict[str, Loader]] = {
        "torchvision://": load_from_torchvision,
        "modelzoo://": load_from_torchvision,
        "openmmlab://": load_from_openmmlab,
        "open-mmlab://": load_from_openmmlab,
        "mmcls://": load_from_mmcls,
        "http://": load_from_http,
        "https://": load_from_http,
        "": load_from_local,
    }

    @classmethod
    def register_scheme(cls, prefixes: str | Sequence[str], loader: Loader | None = None, force: bool = False) -> Any:
        """Register a loader, or decorate it.

        Args:
            prefixes: one or several beginnings of names.
            loader: the function; None gives a decorator.
            force: replace the loader that a beginning has.

        Raises:
            KeyError: a beginning has a loader already.
        """

        def register(function: Loader) -> Loader:
            for prefix in [prefixes] if isinstance(prefixes, str) else prefixes:
                if prefix in cls._schemes and not force:
                    raise KeyError(f"{prefix} has a loader already, {cls._schemes[prefix].__name__}: pass force=True")
                cls._schemes[prefix] = function
            return function

        return register if loader is None else register(loader)

    @classmethod
    def _get_checkpoint_loader(cls, path: str) -> Loader:
        fitting = [prefix for prefix in cls._schemes if path.startswith(prefix)]
        return cls._schemes[max(fitting, key=len)]

    @classmethod
    def load_checkpoint(cls, filename: FilePath, map_location: Any = None, logger: Any = "current") -> Any:
        """The contents of a file; `logger` has no effect."""
        name = str(filename)
        return cls._get_checkpoint_loader(name)(name, map_location)


def read_checkpoint(filename: FilePath, map_location: Any = None, logger: Any = None) -> Any:
    """The contents of a file, by `CheckpointLoader`."""
    return CheckpointLoader.load_checkpoint(filename, map_location, logger)


def weights_to_cpu(state_dict: Mapping[str, Any]) -> OrderedDict[str, Any]:
    """A dict of the same entries, tensors on the CPU."""
    moved = OrderedDict(
        (name, value.cpu() if isinstance(value, Tensor) else value) for name, value in state_dict.items()
    )
    moved._metadata = getattr(state_dict, "_metadata", OrderedDict())  # type: ignore[attr-defined]
    return moved


def get_state_dict(
    module: nn.Module, destination: Any = None, prefix: str = "", keep_vars: bool = False
) -> OrderedDict[str, Any]:
    """The weights of a module by name, without the `module.` of wrappers at any depth.

    Args:
        module: perhaps wrapped, as its parts may be.
        destination: a dict to put them into; default: a new one.
        prefix: stands before the names.
        keep_vars: give the parameters themselves.
    """
    state: OrderedDict[str, Any] = OrderedDict() if destination is None else destination
    while is_model_wrapper(module):
        module = module.module  # type: ignore[assignment]
    own: dict[str, Tensor] = {name: entry for name, entry in module._parameters.items() if entry is not None}
    own |= {
        name: entry
        for name, entry in module._buffers.items()
        if entry is not None and name not in module._non_persistent_buffers_set
    }
    for name, entry in own.items():
        state[prefix + name] = entry if keep_vars else entry.detach()
    for name, child in module._modules.items():
        if child is not None:
            get_state_dict(child, state, f"{prefix}{name}.", keep_vars)
    return state


def save_checkpoint(
    checkpoint: Mapping[str, Any], filename: FilePath, file_client_args: Any = None, backend_args: Any = None
) -> None:
    """Write a dict as a file of `torch.save`, whole or not at all; folders are created.

    Raises:
        ValueError: the file is not to be local.
        TypeError: `checkpoint` is no dict.
    """
    if not isinstance(checkpoint, Mapping):
        raise TypeError(f"save_checkpoint: checkpoint must be a dict, got {type(checkpoint).__name__}")
    for given in (file_client_args, backend_args):
        if given and given.get("backend", "local") not in ("local", "disk"):
            raise ValueError(f"save_checkpoint: files are local, got {given!r}")
    file = Path(str(filename).removeprefix("file://")).expanduser()
    file.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(file, "wb") as opened:
        torch.save(checkpoint, opened)


def set_random_seed(seed: int | None = None, deterministic: bool = False, diff_rank_seed: bool = False) -> int:
    """Seed all generators of this process; returns the seed used.

    Args:
        seed: of Python, numpy and torch; None draws one.
        deterministic: also take deterministic algorithms only.
        diff_rank_seed: add the number of the process.
    """
    used = draw_shared_seed() if seed is None else seed
    used += get_rank() if diff_rank_seed else 0
    seed_everything(used, deterministic=deterministic)
    return used
