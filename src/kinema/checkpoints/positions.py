"""Tables of positions in files that are for clips of another size than the network.

A module with such tables has `position_tables()`: name of a tensor of its own -> how a table of
another size becomes it, by `fitted(table)`. It has `interpolate_positions`: is that wanted?
"""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn

HINT = "to fit positions for clips of another size, set interpolate_positions=True in backbone"


def fit_positions(
    model: nn.Module, weights: Mapping[str, Tensor], own: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], str]:
    """Weights, of which tables of positions are fitted to the network where it asks for that.

    Args:
        model: its modules may have tables.
        weights: by names of the file.
        own: tensors of the network, or views of them, by these names.

    Returns:
        The weights, and what to say of those that could be fitted but are not to be; empty: nothing.
    """
    fitted, hint = dict(weights), ""
    for tensor, table, wanted in _tables(model):
        for name, view in own.items():
            weight = weights.get(name)
            if weight is None or weight.shape == view.shape or not _is_of(view, tensor):
                continue
            if weight.dim() != view.dim() or weight.shape[-1] != view.shape[-1]:
                continue
            resized = table.fitted(weight)
            if resized is not None and resized.shape == view.shape:
                fitted[name], hint = (resized, hint) if wanted else (weight, HINT)
    return fitted, hint


def _tables(model: nn.Module) -> Iterator[tuple[Tensor, Any, bool]]:
    """The tensors that are tables, how each is fitted, and whether that is wanted."""
    for module in model.modules():
        tables: Mapping[str, Any] = getattr(module, "position_tables", dict)()
        wanted = bool(getattr(module, "interpolate_positions", False))
        state = module.state_dict() if tables else {}
        yield from ((state[name], table, wanted) for name, table in tables.items() if name in state)


def _is_of(view: Tensor, tensor: Tensor) -> bool:
    return view.numel() == tensor.numel() and view.data_ptr() == tensor.data_ptr()
