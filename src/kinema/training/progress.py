"""Where a run is, how far it goes, and what is due on the way: the only counters, and pure functions of them."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from kinema.errors import ConfigError

_IN_BEST = {"metric": str, "value": int | float, "epoch": int, "step": int, "checkpoint": str, "smoothed": int | float}
_OF_BEST = {"metric", "value", "epoch", "step", "checkpoint"}

Mark = Mapping[str, int]  # `epoch`, `step` and `iteration` of a moment


@dataclass
class Progress:
    """The counters of a training; they are in every checkpoint.

    Attributes:
        epoch: passes over the data that are finished.
        batch: batches of the present pass that are done.
        iteration: batches of the whole training that are done.
        step: updates of the weights; several batches may make one.
        samples: samples of the whole training that are done, of all processes.
        epoch_samples: the same of the present pass.
        seconds: since the training began, validations included.
        best: the best validation: `metric`, `value`, `epoch`, `step`, `checkpoint`; empty: none.
    """

    epoch: int = 0
    batch: int = 0
    iteration: int = 0
    step: int = 0
    samples: int = 0
    epoch_samples: int = 0
    seconds: float = 0.0
    best: dict[str, Any] = field(default_factory=dict)

    def count(self, num_samples: int, *, updated: bool) -> None:
        """A batch is done: `num_samples` of all processes; `updated`: were the weights updated?"""
        self.batch += 1
        self.iteration += 1
        self.step += updated
        self.samples += num_samples
        self.epoch_samples += num_samples

    def finish_epoch(self) -> None:
        """A pass is done."""
        self.epoch += 1
        self.batch = self.epoch_samples = 0

    @property
    def present_epoch(self) -> int:
        """Number of the epoch that is under way, or that ended last; counted from 1."""
        return self.epoch + (self.batch > 0)

    def mark(self) -> Mark:
        """This place, to see later what has come due since."""
        return {"epoch": self.epoch, "step": self.step, "iteration": self.iteration}

    def state_dict(self) -> dict[str, Any]:
        """All counters by name."""
        return asdict(self)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the counters of `state_dict()` back.

        Raises:
            ValueError: one of them cannot be.
        """
        for entry in fields(self):
            value, kind = state[entry.name], type(getattr(self, entry.name))
            fits = isinstance(value, int | float if kind is float else kind) and not isinstance(value, bool)
            if not fits or (kind is not dict and value < 0):
                raise ValueError(f"{entry.name} of the progress is {value!r}")
        if state["best"] and (missing := _OF_BEST - state["best"].keys()):
            raise ValueError(f"the best validation lacks {', '.join(sorted(missing))}")
        for name, value in state["best"].items():
            if not isinstance(value, _IN_BEST.get(name, object)):
                raise ValueError(f"{name} of the best validation is {value!r}")
        for entry in fields(self):
            setattr(self, entry.name, state[entry.name])


@dataclass(frozen=True)
class Until:
    """How far to train: so many epochs, steps (updates of the weights) or iterations (batches).

    Raises:
        ValueError: not exactly one of them is given, or it is below 1.
    """

    epochs: int | None = None
    steps: int | None = None
    iterations: int | None = None

    def __post_init__(self) -> None:
        given = {name: value for name, value in vars(self).items() if value is not None}
        if len(given) != 1:
            raise ValueError(f"give one of epochs, steps and iterations, got {given or 'none'}")
        ((name, value),) = given.items()
        if value < 1:
            raise ValueError(f"max_{name} must be at least 1, got max_{name}={value}")
        if value % 1:
            raise ValueError(f"max_{name} must be a whole number, got max_{name}={value}")

    def reached(self, progress: Progress) -> bool:
        """Is the training at its end?"""
        if self.epochs is not None:
            return progress.epoch >= self.epochs
        if self.steps is not None:
            return progress.step >= self.steps
        return progress.iteration >= (self.iterations or 0)

    def iterations_left(self, progress: Progress, batches_per_epoch: int | None, accumulate: int = 1) -> int | None:
        """Batches that are still to come; None in a pass without end.

        Args:
            progress: where the run is.
            batches_per_epoch: of a whole pass; None: a pass has no end.
            accumulate: batches that make an update; the last of a pass may be fewer.
        """
        if self.iterations is not None:
            return max(self.iterations - progress.iteration, 0)
        if self.epochs is not None:
            if batches_per_epoch is None:
                return None
            return max((self.epochs - progress.epoch) * batches_per_epoch - progress.batch, 0)
        steps = max((self.steps or 0) - progress.step, 0)
        if batches_per_epoch is None:
            return steps * accumulate
        updates = -(-batches_per_epoch // accumulate)
        epochs, rest = divmod(steps + progress.batch // accumulate, updates)
        return epochs * batches_per_epoch + min(rest * accumulate, batches_per_epoch) - progress.batch


@dataclass(frozen=True)
class Every:
    """What is due every so many epochs, steps or iterations, from `begin` on; never where all are None.

    With a `start` they are counted from there, where the first is due.

    Raises:
        ValueError: several are given, or one is below 1.
    """

    epochs: int | None = None
    steps: int | None = None
    iterations: int | None = None
    begin: int = 0
    start: int = 0

    def __post_init__(self) -> None:
        given = {
            name: value for name, value in vars(self).items() if value is not None and name not in ("begin", "start")
        }
        if len(given) > 1:
            raise ValueError(f"give one of epochs, steps and iterations, got {given}")
        if min(given.values(), default=1) < 1:
            raise ValueError(f"an interval must be at least 1, got {given}")

    @classmethod
    def parse(cls, text: str, where: str = "interval") -> Self:
        """Such as "500steps", "1epochs" or "100iterations", given as `where`.

        Raises:
            ConfigError: it is none of these.
        """
        match = re.fullmatch(r"\s*([1-9]\d*)\s*(epoch|step|iteration|iter)s?\s*", text)
        if match is None:
            raise ConfigError(f"{where}: expected an interval such as 500steps or 1epochs, got {text!r}")
        unit = "iteration" if match[2] == "iter" else match[2]
        return cls(**{f"{unit}s": int(match[1])})

    def due(self, now: Progress, then: Mark) -> bool:
        """Has it come due since `then`, the mark of the last time that this was asked?"""
        return any(
            interval is not None
            and count >= max(self.begin, self.start)
            and (count - self.start) // interval > (max(then[unit], self.begin - 1) - self.start) // interval
            for unit, interval, count in (
                ("epoch", self.epochs, now.epoch),
                ("step", self.steps, now.step),
                ("iteration", self.iterations, now.iteration),
            )
        )
