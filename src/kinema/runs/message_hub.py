"""`MessageHub`: where the parts of a run leave figures and facts for each other, with MMEngine's interface."""

import copy
import logging
from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from kinema.instances import ManagerMixin
from kinema.runs.history_buffer import HistoryBuffer

logger = logging.getLogger("kinema")

WINDOW = 1_000  # values of a figure that are kept


class MessageHub(ManagerMixin):
    """Figures (`log_scalars`) and facts (`runtime_info`) by name.

    A figure whose name begins with `train/` and that a hook of the user's puts here is averaged and
    logged with those of the training steps, and is in `metrics.jsonl`.

    Args:
        name: of the hub.
        log_scalars: figures to begin with.
        runtime_info: facts to begin with.
        resumed_keys: by name, whether a checkpoint holds it; default: it does.

    Raises:
        TypeError: an argument is no dict, or a figure no `HistoryBuffer`.
        ValueError: `resumed_keys` names what is neither a figure nor a fact.
    """

    def __init__(
        self,
        name: str,
        log_scalars: Mapping[str, HistoryBuffer] | None = None,
        runtime_info: Mapping[str, Any] | None = None,
        resumed_keys: Mapping[str, bool] | None = None,
    ) -> None:
        super().__init__(name)
        for argument in (log_scalars, runtime_info, resumed_keys):
            if argument is not None and not isinstance(argument, Mapping):
                raise TypeError(f"figures, facts and resumed_keys must be dicts, got {type(argument).__name__}")
        self._log_scalars: dict[str, HistoryBuffer] = dict(log_scalars or {})
        self._runtime_info: dict[str, Any] = dict(runtime_info or {})
        self._resumed_keys: dict[str, bool] = dict(resumed_keys or {})
        for key, buffer in self._log_scalars.items():
            if not isinstance(buffer, HistoryBuffer):
                raise TypeError(f"the figure {key!r} must be a HistoryBuffer, got {type(buffer).__name__}")
        strangers = self._resumed_keys.keys() - self._log_scalars.keys() - self._runtime_info.keys()
        if strangers:
            raise ValueError(f"resumed_keys names {', '.join(sorted(strangers))}, which is neither a figure nor a fact")
        self._fresh: list[tuple[str, float | Tensor]] = []

    @classmethod
    def begin(cls, name: str) -> Self:
        """A new hub, the current one from here on."""
        cls._instance_dict.pop(name, None)
        return cls.get_instance(name)

    @classmethod
    def get_current_instance(cls) -> Self:
        """The hub of the present run; one called "mmengine" where there is none."""
        return super().get_current_instance() if cls._instance_dict else cls.get_instance("mmengine")

    @property
    def log_scalars(self) -> dict[str, HistoryBuffer]:
        """Figures by name."""
        return self._log_scalars

    @property
    def runtime_info(self) -> dict[str, Any]:
        """Facts by name."""
        return self._runtime_info

    # ---- figures

    def update_scalar(self, key: str, value: Any, count: int = 1, resumed: bool = True) -> None:
        """Add a value to a figure, and log it where its name begins with `train/`.

        Args:
            key: its name.
            value: a number, or a tensor or array of one element.
            count: how many it is the sum of.
            resumed: whether checkpoints hold it.

        Raises:
            ValueError: there is more than one element, or it is text.
        """
        value = _single(key, value)
        self.note(key, value, count, resumed)
        if key.startswith("train/"):
            self._fresh.append((key.removeprefix("train/"), value / count if count != 1 else value))

    def note(self, key: str, value: Any, count: int = 1, resumed: bool = True) -> None:
        """Add a value to a figure that is logged in any case."""
        buffer = self._log_scalars.get(key)
        if buffer is None:
            buffer = self._log_scalars[key] = HistoryBuffer(max_length=WINDOW)
            self._resumed_keys[key] = resumed
        self._check_resumed(key, resumed)
        buffer.update(value, count)

    def _check_resumed(self, key: str, resumed: bool) -> None:
        if self._resumed_keys.setdefault(key, resumed) != resumed:
            raise ValueError(f"{key!r} was put into the message hub with resumed={not resumed}, which cannot change")

    def update_scalars(self, log_dict: Mapping[str, Any], resumed: bool = True) -> None:
        """Add values by name; each is one, or a dict of `value` and `count`.

        Raises:
            ValueError: such a dict has no `value`.
        """
        for key, entry in log_dict.items():
            if isinstance(entry, Mapping) and "value" not in entry:
                raise ValueError(f"the figure {key!r} must be a number or dict(value=..., count=...), got {entry!r}")
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
        """Set a fact.

        Raises:
            ValueError: it was set with another `resumed` before.
        """
        if key in self._runtime_info:
            self._check_resumed(key, resumed)
        self._resumed_keys[key] = resumed
        self._runtime_info[key] = value

    def update_info_dict(self, info_dict: Mapping[str, Any], resumed: bool = True) -> None:
        """Set facts by name."""
        for key, value in info_dict.items():
            self.update_info(key, value, resumed)

    def get_info(self, key: str, default: Any = None) -> Any:
        """A fact, `default` where there is none."""
        return self._runtime_info.get(key, default)

    def pop_info(self, key: str, default: Any = None) -> Any:
        """A fact, which is removed."""
        return self.runtime_info.pop(key, default)

    # ---- state

    def state_dict(self) -> dict[str, Any]:
        """Copies of figures and facts, but for those that ask not to be kept, as MMEngine names them.

        What cannot be copied is there itself.
        """
        figures = {key: copy.deepcopy(buffer) for key, buffer in self._log_scalars.items() if self._is_kept(key)}
        facts = {key: _copied(value) for key, value in self._runtime_info.items() if self._is_kept(key)}
        return {"log_scalars": figures, "runtime_info": facts, "resumed_keys": dict(self._resumed_keys)}

    def _is_kept(self, key: str) -> bool:
        return self._resumed_keys.get(key, True)

    def load_state_dict(self, state_dict: "Mapping[str, Any] | MessageHub") -> None:
        """Take over figures and facts of `state_dict()`, or of another hub.

        Raises:
            TypeError: it is neither a dict nor a hub.
            ValueError: it lacks one of the three entries.
        """
        if isinstance(state_dict, MessageHub):
            state: Mapping[str, Any] = {
                "log_scalars": state_dict.log_scalars,
                "runtime_info": state_dict.runtime_info,
                "resumed_keys": state_dict._resumed_keys,
            }
        elif isinstance(state_dict, Mapping):
            state = state_dict
        else:
            raise TypeError(f"the state of a message hub must be a dict or a hub, got {type(state_dict).__name__}")
        absent = [name for name in ("log_scalars", "runtime_info", "resumed_keys") if name not in state]
        if absent:
            raise ValueError(f"the state of a message hub needs {', '.join(absent)}, it has {', '.join(state)}")
        for key, buffer in state["log_scalars"].items():
            if isinstance(buffer, HistoryBuffer):
                self._log_scalars[key] = copy.deepcopy(buffer)
            else:
                logger.warning("%s is no HistoryBuffer in the message hub's state: it is left out", key)
        self._runtime_info.update({key: _copied(value) for key, value in state["runtime_info"].items()})
        known = {*self._log_scalars, *self._runtime_info}
        self._resumed_keys.update({key: kept for key, kept in state["resumed_keys"].items() if key in known})


