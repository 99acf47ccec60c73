"""`MessageHub`: where the parts of a run leave figures and facts for each other, with MMEngine's interface."""

import copy
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

WINDOW = 1_000  # values of a figure that are kept


class HistoryBuffer:
    """The last values of a figure. Tensors stay on their device until somebody reads.

    Args:
        log_history: values, or their sums where a value stands for several.
        count_history: how many each of them stands for.
        max_length: of them to keep.

    Raises:
        ValueError: the two are not of one length.
    """

    def __init__(
        self, log_history: Iterable[Any] = (), count_history: Iterable[int] = (), max_length: int = WINDOW
    ) -> None:
        values, counts = list(log_history), list(count_history)
        if len(values) != len(counts):
            raise ValueError(f"need as many counts as values, got {len(values)} values and {len(counts)} counts")
        self._values: deque[Any] = deque(values, max_length)
        self._counts: deque[int] = deque(counts, max_length)

    def update(self, log_val: float | Tensor, count: int = 1) -> None:
        """Append a value."""
        self._values.append(log_val.detach() if isinstance(log_val, Tensor) and log_val.requires_grad else log_val)
        self._counts.append(count)

    @property
    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Values and counts."""
        tensors = [place for place, value in enumerate(self._values) if isinstance(value, Tensor)]
        if tensors:  # all in one copy from their device
            stacked = torch.stack([self._values[place].reshape(()).double() for place in tensors]).tolist()
            for place, number in zip(tensors, stacked, strict=True):
                self._values[place] = number
        return np.array(self._values, dtype=float), np.array(self._counts)

    def _last(self, window_size: int | None) -> tuple[np.ndarray, np.ndarray]:
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


class MessageHub:
    """Figures (`log_scalars`) and facts (`runtime_info`) by name.

    A figure whose name begins with `train/` and that a hook of the user's puts here is averaged and
    logged with those of the training steps, and is in `metrics.jsonl`.

    Args:
        name: of the hub.
        log_scalars: figures to begin with.
        runtime_info: facts to begin with.
        resumed_keys: by name, whether a checkpoint holds it; default: it does.
    """

    _instances: ClassVar[dict[str, "MessageHub"]] = {}  # the last one is the current

    def __init__(
        self,
        name: str,
        log_scalars: Mapping[str, HistoryBuffer] | None = None,
        runtime_info: Mapping[str, Any] | None = None,
        resumed_keys: Mapping[str, bool] | None = None,
    ) -> None:
        self.instance_name = name
        self.log_scalars: dict[str, HistoryBuffer] = dict(log_scalars or {})
        self.runtime_info: dict[str, Any] = dict(runtime_info or {})
        self._resumed: dict[str, bool] = dict(resumed_keys or {})
        self._fresh: list[tuple[str, float | Tensor]] = []

    # ---- instances

    @classmethod
    def begin(cls, name: str) -> Self:
        """A new hub, the current one from here on."""
        hub = cls(name)
        cls._instances.pop(name, None)
        cls._instances[name] = hub
        return hub

    @classmethod
    def get_instance(cls, name: str, **settings: Any) -> "MessageHub":
        """The hub called `name`, made at the first call, and the current one from here on."""
        hub = cls._instances.pop(name, None) or cls(name, **settings)
        cls._instances[name] = hub
        return hub

    @classmethod
    def get_current_instance(cls) -> "MessageHub":
        """The hub of the present run; one called "mmengine" where there is none."""
        return cls.get_instance(next(reversed(cls._instances), "mmengine"))

    @classmethod
    def check_instance_created(cls, name: str) -> bool:
        """Is there a hub of that name?"""
        return name in cls._instances

    # ---- figures

    def update_scalar(self, key: str, value: Any, count: int = 1, resumed: bool = True) -> None:
        """Add a value to a figure, and log it where its name begins with `train/`.

        Args:
            key: its name.
            value: a number, or a tensor or array of one element.
            count: how many it is the sum of.
            resumed: whether checkpoints hold it.

        Raises:
            ValueError: there is more than one element.
        """
        value = _single(key, value)
        self.note(key, value, count, resumed)
        if key.startswith("train/"):
            self._fresh.append((key.removeprefix("train/"), value / count if count != 1 else value))

    def note(self, key: str, value: Any, count: int = 1, resumed: bool = True) -> None:
        """Add a value to a figure that is logged in any case."""
        self._resumed[key] = resumed
        buffer = self.log_scalars.get(key)
        if buffer is None:
            buffer = self.log_scalars[key] = HistoryBuffer()
        buffer.update(value, count)

    def update_scalars(self, log_dict: Mapping[str, Any], resumed: bool = True) -> None:
        """Add values by name; each is one, or a dict of `value` and `count`."""
        for key, entry in log_dict.items():
            value, count = (entry["value"], entry.get("count", 1)) if isinstance(entry, Mapping) else (entry, 1)
            self.update_scalar(key, value, count, resumed)

    def get_scalar(self, key: str) -> HistoryBuffer:
        """A figure.

        Raises:
            KeyError: there is none of that name.
        """
        if key not in self.log_scalars:
            raise KeyError(f"{key} is no figure of the message hub: it has {', '.join(self.log_scalars) or 'none'}")
        return self.log_scalars[key]

    def take_fresh(self) -> Iterator[dict[str, Any]]:
        """What was added to figures of the training since the last call, name and value, in order."""
        fresh, self._fresh = self._fresh, []
        return ({name: value} for name, value in fresh)

    # ---- facts

    def update_info(self, key: str, value: Any, resumed: bool = True) -> None:
        """Set a fact."""
        self._resumed[key] = resumed
        self.runtime_info[key] = value

    def update_info_dict(self, info_dict: Mapping[str, Any], resumed: bool = True) -> None:
        """Set facts by name."""
        for key, value in info_dict.items():
            self.update_info(key, value, resumed)

    def get_info(self, key: str, default: Any = None) -> Any:
        """A copy of a fact, `default` where there is none."""
        return copy.deepcopy(self.runtime_info[key]) if key in self.runtime_info else default

    def pop_info(self, key: str, default: Any = None) -> Any:
        """A fact, which is removed."""
        return self.runtime_info.pop(key, default)

    # ---- state

    def state_dict(self) -> dict[str, Any]:
        """Figures, and facts that are plain values, but for those that ask not to be in checkpoints."""
        figures = {key: buffer.data for key, buffer in self.log_scalars.items() if self._resumed.get(key, True)}
        return {
            "figures": {key: [torch.from_numpy(part) for part in pair] for key, pair in figures.items()},
            "facts": {
                key: value
                for key, value in self.runtime_info.items()
                if self._resumed.get(key, True) and _is_plain(value)
            },
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the state of `state_dict()` back."""
        for key, (values, counts) in state["figures"].items():
            self.log_scalars[key] = HistoryBuffer(values.tolist(), counts.tolist())
        self.runtime_info.update(state["facts"])


def _single(key: str, value: Any) -> Any:
    """The one number in a value; tensors stay where they are."""
    if isinstance(value, Tensor | np.ndarray | np.generic):
        size = value.numel() if isinstance(value, Tensor) else value.size
        if size != 1:
            raise ValueError(f"the figure {key!r} must be a single number, got {size} elements")
        return value.detach().reshape(()) if isinstance(value, Tensor) else value.item()
    return float(value)


def _is_plain(value: Any) -> bool:
    """Is it nested lists and dicts of plain values, which a checkpoint may hold?"""
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_plain(entry) for key, entry in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | int | float | bool)
