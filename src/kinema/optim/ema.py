"""Averages of the weights over the updates, which often recognize better than the last weights."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from kinema.models.wrappers import plain_name, wrapped_places

Kind = Literal["exponential", "annealed", "mean"]


class Ema:
    """Averages of a model's parameters: average = (1 - momentum) * average + momentum * parameter.

    Args:
        model: whose parameters to average.
        momentum: share of the newest weights, in (0, 1).
        kind: "exponential": the momentum is fixed; "annealed": it is at least
            gamma / (gamma + updates), so that the first averages are near the weights; "mean": all
            weights count alike (stochastic weight averaging).
        gamma: of "annealed".
        interval: updates of the weights between two of the averages.
        begin: updates of the weights before the first; until then the averages are the weights.
        update_buffers: average the floating-point buffers, too (running means of norms); otherwise
            the evaluation uses those of the model.

    Raises:
        ValueError: a number is out of range.

    Source: Polyak and Juditsky 1992; Izmailov et al. 2018, arXiv:1803.05407 ("mean").
    """

    def __init__(
        self,
        model: nn.Module,
        momentum: float = 0.0002,
        *,
        kind: Kind = "exponential",
        gamma: int = 100,
        interval: int = 1,
        begin: int = 0,
        update_buffers: bool = False,
    ) -> None:
        if not 0 < momentum < 1:
            raise ValueError(f"momentum must be above 0 and below 1, got {momentum}")
        if interval < 1 or begin < 0 or gamma < 1:
            raise ValueError(f"need interval >= 1, begin >= 0, gamma >= 1, got {interval=}, {begin=}, {gamma=}")
        self.momentum, self.kind, self.gamma = momentum, kind, gamma
        self.interval, self.begin, self.update_buffers = interval, begin, update_buffers
        self.model = model
        self.is_applied = False
        self.updates = 0  # of the weights
        saved = model.state_dict()  # without buffers that are no state, which no checkpoint holds
        self._buffers = {name for name, value in model.named_buffers() if name in saved and value.is_floating_point()}
        self._places = wrapped_places(model)
        self.averages = {name: value.detach().clone() for name, value in self._values().items()}

    def _values(self) -> dict[str, Tensor]:
        """What is averaged: the model's own tensors, by names without wrappers."""
        values: dict[str, Tensor] = dict(self.model.named_parameters())
        if self.update_buffers:
            values |= {name: value for name, value in self.model.named_buffers() if name in self._buffers}
        return {plain_name(name, self._places): value for name, value in values.items()} if self._places else values

    @torch.no_grad()
    def update(self) -> None:
        """The model was updated."""
        count = self.updates - self.begin
        self.updates += 1
        if count <= 0:
            self._each(torch._foreach_copy_)
        elif count % self.interval == 0:
            self._each(torch._foreach_lerp_, self._share(count))

    def _share(self, count: int) -> float:
        if self.kind == "mean":
            return 1 / (count // self.interval + 1)
        return max(self.momentum, self.gamma / (self.gamma + count)) if self.kind == "annealed" else self.momentum

    def _each(self, operation: Any, *arguments: Any) -> None:
        values = self._values()
        averages = [_own_share(self.averages[name]) for name in values]
        operation(averages, [_own_share(value) for value in values.values()], *arguments)

    @contextmanager
    def applied(self, on: bool = True) -> Iterator[None]:
        """Give the model the averages for a while, or its own weights (`on=False`); it may have them already."""
        if self.is_applied == on:
            yield
            return
        self._swap()
        self.is_applied = on
        try:
            yield
        finally:
            self._swap()
            self.is_applied = not on

    @torch.no_grad()
    def _swap(self) -> None:
        for name, value in self._values().items():
            average = self.averages[name]
            kept = value.clone()
            value.copy_(average)
            average.copy_(kept)

    def state_dict(self) -> dict[str, Any]:
        """The count of updates and the averages."""
        return {"updates": self.updates, "averages": dict(self.averages)}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the state of `state_dict()` back.

        Raises:
            KeyError: it has no average of a parameter.
        """
        self.updates = state["updates"]
        for name, average in self.averages.items():
            average.copy_(state["averages"][name])


def _own_share(tensor: Tensor) -> Tensor:
    """The share of a sharded tensor (a DTensor) that this process holds, the same memory."""
    share: Tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return share
