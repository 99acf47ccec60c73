"""torch's optimizer whose state is spread over the processes, with the name of the inner one as OpenMMLab gives it."""

import warnings
from typing import Any

import torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of torch's own use of torch.jit
    from torch.distributed.optim import ZeroRedundancyOptimizer as _Zero


class ZeroRedundancyOptimizer(_Zero):
    """For training loops of the user's own; a run spreads the state by `strategy="fsdp2"`.

    Args:
        params: to update.
        optimizer_type: name of torch's optimizer.
        kwargs: of that optimizer.

    Raises:
        ValueError: there is no such optimizer, or no process group.
    """

    def __init__(self, params: Any, optimizer_type: str, **kwargs: Any) -> None:
        kind = getattr(torch.optim, optimizer_type, None)
        if kind is None:
            raise ValueError(f"ZeroRedundancyOptimizer: torch.optim has no {optimizer_type!r}")
        super().__init__(params, kind, **kwargs)
