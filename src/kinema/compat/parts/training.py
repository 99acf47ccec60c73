"""Small parts of `mmengine.runner` that training code of OpenMMLab calls."""

import functools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader

from kinema.compat.parts.runners import Runner
from kinema.distributed import auto_device
from kinema.hooks.test_augmentation import with_test_augmentation
from kinema.registry import RUNNERS

logger = logging.getLogger("kinema")


@contextmanager
def autocast(
    device_type: str | None = None,
    dtype: torch.dtype | None = None,
    enabled: bool = True,
    cache_enabled: bool | None = None,
) -> Iterator[None]:
    """`torch.autocast` for the device that is there.

    Args:
        device_type: "cuda", "cpu", ...; default: the GPU where there is one.
        dtype: default: float16, on a CPU bfloat16.
        enabled: False changes nothing.
        cache_enabled: see `torch.autocast`.
    """
    device = device_type or auto_device()
    with torch.autocast(device, dtype=dtype, enabled=enabled, cache_enabled=cache_enabled):
        yield


def turn_on_activation_checkpointing(model: nn.Module, modules: Sequence[str] | str) -> None:
    """Compute the activations inside some modules again in the backward pass, which saves memory.

    Args:
        model: is changed in place.
        modules: names of its modules; those that it does not have are named in a warning.
    """
    names = [modules] if isinstance(modules, str) else list(modules)
    parts = dict(model.named_modules())
    for name in names:
        if name in parts:
            parts[name].forward = wrap_forward(parts[name].forward)
    if missing := [name for name in names if name not in parts]:
        logger.warning("activation checkpointing: %s has no %s", type(model).__name__, ", ".join(missing))


def wrap_forward(forward: Callable[..., Any]) -> Callable[..., Any]:
    """A `forward` whose activations are computed again in the backward pass."""

    @functools.wraps(forward)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return checkpoint(forward, *args, use_reentrant=False, **kwargs)

    return wrapped


def calc_dynamic_intervals(
    start_interval: int, dynamic_interval_list: Sequence[tuple[int, int]] | None = None
) -> tuple[list[int], list[int]]:
    """From which count on, and with which interval: `(3, [(8, 2)])` gives `([0, 8], [3, 2])`."""
    pairs = [(0, start_interval), *(dynamic_interval_list or ())]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


class InfiniteDataloaderIterator:
    """Gives the batches of a loader pass after pass; its sampler knows the number of each.

    Args:
        dataloader: the loader.
    """

    def __init__(self, dataloader: DataLoader) -> None:
        self._dataloader = dataloader
        self._iterator = iter(dataloader)
        self._epoch = 0

    def __iter__(self) -> "InfiniteDataloaderIterator":
        return self

    def __next__(self) -> Any:
        try:
            return next(self._iterator)
        except StopIteration:
            self._epoch += 1
        samplers: list[Any] = [self._dataloader.sampler]
        samplers.append(getattr(self._dataloader.batch_sampler, "sampler", None))
        for sampler in samplers:
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(self._epoch)
                break
        self._iterator = iter(self._dataloader)
        return next(self._iterator)

    def __len__(self) -> int:
        return len(self._dataloader)


def find_latest_checkpoint(path: str | Path) -> str | None:
    """The `.pth` file, or the folder of Kinema's, that training wrote last into a work folder; None: there is none.

    Args:
        path: the work folder. Its file `last_checkpoint` names a `.pth`, `checkpoints/last` a folder.
    """
    folder = Path(path)
    pointer = folder / "last_checkpoint"
    if pointer.is_file():
        return pointer.read_text(encoding="utf-8").strip()
    own = folder / "checkpoints" / "last"
    if own.is_file():
        return str(own.with_name(own.read_text(encoding="utf-8").strip()))
    logger.warning("%s: no last_checkpoint in this folder, so there is nothing to resume", folder)
    return None


def build_runner_with_tta(cfg: Mapping[str, Any]) -> Any:
    """A runner whose test goes through the `tta_pipeline` and the `tta_model` of its config.

    Raises:
        ConfigError: the config lacks one of the two.
    """
    config = with_test_augmentation(cfg)
    return RUNNERS.build(config) if "runner_type" in config else Runner.from_cfg(config)
