"""The schedules of a run with what code for MMEngine reads of its schedulers: `last_step`, `get_last_value()`, ..."""

import functools
from typing import Any

from kinema.optim.schedules import Schedule


class _OfRun:
    """A schedule that knows its run and optimizer. It stays a function of the place: nothing steps it."""

    run: Any
    optimizer: Any
    param_name: str

    @property
    def last_step(self) -> int:
        """The last step that is done, counted from `begin`; -1 before it."""
        return self._count()[0]

    @property
    def _global_step(self) -> int:
        return self._count()[1]

    def _count(self) -> tuple[int, int]:
        """Of the place whose values were set last: behind the schedulers' hook, that of the next batch."""
        place = self.run.scheduled_position or self.run.position
        return self.count(place)  # type: ignore[attr-defined]

    @property
    def base_values(self) -> list[float]:
        """The values that the groups began with."""
        initial = f"initial_{self.param_name}"
        return [group.get(initial, value) for group, value in zip(self._groups, self._last_value, strict=True)]

    @property
    def _groups(self) -> list[dict[str, Any]]:
        groups: list[dict[str, Any]] = self.optimizer.param_groups
        return groups

    @property
    def _last_value(self) -> list[float]:
        in_betas = self.param_name == "momentum" and "momentum" not in self._groups[0]
        return [float(group["betas"][0] if in_betas else group[self.param_name]) for group in self._groups]

    def get_last_value(self) -> list[float]:
        """The values of all groups now."""
        return self._last_value

    def state_dict(self) -> dict[str, Any]:
        """Where it is; of one that follows metrics what it has observed."""
        own = getattr(super(), "state_dict", None)
        if own is not None:
            return dict(own())
        place = {"last_step": self.last_step, "_global_step": self._global_step, "param_name": self.param_name}
        return {**place, "base_values": self.base_values, "_last_value": self._last_value}


@functools.cache
def _kind_of_run(kind: type[Schedule]) -> type[Schedule]:
    return type(kind.__name__, (_OfRun, kind), {"__module__": kind.__module__, "__doc__": kind.__doc__})


def know_run(schedule: Any, run: Any, optimizer: Any) -> None:
    """Let a schedule of Kinema's tell where it is in a run; others have an optimizer of their own."""
    kind: Any = type(schedule)
    if not issubclass(kind, Schedule):
        return
    if "run" not in vars(schedule):
        schedule.__class__ = _kind_of_run(kind)
    vars(schedule).update(run=run, optimizer=optimizer)