class CheckpointedHub:
    """The state of a hub as checkpoints hold it: numbers and plain values alone.

    Args:
        hub: the hub.
    """

    def __init__(self, hub: MessageHub) -> None:
        self._hub = hub

    def state_dict(self) -> dict[str, Any]:
        """Figures, and facts that are plain values, but for those that ask not to be in checkpoints."""
        hub = self._hub
        figures = {key: buffer.data for key, buffer in hub.log_scalars.items() if hub._is_kept(key)}
        return {
            "figures": {key: [torch.from_numpy(part) for part in pair] for key, pair in figures.items()},
            "facts": {key: value for key, value in hub.runtime_info.items() if hub._is_kept(key) and is_plain(value)},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the state of `state_dict()` back."""
        for key, (values, counts) in state["figures"].items():
            self._hub.log_scalars[key] = HistoryBuffer(values.tolist(), counts.tolist(), WINDOW)
        self._hub.runtime_info.update(state["facts"])


def _single(key: str, value: Any) -> Any:
    """The one number in a value; tensors stay where they are."""
    if isinstance(value, Tensor | np.ndarray | np.generic):
        size = value.numel() if isinstance(value, Tensor) else value.size
        if size != 1:
            raise ValueError(f"the figure {key!r} must be a single number, got {size} elements")
        return value.detach().reshape(()) if isinstance(value, Tensor) else value.item()
    if isinstance(value, str | bytes):
        raise ValueError(f"the figure {key!r} must be a single number, got the text {value!r}")
    return value if isinstance(value, int | float) else float(value)


def _copied(value: Any) -> Any:
    try:
        return copy.deepcopy(value)
    except Exception as error:  # any class may forbid its copies in its own way
        logger.warning("a fact of the message hub of type %s cannot be copied: %s", type(value).__name__, error)
        return value


def is_plain(value: Any) -> bool:
    """Is it nested lists and dicts of plain values, which a checkpoint may hold?"""
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and is_plain(entry) for key, entry in value.items())
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    return value is None or isinstance(value, str | int | float | bool)
