"""`HistoryBuffer`: the last values of a figure, with MMEngine's interface."""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

Statistic = Callable[..., Any]


class HistoryBuffer:
    """The last values of a figure. Tensors stay on their device until they are read.

    Args:
        log_history: values, or their sums where a value stands for several.
        count_history: how many each of them stands for.
        max_length: of them to keep.

    Raises:
        ValueError: the two are not of one length.
    """

    _statistics_methods: ClassVar[dict[str, Statistic]] = {}

    def __init__(
        self, log_history: Iterable[Any] = (), count_history: Iterable[Any] = (), max_length: int = 1_000_000
    ) -> None:
        values, counts = _numbers(log_history), _numbers(count_history)
        if len(values) != len(counts):
            raise ValueError(f"need as many counts as values, got {len(values)} values and {len(counts)} counts")
        self._values: deque[Any] = deque(values, max_length)
        self._counts: deque[Any] = deque(counts, max_length)

    @property
    def max_length(self) -> int:
        """How many values are kept."""
        length = self._values.maxlen
        assert length is not None
        return length

    @property
    def _log_history(self) -> np.ndarray:
        return self.data[0]

    @property
    def _count_history(self) -> np.ndarray:
        return self.data[1]

    def update(self, log_val: float | Tensor, count: float = 1) -> None:
        """Append a value.

        Raises:
            TypeError: `log_val` or `count` is no single number.
        """
        if isinstance(log_val, Tensor) and log_val.numel() == 1:
            log_val = log_val.detach().clone()  # a parameter or buffer is another number at the next step
        elif not isinstance(log_val, int | float | np.number):
            raise TypeError(f"log_val must be a single number, got {type(log_val).__name__}: {log_val!r}")
        if not isinstance(count, int | float | np.number):
            raise TypeError(f"count must be a number, got {type(count).__name__}: {count!r}")
        self._values.append(log_val)
        self._counts.append(count)

    @property
    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Values and counts."""
        tensors = [place for place, value in enumerate(self._values) if isinstance(value, Tensor)]
        if tensors:  # all in one copy from their device
            stacked = torch.stack([self._values[place].reshape(()).double() for place in tensors]).tolist()
            for place, number in zip(tensors, stacked, strict=True):
                self._values[place] = number
        return np.array(self._values), np.array(self._counts)

    def _last(self, window_size: int | None) -> tuple[np.ndarray, np.ndarray]:
        if window_size is not None and not isinstance(window_size, int):
            raise TypeError(f"window_size must be a whole number, got {type(window_size).__name__}: {window_size!r}")
        values, counts = self.data
        if not len(values):
            raise ValueError("the figure has no value yet")
        return (values, counts) if window_size is None else (values[-window_size:], counts[-window_size:])

    def mean(self, window_size: int | None = None) -> float:
        """Of the last `window_size` values, or of all that are kept."""
        values, counts = self._last(window_size)
        return float(values.sum() / counts.sum())

    def min(self, window_size: int | None = None) -> float:
        """The least of them."""
        return float(self._last(window_size)[0].min())

    def max(self, window_size: int | None = None) -> float:
        """The greatest of them."""
        return float(self._last(window_size)[0].max())

    def current(self) -> float:
        """The newest."""
        return float(self._last(1)[0][0])

    @classmethod
    def register_statistics(cls, method: Statistic) -> Statistic:
        """Decorator: `statistics` knows the function `method(buffer, ...)` by its name from then on."""
        cls._statistics_methods[method.__name__] = method
        return method

    def statistics(self, method_name: str, *args: Any, **kwargs: Any) -> Any:
        """The statistic of that name: "mean", "min", "max", "current" or a registered one.

        Args:
            method_name: of the statistic.
            args: of the statistic.
            kwargs: of the statistic.

        Raises:
            KeyError: there is no such statistic.
        """
        if method_name not in self._statistics_methods:
            known = ", ".join(self._statistics_methods)
            raise KeyError(f"{method_name} is no statistic of HistoryBuffer: it has {known}")
        return self._statistics_methods[method_name](self, *args, **kwargs)


for _method in (HistoryBuffer.mean, HistoryBuffer.min, HistoryBuffer.max, HistoryBuffer.current):
    HistoryBuffer.register_statistics(_method)


def _numbers(values: Iterable[Any]) -> list[Any]:
    return values.tolist() if isinstance(values, Tensor | np.ndarray) else list(values)
