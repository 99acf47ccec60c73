"""Features of many views in pieces: as many at once as memory allows."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from kinema.memory import free_memory, memory_in_use, most_memory_in_use

# No network takes so many bytes for each of its input without gradients: below that nothing is measured.
_AT_MOST = 200
_SHARE = 2  # of the free memory, this part is used


def in_chunks(
    backbone: Callable[[Tensor], Any],
    rows: Tensor,
    limit: int | None = None,
    *,
    multiple: int = 1,
    free_bytes: int | None = None,
) -> Any:
    """Features of all rows, computed some at a time where all do not fit into memory.

    Without gradients, on a CPU, the first rows show how much memory others need, if all together
    might be too much. Where memory runs out nevertheless, as on a GPU, half as many rows follow.
    Pieces change scores by no more than rounding.

    Args:
        backbone: rows -> features: a tensor, or tuples and lists of tensors.
        rows: (R, ...).
        limit: rows at once, at most; None: as memory allows.
        multiple: rows that belong together: pieces hold a multiple of it.
        free_bytes: memory that may be used; None: what the system says is free.

    Raises:
        RuntimeError: there is not even memory for `multiple` rows.
    """
    size = min(limit or len(rows), len(rows))
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or torch.is_grad_enabled() or type(rows) is not Tensor:
        return joined([backbone(piece) for piece in rows.split(size)])
    parts: list[Any] = []
    begin = 0
    if rows.device.type == "cpu" and size > multiple:
        free = (free_memory() if free_bytes is None else free_bytes) or 0
        before = memory_in_use()
        needed = _AT_MOST * rows[:size].numel() * rows.element_size()
        if free and before is not None and needed > free // _SHARE:
            parts.append(backbone(rows[:multiple]))
            begin = multiple
            size = rows_at_once(most_memory_in_use() - before, free, size, multiple)
    while begin < len(rows):
        try:
            parts.append(backbone(rows[begin : begin + size]))
        except RuntimeError as error:
            if size <= multiple or not _is_out_of_memory(error):
                raise
        else:
            begin += size
            continue
        size = max(size // 2 // multiple, 1) * multiple  # outside of the handler, which holds the tensors
    return joined(parts)


def rows_at_once(needed_bytes: int, free_bytes: int, limit: int, multiple: int) -> int:
    """How many rows to compute at once.

    Args:
        needed_bytes: that `multiple` rows needed.
        free_bytes: that are free; half of them are used.
        limit: rows, at most.
        multiple: rows that belong together.

    Returns:
        A multiple of `multiple`, or `limit`; at least `multiple`.
    """
    fitting = free_bytes // _SHARE // max(needed_bytes, 1)
    return min(max(fitting, 1) * multiple, limit)


def joined(parts: list[Any]) -> Any:
    """Features of pieces, one after the other: of tensors, or of tuples and lists of them."""
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], Tensor):
        return torch.cat(parts)
    return type(parts[0])(joined(list(level)) for level in zip(*parts, strict=True))


def _is_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
