"""The curves. Each has a class for the learning rate, another for the momentum, and a third with `param_name`."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from kinema.optim.schedules.schedule import Schedule, variants_of
from kinema.registry import PARAM_SCHEDULERS


def _cosine(start: float, end: float, progress: float) -> float:
    """From `start` to `end` along half a cosine, as `progress` goes from 0 to 1."""
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2


@PARAM_SCHEDULERS.register_module()
@dataclass(eq=False)
class ConstantLR(Schedule):
    """`factor`, and 1 from `end - 1` on; without `end` it never returns to 1."""

    factor: float = 1 / 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.factor <= 1:
            self.refuse(f"factor must be between 0 and 1, got {self.factor}")

    def share(self, t: int, length: float, unit: int) -> float:
        return 1.0 if self.end is not None and 0 < t == length - 1 else self.factor


@PARAM_SCHEDULERS.register_module()
@dataclass(eq=False)
class LinearLR(Schedule):
    """From `start_factor` to `end_factor` in a straight line: a warm-up."""

    start_factor: float = 1 / 3
    end_factor: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (0 <= self.start_factor <= 1 and 0 <= self.end_factor <= 1):
            self.refuse(f"factors must be between 0 and 1, got {self.start_factor} and {self.end_factor}")

    def share(self, t: int, length: float, unit: int) -> float:
        progress = t / (self.known(length) - 1) if t else 0.0
        return self.start_factor + (self.end_factor - self.start_factor) * progress


@PARAM_SCHEDULERS.register_module()
@dataclass(eq=False)
class MultiStepLR(Schedule):
    """Times `gamma` at each of `milestones`, counted from `begin`."""

    milestones: Sequence[float]
    gamma: float = 0.1

    def share(self, t: int, length: float, unit: int) -> float:
        return self.gamma ** bisect_right(sorted(milestone * unit for milestone in self.milestones), t)


@PARAM_SCHEDULERS.register_module()
@dataclass(eq=False)
class StepLR(Schedule):
    """Times `gamma` every `step_size`."""

    step_size: int
    gamma: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.step_size < 1:
            self.refuse(f"step_size must be at least 1, got {self.step_size}")

    def share(self, t: int, length: float, unit: int) -> float:
        return self.gamma ** (t // (self.step_size * unit))


@PARAM_SCHEDULERS.register_module()
@dataclass(eq=False)
class ExponentialLR(Schedule):
    """Times `gamma` at every epoch or batch; with `convert_to_iter_based` at every batch."""

    gamma: float

    def share(self, t: int, length: float, unit: int) -> float:
        return self.gamma**t


@PARAM_SCHEDULERS.register_module()
@dataclass(eq=False)
class PolyLR(Schedule):
    """Down to `eta_min`, a value, as the power `power` of the share of the way that is left."""

    eta_min: float = 0.0
    power: float = 1.0

    def floor(self, base: float) -> float:
        return self.eta_min

    def share(self, t: int, length: float, unit: int) -> float:
        return (1 - t / (self.known(length) - 1)) ** self.power if t else 1.0


@dataclass(eq=False, kw_only=True)
class _Annealing(Schedule):
    eta_min: float | None = None
    eta_min_ratio: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.eta_min is not None and self.eta_min_ratio is not None:
            self.refuse("give eta_min or eta_min_ratio, not both")

    def floor(self, base: float) -> float:
        return (self.eta_min or 0.0) if self.eta_min_ratio is None else self.eta_min_ratio * base


@PARAM_SCHEDULERS.register_module()
@dataclass(eq=False)
class CosineAnnealingLR(_Annealing):
    """Along half a cosine to `eta_min` (a value) or `eta_min_ratio` (a share of the optimizer's) in `T_max`.

    `T_max` is `end - begin` by default. After it the cosine rises, to the optimizer's value.

    Source: SGDR, Loshchilov and Hutter 2017, arXiv:1608.03983, equation 5.
    """

    T_max: float | None = None

    def _period(self, length: float, unit: int) -> float:
        return self.known(length) if self.T_max is None else self.T_max * unit

    def share(self, t: int, length: float, unit: int) -> float:
        return _cosine(1.0, 0.0, t / self._period(length, unit))

    def commutes(self, length: float, unit: int) -> bool:
        return super().commutes(length, unit) and length - 1 <= self._period(length, unit)

    def reach(self, start: float, base: float, t: int, length: float, unit: int) -> float:
        period = self._period(length, unit)
        rises = t > period and period % 1 == 0  # a batch has been at the lowest point, which start's share ends at
        return super().reach(base if rises else start, base, t, length, unit)


@PARAM_SCHEDULERS.register_module()
@dataclass(eq=False)
class CosineRestartLR(_Annealing):
    """Half a cosine in each of `periods`, from the optimizer's value times the period's weight, to `eta_min`.

    Each period starts at that value, whatever other schedules give.

    Source: SGDR, Loshchilov and Hutter 2017, arXiv:1608.03983.
    """

    periods: Sequence[float]
    restart_weights: Sequence[float] = (1.0,)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.periods) != len(self.restart_weights):
            self.refuse(
                f"need a weight for each period, got {len(self.periods)} periods, {len(self.restart_weights)} weights"
            )

    def _period(self, t: int, length: float, unit: int) -> tuple[int, float, float]:
        """Number of the period that `t` is in, ticks since it started, its length."""
        ends = list(accumulate(period * unit for period in self.periods))
        if math.isfinite(length) and length > ends[-1]:
            self.refuse(f"periods add up to {ends[-1] / unit:g}, but it lasts {length / unit:g}")
        number = min(bisect_right(ends, t), len(ends) - 1)
        period = self.periods[number] * unit
        return number, t - ends[number] + period, period

    def share(self, t: int, length: float, unit: int) -> float:
        _, passed, period = self._period(t, length, unit)
        return _cosine(1.0, 0.0, min(passed / period, 1.0))

    def commutes(self, length: float, unit: int) -> bool:
        return False

    def reach(self, start: float, base: float, t: int, length: float, unit: int) -> float:
        number, _, _ = self._period(t, length, unit)
        return super().reach(base * self.restart_weights[number], base, t, length, unit)

    def advance(self, values: Sequence[float], bases: Sequence[float], t: int, length: float, unit: int) -> list[float]:
        if self._period(t, length, unit)[1]:
            return super().advance(values, bases, t, length, unit)
        return [self.reach(base, base, t, length, unit) for base in bases]


@PARAM_SCHEDULERS.register_module()
@dataclass(eq=False)
class OneCycleLR(Schedule):
    """From `eta_max / div_factor` to `eta_max` and down to a `final_div_factor`-th of the first value.

    It takes no notice of the optimizer's value and of other schedules that precede it.

    Args:
        eta_max: highest value.
        total_steps: length of the cycle; default: that of the schedule.
        pct_start: share of the cycle that rises.
        anneal_strategy: "cos" or "linear".
        div_factor, final_div_factor: quotients of highest and first, of first and last value.
        three_phase: fall as long as it rose, and then on to the last value.

    Source: Smith and Topin 2017, arXiv:1708.07120.
    """

    eta_max: float
    total_steps: int | None = None
    pct_start: float = 0.3
    anneal_strategy: Literal["cos", "linear"] = "cos"
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    three_phase: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.pct_start <= 1:
            self.refuse(f"pct_start must be between 0 and 1, got {self.pct_start}")
        if self.total_steps is not None and (self.total_steps < 1 or self.total_steps % 1):
            self.refuse(f"total_steps must be a whole number of at least 1, got {self.total_steps}")
        if self.anneal_strategy not in ("cos", "linear"):
            self.refuse(f'anneal_strategy must be "cos" or "linear", got {self.anneal_strategy!r}')

    def commutes(self, length: float, unit: int) -> bool:
        return False

    def advance(self, values: Sequence[float], bases: Sequence[float], t: int, length: float, unit: int) -> list[float]:
        return [self.reach(base, base, t, length, unit) for base in bases]

    def reach(self, start: float, base: float, t: int, length: float, unit: int) -> float:
        total = self.known(length) if self.total_steps is None else self.total_steps * unit
        if math.isfinite(length) and length > total:
            self.refuse(f"total_steps is {self.total_steps}, but it lasts {length / unit:g}")
        first, rise = self.eta_max / self.div_factor, self.pct_start * total - 1
        places = [0.0, rise, 2 * rise, total - 1] if self.three_phase else [0.0, rise, total - 1]
        values = [first, self.eta_max, *([first] if self.three_phase else []), first / self.final_div_factor]
        phase = next((number for number in range(1, len(places) - 1) if t <= places[number]), len(places) - 1)
        begin, end = places[phase - 1], places[phase]
        progress = (t - begin) / (end - begin) if end > begin else 1.0
        if self.anneal_strategy == "linear":
            return values[phase - 1] + (values[phase] - values[phase - 1]) * progress
        return _cosine(values[phase - 1], values[phase], progress)


ConstantMomentum, ConstantParamScheduler = variants_of(ConstantLR)
LinearMomentum, LinearParamScheduler = variants_of(LinearLR)
MultiStepMomentum, MultiStepParamScheduler = variants_of(MultiStepLR)
StepMomentum, StepParamScheduler = variants_of(StepLR)
ExponentialMomentum, ExponentialParamScheduler = variants_of(ExponentialLR)
PolyMomentum, PolyParamScheduler = variants_of(PolyLR)
CosineAnnealingMomentum, CosineAnnealingParamScheduler = variants_of(CosineAnnealingLR)
CosineRestartMomentum, CosineRestartParamScheduler = variants_of(CosineRestartLR)
OneCycleMomentum, OneCycleParamScheduler = variants_of(OneCycleLR)
