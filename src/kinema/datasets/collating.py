"""From samples to a batch: collate functions."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch.utils.data import default_collate as torch_default_collate

from kinema.registry import FUNCTIONS
from kinema.structures import BaseDataElement


@FUNCTIONS.register_module()
def pseudo_collate(data_batch: Sequence[Any]) -> Any:
    """Batch samples without stacking: dicts become a dict of lists, sequences a list of tuples.

    Args:
        data_batch: samples, all of one structure.

    Raises:
        RuntimeError: sequences of different lengths.
    """
    first = data_batch[0]
    if isinstance(first, str | bytes | BaseDataElement):
        return data_batch
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(pseudo_collate(entries) for entries in zip(*data_batch, strict=True)))
    if isinstance(first, Sequence):
        _require_equal_lengths(data_batch)
        return [pseudo_collate(entries) for entries in zip(*data_batch, strict=True)]
    if isinstance(first, Mapping):
        return type(first)({key: pseudo_collate([sample[key] for sample in data_batch]) for key in first})  # type: ignore[call-arg]
    return data_batch


@FUNCTIONS.register_module(name="default_collate")
def default_collate(data_batch: Sequence[Any]) -> Any:
    """Batch samples by stacking: tensors get a batch axis; data samples and strings are listed.

    Args:
        data_batch: samples, all of one structure.

    Raises:
        RuntimeError: sequences of different lengths, or tensors of different shapes.
    """
    first = data_batch[0]
    if isinstance(first, str | bytes | BaseDataElement):
        return data_batch
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(default_collate(entries) for entries in zip(*data_batch, strict=True)))
    if isinstance(first, Sequence):
        _require_equal_lengths(data_batch)
        return [default_collate(entries) for entries in zip(*data_batch, strict=True)]
    if isinstance(first, Mapping):
        return type(first)({key: default_collate([sample[key] for sample in data_batch]) for key in first})  # type: ignore[call-arg]
    return torch_default_collate(list(data_batch))


def _require_equal_lengths(data_batch: Sequence[Any]) -> None:
    if len({len(sample) for sample in data_batch}) > 1:
        raise RuntimeError(
            f"the samples of a batch must have equal lengths, got {[len(sample) for sample in data_batch]}"
        )
