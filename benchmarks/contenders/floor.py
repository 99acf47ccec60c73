"""The least time of a network: that of the matrix products of its linear layers alone."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


class _ProductSizes(TorchFunctionMode):
    """Counts the linear layers that are called in its context by rows, channels in and channels out."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[tuple[int, int, int]] = Counter()

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is F.linear:
            x, weight = args[:2]
            self.counts[x.numel() // x.shape[-1], weight.shape[1], weight.shape[0]] += 1
        return func(*args, **(kwargs or {}))


def bare_products(module: nn.Module, inputs: Tensor, is_training: bool) -> Callable[[], Tensor]:
    """What the linear layers of a forward pass compute, and nothing else.

    Args:
        module: a recognizer as Kinema builds it.
        inputs: (B, V, ...).
        is_training: three products a layer, with those for the gradients of input and weight.

    Returns:
        A function that computes as many products of these sizes, each into memory that is there.
    """
    with torch.no_grad(), _ProductSizes() as sizes:
        module.eval()(inputs, mode="tensor")
    products = [(count, *_operands(*size, inputs.device)) for size, count in sizes.counts.items()]

    def compute() -> Tensor:
        with torch.no_grad():
            for count, rows, weight, out, of_rows, of_weight in products:
                for _ in range(count):
                    torch.mm(rows, weight.t(), out=out)
                    if is_training:
                        torch.mm(out, weight, out=of_rows)
                        torch.mm(out.t(), rows, out=of_weight)
        return inputs

    return compute


def _operands(rows: int, channels_in: int, channels_out: int, device: torch.device) -> tuple[Tensor, ...]:
    """Input, weight, result and the gradients of input and weight."""
    shapes = (rows, channels_in), (channels_out, channels_in), (rows, channels_out), (rows, channels_in)
    return tuple(torch.ones(shape, device=device) for shape in (*shapes, (channels_out, channels_in)))
