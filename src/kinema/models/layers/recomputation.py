"""Activations that are forgotten and computed again in the backward pass, without counting a batch twice."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def recomputed(module: nn.Module, function: Callable[[Tensor], Any], x: Tensor) -> Any:
    """`function(x)`, whose inner activations are computed again in the backward pass: less memory, more time.

    The second time the batch norms of `module` leave their running statistics alone, so that
    weights and statistics are those of a training without this.

    Args:
        module: that `function` computes with.
        function: of one tensor; gives tensors.
        x: the tensor.
    """
    if torch.compiler.is_compiling():  # which plans the second time itself
        return checkpoint(function, x, use_reentrant=False)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _statistics_kept(module)

    return checkpoint(function, x, use_reentrant=False, context_fn=contexts)


@contextmanager
def _statistics_kept(module: nn.Module) -> Iterator[None]:
    norms = [norm for norm in module.modules() if isinstance(norm, _BatchNorm) and norm.track_running_stats]
    kept = [(norm, norm.momentum, norm.num_batches_tracked.clone()) for norm in norms]  # type: ignore[union-attr]
    for norm in norms:
        norm.momentum = 0.0  # what is saved for the backward pass must not change, so they still get a batch
    try:
        yield
    finally:
        for norm, momentum, count in kept:
            norm.momentum = momentum
            norm.num_batches_tracked.copy_(count)  # type: ignore[union-attr]
