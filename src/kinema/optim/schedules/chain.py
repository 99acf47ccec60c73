"""Chains of schedules, and what sets their values in an optimizer."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from kinema.config.values import check_types
from kinema.optim.schedules.schedule import Position, Schedule
from kinema.optim.wrapper import OptimWrapper
from kinema.registry import PARAM_SCHEDULERS


def scheduled_values(schedules: Sequence[Schedule], position: Position, bases: Sequence[float]) -> list[float]:
    """Values at `position` of parameters that are `bases` in the optimizer's config and follow `schedules`."""
    return _chain(tuple(schedules), replace(position, epoch=0, step=0), tuple(bases)).at(position)


class _Chain:
    """Schedules of one parameter over a training `plan`, a Position at its start."""

    def __init__(self, schedules: tuple[Schedule, ...], plan: Position, bases: tuple[float, ...]) -> None:
        self.by_metrics = [schedule for schedule in schedules if schedule.follows_metrics]
        self.timed = [schedule for schedule in schedules if not schedule.follows_metrics]
        self.plan, self.bases = plan, list(bases)
        self.spans = {schedule: schedule.batches(plan) for schedule in self.timed}
        self.has_formula = not any(
            not schedule.commutes(*schedule.ticks(plan)[1:]) and self._overlaps(schedule) for schedule in self.timed
        )
        self.batch, self.values = -1, self.bases

    def _overlaps(self, schedule: Schedule) -> bool:
        begin, end = self.spans[schedule]
        return any(
            other is not schedule and begin < last and first < end for other, (first, last) in self.spans.items()
        )

    def at(self, position: Position) -> list[float]:
        values = self._by_formula(position) if self.has_formula else self._by_replay(position.step)
        for schedule in self.by_metrics:
            values = [schedule.value(position, value, base) for value, base in zip(values, self.bases, strict=True)]
        return values

    def _by_formula(self, position: Position) -> list[float]:
        values = self.bases
        for schedule in sorted(self.timed, key=lambda schedule: self.spans[schedule][0]):
            values = [schedule.value(position, value, base) for value, base in zip(values, self.bases, strict=True)]
        return values

    def _by_replay(self, batch: int) -> list[float]:
        """Tick by tick in OpenMMLab's order, from where the last call stopped.

        There is no common formula for overlapping schedules of which one has a lowest value. A run
        asks for one batch after the other, so that each takes one tick.
        """
        if batch < self.batch:
            self.batch, self.values = -1, self.bases
        clocks = [(schedule, *schedule.ticks(self.plan)) for schedule in self.timed]
        later = sorted(clocks, key=lambda clock: clock[0].in_epochs)  # a batch ends before its epoch
        while self.batch < batch:
            self.batch += 1
            epoch, within = divmod(self.batch, self.plan.steps_per_epoch)
            for schedule, offset, length, unit in later if self.batch else clocks:
                t = offset + (epoch if schedule.in_epochs else self.batch)
                if 0 <= t < length and not (schedule.in_epochs and within):
                    self.values = schedule.advance(self.values, self.bases, t, length, unit)
        return self.values


_chain = lru_cache(maxsize=64)(_Chain)


def schedules_by_optimizer(schedules: Any) -> Mapping[str, Sequence[Any]]:
    """Schedules of several optimizers by name; a list of those of one alone is under ""."""
    return schedules if isinstance(schedules, Mapping) else {"": schedules}


