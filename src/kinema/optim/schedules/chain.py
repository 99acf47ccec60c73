"""Chains of schedules, and what sets their values in an optimizer."""

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


def scheduled_value(schedules: Sequence[Schedule], position: Position, base: float) -> float:
    """Value at `position` of a parameter that is `base` in the optimizer's config and follows `schedules`."""
    timed = tuple(schedule for schedule in schedules if not schedule.follows_metrics)
    plan = replace(position, epoch=0, step=0)
    if _entangled(timed, plan):
        value = _replay(timed, plan, base).at(position.step)
    else:
        value = base
        for schedule in sorted(timed, key=lambda schedule: schedule.batches(plan)[0]):
            value = schedule.value(position, value, base)
    for schedule in schedules:
        if schedule.follows_metrics:
            value = schedule.value(position, value, base)
    return value


@lru_cache(maxsize=256)
def _entangled(schedules: tuple[Schedule, ...], plan: Position) -> bool:
    """True where schedules overlap of which some do more than multiply."""
    spans = [schedule.batches(plan) for schedule in schedules]
    for number, (schedule, (begin, end)) in enumerate(zip(schedules, spans, strict=True)):
        _, length, unit = schedule.ticks(plan)
        others = spans[:number] + spans[number + 1 :]
        if not schedule.commutes(length, unit) and any(begin < last and first < end for first, last in others):
            return True
    return False


class _Replay:
    """Value after each batch, tick by tick in OpenMMLab's order, for schedules that have no common formula."""

    def __init__(self, schedules: tuple[Schedule, ...], plan: Position, base: float) -> None:
        self.schedules, self.plan, self.base = schedules, plan, base
        self.later = sorted(schedules, key=lambda schedule: schedule.in_epochs)  # a batch ends before its epoch
        self.batch, self.value = -1, base

    def at(self, batch: int) -> float:
        if batch < self.batch:
            self.batch, self.value = -1, self.base
        while self.batch < batch:
            self.batch += 1
            epoch, within = divmod(self.batch, self.plan.steps_per_epoch)
            position = replace(self.plan, epoch=epoch, step=self.batch)
            for schedule in self.later if self.batch else self.schedules:
                t, length, unit = schedule.ticks(position)
                if 0 <= t < length and not (schedule.in_epochs and within):
                    self.value = schedule.advance(self.value, self.base, t, length, unit)
        return self.value


_replay = lru_cache(maxsize=256)(_Replay)  # a run asks for one batch after the other


def apply_schedules(
    schedules: Sequence[Schedule], optimizer: OptimWrapper | Optimizer | list[dict[str, Any]], position: Position
) -> None:
    """Set what `schedules` give at `position` in every parameter group.

    The values that the optimizer was given are kept in the groups as `initial_lr`, `initial_momentum`, ...

    Args:
        schedules: of any parameters.
        optimizer: an optimizer, its wrapper or its parameter groups.
        position: where the training is.

    Raises:
        ValueError: the optimizer has no such parameter.
    """
    groups = optimizer if isinstance(optimizer, list) else optimizer.param_groups
    for name in dict.fromkeys(schedule.param_name for schedule in schedules):
        own = [schedule for schedule in schedules if schedule.param_name == name]
        for group in groups:
            in_betas = name == "momentum" and "momentum" not in group and "betas" in group
            if name not in group and not in_betas:
                have = ", ".join(key for key in group if key != "params" and not key.startswith("initial_"))
                raise ValueError(f"param_scheduler: {type(own[0]).__name__}: no {name} to change; there is: {have}")
            present = group["betas"][0] if in_betas else group[name]
            base = group.setdefault(f"initial_{name}", float(present))
            value = scheduled_value(own, position, base)
            if in_betas:
                group["betas"] = (value, *group["betas"][1:])
            elif isinstance(present, Tensor):  # of a compiled or captured optimizer
                present.fill_(value)
            else:
                group[name] = value


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
