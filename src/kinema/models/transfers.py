"""Small copies between the host and a GPU that nobody waits for.

While a model trains, the host runs ahead of a GPU. Each look at a value that is there would make it
wait until everything before is computed.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from kinema.errors import ConfigError


def onto(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on `device`, where to a GPU without waiting for the copy.

    From a GPU to the host it waits: the values would not be there yet.
    """
    return tensor.to(device, non_blocking=device.type == "cuda")


class LabelRange:
    """Checks that class numbers are in range; those on a GPU some steps later, when their extremes have arrived.

    There one out of range would end the process without a word about labels. Until the error it
    counts as the nearest one in range. A copy of this object waits for nothing.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[Tensor, Any, int, Callable[[int], str]]] = deque()

    def check(self, labels: Tensor, num_classes: int, describe: Callable[[int], str]) -> Tensor:
        """The labels, none below 0 or above `num_classes` - 1.

        Args:
            labels: one or more whole numbers.
            num_classes: how many there are.
            describe: from a wrong class number to what the error says.

        Raises:
            ConfigError: one of these, or of an earlier call, is out of range.
        """
        extremes, arrival = torch.stack(labels.detach().aminmax()), None
        if extremes.is_cuda:
            extremes = extremes.to("cpu", non_blocking=True)
            arrival = torch.cuda.Event()
            arrival.record(torch.cuda.current_stream(labels.device))
        self._waiting.append((extremes, arrival, num_classes, describe))
        self.finish(wait=False)
        return labels.clamp(0, num_classes - 1)

    def finish(self, *, wait: bool = True) -> None:
        """Look at what has arrived, or (`wait`) at all.

        Raises:
            ConfigError: a class number is out of range.
        """
        while self._waiting:
            extremes, arrival, num_classes, describe = self._waiting[0]
            if arrival is not None and wait:
                arrival.synchronize()
            elif arrival is not None and not arrival.query():
                return
            self._waiting.popleft()
            low, high = (int(value) for value in extremes.numpy())  # on the host
            if low < 0 or high >= num_classes:
                self._waiting.clear()
                raise ConfigError(describe(low if low < 0 else high))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()
