"""Loading weights with the arguments of `mmengine.runner`; what is read never runs code.

See `kinema.checkpoints.loading`.
"""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

import torch
from torch import Tensor, nn

from kinema.checkpoints import Checkpoint
from kinema.checkpoints import load_checkpoint as load_any_checkpoint
from kinema.checkpoints import read_checkpoint as read_any_checkpoint
from kinema.checkpoints.pretrained import log_report
from kinema.compat.parts.checkpoint_files import contents_of

FilePath = str | PathLike[str]
Device = str | torch.device | None


def load_checkpoint(
    model: nn.Module,
    filename: FilePath,
    map_location: Device = None,
    strict: bool = False,
    logger: Any = None,
    revise_keys: Sequence[tuple[str, str]] = ((r"^module\.", ""),),
) -> dict[str, Any]:
    """Set the weights of `model` from a file.

    Args:
        model: is changed in place.
        filename: the checkpoint.
        map_location: device of the tensors that are returned; None for the CPU.
        strict: refuse any difference of names or shapes.
        logger: without effect.
        revise_keys: (regular expression, replacement) pairs for the names.

    Returns:
        What the file holds.

    Raises:
        CheckpointError: the file cannot be read or does not fit.
    """
    read = read_any_checkpoint(filename, map_location=map_location or "cpu")
    log_report(filename, load_any_checkpoint(model, read, strict=strict, revise_keys=tuple(revise_keys)))
    return contents_of(read)


def load_state_dict(
    module: nn.Module, state_dict: Mapping[str, Tensor], strict: bool = False, logger: Any = None
) -> None:
    """Set the weights of `module` from a dict; `logger` has no effect.

    Raises:
        CheckpointError: nothing fits, or `strict` and not everything does.
    """
    load_any_checkpoint(module, Checkpoint(dict(state_dict)), strict=strict, image_network=False)


def read_weights_below(prefix: str, filename: FilePath, map_location: Device = None) -> dict[str, Tensor]:
    """The weights of a file whose names start with `prefix` and a dot, named by the rest.

    Raises:
        CheckpointError: there are none.
    """
    return read_any_checkpoint(filename, map_location=map_location or "cpu").below(prefix).state
