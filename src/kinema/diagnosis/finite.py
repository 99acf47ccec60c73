"""Losses and gradients that are not finite, noticed before they change weights.

On a CPU each update is looked at. On other devices that would make the host wait: flags stay on the
device, which makes the updates harmless by itself, and `look` reads them now and then.

Several processes decide alike without an exchange: a loss that is not finite is multiplied by NaN,
so that averaging gives every process gradients that are not finite. Only shards of gradients
(FSDP2), where one process may hold the only bad element, need one number exchanged.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from kinema.distributed import get_world_size

NONE = -1


@dataclass(frozen=True)
class Finding:
    """An update with numbers that are not finite.

    Attributes:
        update: its number since the last `look`; 0 where each update is looked at.
        batch: of its batches the first whose loss, in this process, is not finite; -1: none is.
        count: such updates since the last `look`.
        loss: that loss, where it is known.
        places: of its batches, see `FiniteGuard.place`.
    """

    update: int = 0
    batch: int = NONE
    count: int = 1
    loss: float | None = None
    places: Sequence[Any] = field(default=(), compare=False)


class FiniteGuard:
    """Looks at losses and gradients for an `OptimWrapper`.

    Args:
        optimizer: updates the weights.
        device: of the weights.
        on_bad: called, where each update is looked at, with one that is not finite; may raise, and
            returns whether to update nevertheless.
        leaves_out: bad updates are left out and training continues; otherwise none after the first
            counts, since the run will stop.
        has_scaler: a `GradScaler` leaves out updates whose gradients are not finite, which is
            normal: only losses count.
        is_deferred: keep flags on the device until `look`; default: on all devices but the CPU.

    Attributes:
        place: of the present batch, in whatever form; findings have those of an update's batches. A
            batch may have several losses; None: each loss is of a batch of its own.
    """

    place: Any = None

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        device: torch.device,
        on_bad: Callable[[Finding], bool],
        *,
        leaves_out: bool = False,
        has_scaler: bool = False,
        is_deferred: bool | None = None,
    ) -> None:
        self.optimizer, self.on_bad = optimizer, on_bad
        self.leaves_out, self.has_scaler = leaves_out, has_scaler
        self.is_deferred = device.type != "cpu" if is_deferred is None else is_deferred
        self._one, self._nan = torch.ones((), device=device), torch.full((), math.nan, device=device)
        self._bad = torch.zeros((), device=device)  # 1: this update is not finite
        # In this window: the first batch with a bad loss. Since the last look: the first bad
        # update, its batch, and how many there were.
        self._batch, self._first, self._first_batch = (torch.full((), NONE, device=device) for _ in range(3))
        self._count = torch.zeros((), dtype=torch.int64, device=device)
        self.bad_batch, self._loss = NONE, 0.0  # where each update is looked at
        self._places: list[Any] = []  # of this update
        self._updates: list[list[Any]] = []  # since the last look, their places
        self._supports_found_inf = bool(getattr(optimizer, "_step_supports_amp_scaling", False))
        self._buffers: list[tuple[Tensor, Tensor]] = []

    def protect(self, buffers: Sequence[Tensor]) -> None:
        """Before the first batch of an update that may be left out: keep what its forward passes change."""
        self._buffers = [(buffer, buffer.detach().clone()) for buffer in buffers]

    # ---- what the wrapper calls

    def check_loss(self, loss: Tensor) -> Tensor:
        """Look at the loss of a batch, and return the one to compute gradients of."""
        if self.place is None or not self._places or self._places[-1] is not self.place:
            self._places.append(self.place)
        number = len(self._places) - 1
        if self.is_deferred:
            is_bad = ~torch.isfinite(loss.detach())
            self._batch = torch.where(is_bad & (self._batch == NONE), number, self._batch)
            return loss * torch.where(is_bad, self._nan, self._one)
        value = loss.item()
        if math.isfinite(value):
            return loss
        if self.bad_batch == NONE:
            self.bad_batch, self._loss = number, value
        return loss * self._nan

    @torch.no_grad()
    def check_gradients(self, parameters: Sequence[nn.Parameter]) -> bool:
        """Look at the gradients of an update, and return whether to make it."""
        gradients = [_local(parameter.grad) for parameter in parameters if parameter.grad is not None]
        is_sharded = any(hasattr(parameter, "full_tensor") for parameter in parameters)
        flag_if_bad(gradients, self._bad.zero_(), self._one)
        if is_sharded and get_world_size() > 1 and (self.leaves_out or not self.is_deferred):
            dist.all_reduce(self._bad, dist.ReduceOp.MAX)
        if self.is_deferred:
            self._defer(gradients, is_sharded)
            return True
        loss = self._loss if self.bad_batch != NONE else None
        finding = Finding(batch=self.bad_batch, loss=loss, places=self._places)
        self.bad_batch, self._places = NONE, []
        return self._bad.item() == 0 or self.on_bad(finding)

    def _defer(self, gradients: Sequence[Tensor], is_sharded: bool) -> None:
        """Write down on the device what this update is like, and make a bad one harmless there."""
        has_bad_loss = self._batch != NONE
        is_bad = has_bad_loss if self.has_scaler else self._bad > 0
        is_first = is_bad & (self._first == NONE)
        self._first = torch.where(is_first, len(self._updates), self._first)
        self._first_batch = torch.where(is_first, self._batch, self._first_batch)
        self._count += is_bad
        self._batch.fill_(NONE)
        self._updates.append(self._places)
        self._places = []
        if not self.leaves_out:
            is_bad = self._first != NONE
        for buffer, kept in self._buffers:
            buffer.copy_(torch.where(is_bad, kept, buffer))
        if self.has_scaler:
            return
        optimizer: Any = self.optimizer
        # A momentum of torch's that its first update does not write is no number at all.
        if self._supports_found_inf and not is_sharded and optimizer.state:
            optimizer.found_inf, optimizer.grad_scale = is_bad.to(torch.float32), None
        else:
            for gradient in gradients:
                gradient.masked_fill_(is_bad, 0.0)

    def restore_buffers(self) -> None:
        """Put back what `protect` kept."""
        for buffer, kept in self._buffers:
            buffer.copy_(kept)

    def look(self) -> Finding | None:
        """The first bad update since the last look, of any process; the host waits for the device.

        All processes call it.
        """
        far = torch.full_like(self._first, 2**40)
        figures = torch.stack([-torch.where(self._first == NONE, far, self._first), self._count])
        if get_world_size() > 1:
            dist.all_reduce(figures, dist.ReduceOp.MAX)
        first, count = figures.tolist()
        batch = int(self._first_batch) if count else NONE
        own = int(self._first) if count else NONE
        updates, self._updates = self._updates, []
        for figure in (self._first, self._first_batch):
            figure.fill_(NONE)
        self._count.zero_()
        if not count:
            return None
        return Finding(-first, batch if own == -first else NONE, count, places=updates[-first])


def flag_if_bad(tensors: Sequence[Tensor], flag: Tensor, unit: Tensor) -> None:
    """Set `flag` to 1 if an element of any tensor is not finite, without making the host wait.

    Args:
        tensors: on the device of the flag.
        flag: scalar, float32.
        unit: scalar 1, float32.
    """
    if not tensors:
        return
    if flag.device.type in ("cpu", "cuda"):
        # What a GradScaler looks with: exact, and the quickest by far. It multiplies by `unit`.
        torch._amp_foreach_non_finite_check_and_unscale_(list(tensors), flag, unit)
    else:
        norm = nn.utils.get_total_norm(tensors)
        flag.copy_(torch.where(torch.isfinite(norm), flag, unit))


def _local(gradient: Tensor) -> Tensor:
    """The share of this process, dense."""
    if hasattr(gradient, "to_local"):
        gradient = gradient.to_local()
    return gradient.coalesce().values() if gradient.is_sparse else gradient