def apply_schedules(
    schedules: Sequence[Schedule], optimizer: OptimWrapper | Optimizer | list[dict[str, Any]], position: Position
) -> None:
    """Set what `schedules` give at `position` in every parameter group.

    The values that the optimizer was given stay in the groups as `initial_lr`, `initial_momentum`, ...,
    those that were set here as `scheduled_lr`, .... Where another value has been set since, as a
    hook may, all further values are scaled by it: the schedules continue from there.

    Args:
        schedules: of any parameters; those that step by themselves are left out.
        optimizer: an optimizer, its wrapper or its parameter groups.
        position: where the training is.

    Raises:
        ValueError: the optimizer has no such parameter.
    """
    schedules = [schedule for schedule in schedules if isinstance(schedule, Schedule)]  # others step by themselves
    groups = optimizer if isinstance(optimizer, list) else optimizer.param_groups
    for name in dict.fromkeys(schedule.param_name for schedule in schedules):
        own = [schedule for schedule in schedules if schedule.param_name == name]
        bases = [_base(group, name, own[0]) for group in groups]
        for group, value in zip(groups, scheduled_values(own, position, bases), strict=True):
            group[f"scheduled_{name}"] = value
            if name not in group:
                group["betas"] = (value, *group["betas"][1:])
            elif isinstance(group[name], Tensor):  # of a compiled or captured optimizer
                group[name].fill_(value)
            else:
                group[name] = value


def _base(group: dict[str, Any], name: str, schedule: Schedule) -> float:
    """What the optimizer was given for `name`; "momentum" may be the first of `betas`."""
    in_betas = name == "momentum" and name not in group and "betas" in group
    if name not in group and not in_betas:
        have = ", ".join(key for key in group if key != "params" and not key.startswith(("initial_", "scheduled_")))
        schedule.refuse(f"no {name} to change in the optimizer; there is: {have}")
    present = group["betas"][0] if in_betas else group[name]
    if f"initial_{name}" not in group:
        group[f"initial_{name}"] = float(present)
    last = group.get(f"scheduled_{name}")
    if last and present != last and not isinstance(present, Tensor):  # a device is not asked at every batch
        group[f"initial_{name}"] *= present / last
    base: float = group[f"initial_{name}"]
    return base


def build_schedules(config: Any, **stepping: Any) -> list[Any]:
    """Schedules of one config or a list of them; built ones are taken as they are; None gives none.

    A `type` may be a class that names its curve as `schedule`, as OpenMMLab's schedulers do here, or
    one of the user's own that takes an `optimizer`, as theirs do, and has a `step`.

    Args:
        config: of the schedules.
        stepping: further arguments of those with a `step`: `optimizer`, `end`, ...
    """
    if config is None:
        return []
    entries = config if isinstance(config, list | tuple) else [config]
    return [_built(with_curve(entry), stepping) for entry in entries]


def _built(entry: Any, stepping: Mapping[str, Any]) -> Any:
    if isinstance(entry, Schedule) or hasattr(entry, "step"):
        return entry
    default_args = stepping if isinstance(entry, Mapping) and _takes_optimizer(_part_of(entry)) else None
    return PARAM_SCHEDULERS.build(entry, default_args=default_args)


def _part_of(entry: Mapping[str, Any]) -> Any:
    kind = entry.get("type")
    return PARAM_SCHEDULERS.get(kind) if isinstance(kind, str) else kind


def _takes_optimizer(part: Any) -> bool:
    """Has a class that is no `Schedule` an `optimizer`? One that passes arguments on, as its bases say."""
    if not isinstance(part, type) or issubclass(part, Schedule):
        return False
    for kind in part.__mro__:
        if (build := vars(kind).get("__init__")) is not None:
            parameters = inspect.signature(build).parameters
            if "optimizer" in parameters or not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
                return "optimizer" in parameters
    return False


def with_curve(entry: Any) -> Any:
    """A config of a schedule whose `type` is the curve itself, where it names a class that has it as `schedule`."""
    kind = _part_of(entry) if isinstance(entry, Mapping) else None
    curve = vars(kind).get("schedule") if isinstance(kind, type) else None
    return entry if curve is None else {**entry, "type": curve}


def check_schedule_config(config: Any, where: str = "param_scheduler") -> None:
    """Refuse values of a wrong type in a config for `build_schedules`.

    Raises:
        ConfigError: names the key.
    """
    if isinstance(config, Mapping) and "type" not in config:  # of several optimizers
        for name, own in config.items():
            check_schedule_config(own, f"{where}.{name}")
        return
    places = enumerate(config) if isinstance(config, list | tuple) else [("", config)]
    for place, entry in places:
        if isinstance(entry, Mapping):
            check_types(_part_of(with_curve(entry)), entry, f"{where}.{place}".rstrip("."))
