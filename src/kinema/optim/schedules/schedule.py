"""What schedules share: each gives a parameter of the optimizer at a position in training, without any state.

A chain of schedules follows OpenMMLab's rules: where a schedule begins, it takes the value that the
others have reached; where it ends, the value stays. So a warm-up `LinearLR(end=5)` and a
`CosineAnnealingLR(begin=5)` follow each other, and overlapping ones multiply.
"""

import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn, TypeVar

from kinema.registry import PARAM_SCHEDULERS

AnySchedule = TypeVar("AnySchedule", bound="Schedule")


@dataclass(frozen=True)
class Position:
    """Where a run is, and how far it goes.

    Attributes:
        epoch: finished epochs.
        step: batches that are done, of the whole training.
        steps_per_epoch: batches of an epoch.
        max_epochs: epochs of the training, None where they are unknown.
        max_steps: batches of the training, None where they are unknown.
    """

    epoch: int
    step: int
    steps_per_epoch: int
    max_epochs: int | None = None
    max_steps: int | None = None

    def last(self, in_epochs: bool) -> float:
        """Length of the training in epochs or batches, infinite where it is unknown."""
        if self.max_steps is not None:
            return math.ceil(self.max_steps / self.steps_per_epoch) if in_epochs else self.max_steps
        if self.max_epochs is not None:
            return self.max_epochs if in_epochs else self.max_epochs * self.steps_per_epoch
        return math.inf


@dataclass(eq=False, kw_only=True)
class Schedule:
    """A curve between `begin` and `end`; before them the parameter is left alone, after them it stays.

    The last value is reached at `end - 1`, the last position before `end`. Without `end`, curves
    that need a length take that of the training.

    Args:
        begin, end: in epochs, or in batches with `by_epoch=False`. Fractions of an epoch need
            `convert_to_iter_based` and are rounded down to whole batches.
        by_epoch: count in epochs.
        convert_to_iter_based: `begin`, `end` and the lengths of the curve are in epochs, and the
            parameter changes at every batch.

    Raises:
        ValueError: impossible values.
    """

    param_name: ClassVar[str] = "lr"  # entry of a parameter group; "momentum" is also the first of Adam's betas
    follows_metrics: ClassVar[bool] = False

    begin: float = 0
    end: float | None = None
    by_epoch: bool = True
    convert_to_iter_based: bool = False

    def __post_init__(self) -> None:
        begin, end = self.begin, self.end
        if begin < 0 or (end is not None and end <= begin):
            self.refuse(f"need 0 <= begin < end, got {begin=}, {end=}")
        if self.convert_to_iter_based and not self.by_epoch:
            self.refuse("convert_to_iter_based=True needs by_epoch=True")
        if not self.convert_to_iter_based and (begin % 1 or (end or 0) % 1):
            self.refuse(f"fractions need convert_to_iter_based=True, got {begin=}, {end=}")

    def refuse(self, reason: str) -> NoReturn:
        """Raise a ValueError that names the schedule."""
        raise ValueError(f"{type(self).__name__}: {reason}")

    def known(self, length: float) -> float:
        """`length`, which must not be infinite."""
        if math.isinf(length):
            self.refuse("give end: the length of the training is not known")
        return length

    # ---- what a curve defines

    def share(self, t: int, length: float, unit: int) -> float:
        """Factor at tick `t`, 0 <= t < `length`; `unit` ticks are one of the user's units."""
        raise NotImplementedError

    def floor(self, base: float) -> float:
        """Value that the factor 0 stands for."""
        return 0.0

    def commutes(self, length: float, unit: int) -> bool:
        """True where the curve only multiplies, so that schedules may overlap in any order."""
        return self.floor(1.0) == 0.0

    def reach(self, start: float, base: float, t: int, length: float, unit: int) -> float:
        """Value at tick `t` of a parameter that was `start` at `begin` and is `base` in the optimizer's config."""
        floor = self.floor(base)
        return floor + (start - floor) * self.share(t, length, unit)

    def advance(self, values: Sequence[float], bases: Sequence[float], t: int, length: float, unit: int) -> list[float]:
        """Values at tick `t` of parameters that were `values` just before.

        Where the factor was 0 just before, the curve starts again from `bases`.
        """
        before, share = self.share(t - 1, length, unit) if t else 1.0, self.share(t, length, unit)
        both = [(value, base, self.floor(base)) for value, base in zip(values, bases, strict=True)]
        if not before:
            return [value + (base - floor) * share for value, base, floor in both]
        return [floor + (value - floor) * (share / before) for value, _, floor in both]

    # ---- the clock

    @property
    def in_epochs(self) -> bool:
        """True when the parameter changes at epochs only."""
        return self.by_epoch and not self.convert_to_iter_based

    def ticks(self, position: Position) -> tuple[int, float, int]:
        """Ticks since `begin`, negative before it; ticks from `begin` to `end`; ticks of one of the user's units."""
        unit = position.steps_per_epoch if self.convert_to_iter_based else 1
        now = position.epoch if self.in_epochs else position.step
        begin = int(self.begin * unit)
        end = position.last(self.in_epochs) if self.end is None else int(self.end * unit)
        return now - begin, end - begin, unit

    def count(self, position: Position) -> tuple[int, int]:
        """The last tick, as OpenMMLab's schedulers count: from `begin`, -1 before it; and from the start of the run."""
        t, length, _ = self.ticks(position)
        return int(max(-1, min(t, length - 1))), position.epoch if self.in_epochs else position.step

    def batches(self, position: Position) -> tuple[float, float]:
        """`begin` and `end` in batches of the training."""
        t, length, _ = self.ticks(position)
        scale = position.steps_per_epoch if self.in_epochs else 1
        begin = (position.epoch if self.in_epochs else position.step) - t
        return begin * scale, (begin + length) * scale

    def value(self, position: Position, start: float, base: float) -> float:
        """Value at `position` of a parameter that is `start` at `begin` and `base` in the optimizer's config."""
        t, length, unit = self.ticks(position)
        if t < 0 or length <= 0:
            return start
        return self.reach(start, base, int(min(t, length - 1)), length, unit)


def variants_of(schedule: type[AnySchedule]) -> tuple[type[AnySchedule], type[AnySchedule]]:
    """The same curve for the momentum, and for the parameter that the keyword `param_name` names; registered."""

    def init(self: Any, *values: Any, param_name: str, **keywords: Any) -> None:
        schedule.__init__(self, *values, **keywords)
        self.param_name = param_name

    signature = inspect.signature(schedule)
    named = inspect.Parameter("param_name", inspect.Parameter.KEYWORD_ONLY, annotation=str)
    signature = signature.replace(parameters=[*signature.parameters.values(), named])
    stem = schedule.__name__.removesuffix("LR")
    of_momentum = type(f"{stem}Momentum", (schedule,), {"param_name": "momentum"})
    of_any = type(f"{stem}ParamScheduler", (schedule,), {"__init__": init, "__signature__": signature})
    for variant, parameter in ((of_momentum, "the momentum"), (of_any, "the parameter `param_name`")):
        variant.__module__, variant.__doc__ = schedule.__module__, f"`{schedule.__name__}` for {parameter}."
        PARAM_SCHEDULERS.register_module(module=variant)
    return of_momentum, of_any
