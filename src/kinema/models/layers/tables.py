"""Tables that depend on sizes alone: computed once a size and device, and kept."""

import functools
from collections.abc import Callable, Hashable
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")
_KEPT = 64  # sizes a table


def kept_table(function: Callable[..., T]) -> Callable[..., T]:
    """Keep what a function of sizes gives, for the sizes that it was last called with.

    While a network is traced, compiled or exported it is computed: what is made then belongs to the
    trace. What is kept takes part in training, also when the first call was in inference mode.

    Args:
        function: of hashable arguments; gives tensors that nobody changes.
    """

    @functools.lru_cache(maxsize=_KEPT)
    def keep(_: torch.device, *sizes: Hashable) -> T:
        return function(*sizes)

    @functools.wraps(function)
    def table(*sizes: Hashable) -> T:
        if torch.compiler.is_compiling() or torch.jit.is_tracing():
            return function(*sizes)
        sample = torch.empty(0)  # torch 2.6's default device leaves out `with torch.device("meta")`
        if type(sample) is not Tensor:
            return function(*sizes)
        with torch.inference_mode(False):
            return keep(sample.device, *sizes)

    return table
