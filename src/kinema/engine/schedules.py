"""Learning-rate schedules: each is a factor on the base rate, a pure function of the position in training.

Several in a list multiply: a warm-up `LinearLR(end=5)` and a `CosineAnnealingLR(begin=5)` follow
each other.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kinema.config.values import check_types
from kinema.registry import PARAM_SCHEDULERS


@dataclass(frozen=True)
class Position:
    """Where a run is: completed epochs and steps (optimizer updates count as steps of batches), and steps an epoch."""

    epoch: int
    step: int
    steps_per_epoch: int


class Schedule:
    """Base: a factor between `begin` and `end`; 1 before, the last one reached after.

    Args:
        begin, end: in epochs, or in steps with `by_epoch=False`; `end=None` is the end of training.
        by_epoch: count in epochs.
        convert_to_iter_based: count in epochs, change at every step.
    """

    def __init__(self, begin: int, end: int | None, by_epoch: bool, convert_to_iter_based: bool) -> None:
        if begin < 0 or (end is not None and end <= begin):
            raise ValueError(f"{type(self).__name__}: need 0 <= begin < end, got {begin=}, {end=}")
        if convert_to_iter_based and not by_epoch:
            raise ValueError(f"{type(self).__name__}: convert_to_iter_based=True needs by_epoch=True")
        self.begin, self.end = begin, end
        self.by_epoch = by_epoch
        self.convert_to_iter_based = convert_to_iter_based

    def factor(self, position: Position, base: float, max_epochs: int) -> float:
        """Factor on the base rate `base` at `position` of a training of `max_epochs`."""
        unit = position.steps_per_epoch if self.convert_to_iter_based else 1
        now = position.epoch if self.by_epoch and not self.convert_to_iter_based else position.step
        last = max_epochs if self.by_epoch else max_epochs * position.steps_per_epoch
        begin, end = self.begin * unit, (last if self.end is None else self.end) * unit
        if now < begin:
            return 1.0
        length = max(end - begin, 1)
        return self.curve(min(now - begin, length - 1), length, unit, base)

    def curve(self, t: int, length: int, unit: int, base: float) -> float:
        """Factor at `t`, in 0 .. length - 1, counted in epochs or steps; `unit` of them make one of the user's."""
        raise NotImplementedError


@PARAM_SCHEDULERS.register_module()
class ConstantLR(Schedule):
    """`factor` between begin and end, 1 from the last position on."""

    def __init__(
        self,
        factor: float = 1 / 3,
        begin: int = 0,
        end: int | None = None,
        by_epoch: bool = True,
        convert_to_iter_based: bool = False,
    ) -> None:
        super().__init__(begin, end, by_epoch, convert_to_iter_based)
        self.constant = factor

    def curve(self, t: int, length: int, unit: int, base: float) -> float:
        return self.constant if t < length - 1 else 1.0


@PARAM_SCHEDULERS.register_module()
class LinearLR(Schedule):
    """From `start_factor` to `end_factor` in a straight line: a warm-up."""

    def __init__(
        self,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        begin: int = 0,
        end: int | None = None,
        by_epoch: bool = True,
        convert_to_iter_based: bool = False,
    ) -> None:
        super().__init__(begin, end, by_epoch, convert_to_iter_based)
        self.start_factor, self.end_factor = start_factor, end_factor

    def curve(self, t: int, length: int, unit: int, base: float) -> float:
        share = t / (length - 1) if length > 1 else 0.0
        return self.start_factor + (self.end_factor - self.start_factor) * share


@PARAM_SCHEDULERS.register_module()
class MultiStepLR(Schedule):
    """Times `gamma` at each of `milestones`, counted from `begin`."""

    def __init__(
        self,
        milestones: Sequence[int],
        gamma: float = 0.1,
        begin: int = 0,
        end: int | None = None,
        by_epoch: bool = True,
        convert_to_iter_based: bool = False,
    ) -> None:
        super().__init__(begin, end, by_epoch, convert_to_iter_based)
        self.milestones, self.gamma = sorted(milestones), gamma

    def curve(self, t: int, length: int, unit: int, base: float) -> float:
        return self.gamma ** bisect_right([milestone * unit for milestone in self.milestones], t)


@PARAM_SCHEDULERS.register_module()
class StepLR(Schedule):
    """Times `gamma` every `step_size`."""

    def __init__(
        self,
        step_size: int,
        gamma: float = 0.1,
        begin: int = 0,
        end: int | None = None,
        by_epoch: bool = True,
        convert_to_iter_based: bool = False,
    ) -> None:
        super().__init__(begin, end, by_epoch, convert_to_iter_based)
        self.step_size, self.gamma = step_size, gamma

    def curve(self, t: int, length: int, unit: int, base: float) -> float:
        return self.gamma ** (t // (self.step_size * unit))


@PARAM_SCHEDULERS.register_module()
class CosineAnnealingLR(Schedule):
    """Down along half a cosine to `eta_min` (a rate) or `eta_min_ratio` (a share of the base rate) in `T_max`.

    Source: SGDR, Loshchilov and Hutter 2017, arXiv:1608.03983, equation 5.
    """

    def __init__(
        self,
        T_max: int | None = None,  # noqa: N803 - the field's name
        eta_min: float | None = None,
        begin: int = 0,
        end: int | None = None,
        by_epoch: bool = True,
        convert_to_iter_based: bool = False,
        eta_min_ratio: float | None = None,
    ) -> None:
        super().__init__(begin, end, by_epoch, convert_to_iter_based)
        if eta_min is not None and eta_min_ratio is not None:
            raise ValueError("CosineAnnealingLR: give eta_min or eta_min_ratio, not both")
        self.T_max, self.eta_min, self.eta_min_ratio = T_max, eta_min or 0.0, eta_min_ratio

    def curve(self, t: int, length: int, unit: int, base: float) -> float:
        period = length if self.T_max is None else self.T_max * unit
        lowest = self.eta_min / base if self.eta_min_ratio is None else self.eta_min_ratio
        return lowest + (1 - lowest) * (1 + math.cos(math.pi * t / period)) / 2


def build_schedules(config: Any) -> list[Schedule]:
    """Schedules of one config or a list of them; built ones are taken as they are; None gives none."""
    if config is None:
        return []
    entries = config if isinstance(config, list | tuple) else [config]
    return [entry if isinstance(entry, Schedule) else PARAM_SCHEDULERS.build(entry) for entry in entries]


def check_schedule_config(config: Any, where: str = "param_scheduler") -> None:
    """Refuse values of a wrong type in a config for `build_schedules`.

    Raises:
        ConfigError: names the key.
    """
    places = enumerate(config) if isinstance(config, list | tuple) else [("", config)]
    for place, entry in places:
        if isinstance(entry, Mapping):
            kind = entry.get("type")
            part = PARAM_SCHEDULERS.get(kind) if isinstance(kind, str) else kind
            check_types(part, entry, f"{where}.{place}".rstrip("."))
