"""Learning rate and momentum before every batch."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kinema.errors import ConfigError
from kinema.hooks.hook import Hook
from kinema.optim.schedules import Schedule, apply_schedules, schedules_by_optimizer
from kinema.registry import HOOKS
from kinema.training.run import Run


@HOOKS.register_module()
class ParamSchedulerHook(Hook):
    """Set learning rates and momenta to what the schedules say of this place of the training.

    A rate that another hook sets is kept: the schedules continue from it.

    Schedulers of the user's own, with a `step`, take it behind each batch or epoch.
    """

    priority = "HIGHEST"  # at the beginning of a batch, all other hooks see its rates

    def before_train(self, runner: Run) -> None:
        if runner.train_loop.epoch_length is None and any(
            getattr(schedule, "convert_to_iter_based", False) for schedule in _schedulers(runner)
        ):
            raise ConfigError(
                "param_scheduler: convert_to_iter_based needs the batches of an epoch, but the training data has no"
                " length: give begin and end in batches, with by_epoch=False"
            )

    def before_train_epoch(self, runner: Run) -> None:
        self._apply(runner)

    def before_train_iter(self, runner: Run, batch_idx: int, data_batch: Any = None) -> None:
        self._apply(runner)

    def _apply(self, runner: Run, **changes: int) -> None:
        """Set the rates of this place of the training, or of one with another `epoch` or `step`."""
        if not runner.schedules:
            return
        wrappers, position = runner.optim_wrapper.wrappers, replace(runner.position, **changes)
        for name, schedules in schedules_by_optimizer(runner.schedules).items():
            if schedules:
                apply_schedules(schedules, wrappers[name], position)

    def after_train_iter(
        self, runner: Run, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Any] | None = None
    ) -> None:
        _take_step(runner, by_epoch=False)

    def after_train_epoch(self, runner: Run) -> None:
        _take_step(runner, by_epoch=True)

    def after_val_epoch(self, runner: Run, metrics: Mapping[str, float] | None = None) -> None:
        if runner.is_training and metrics is not None:
            for schedule in _schedulers(runner):
                if isinstance(schedule, Schedule) and hasattr(schedule, "observe"):
                    schedule.observe(metrics)
                elif _waits_for_figures(schedule):
                    schedule.step(metrics)


def _take_step(runner: Run, *, by_epoch: bool) -> None:
    """Step the schedulers that keep a state; `Schedule`s are functions of the place."""
    for scheduler in _schedulers(runner):
        if isinstance(scheduler, Schedule) or _waits_for_figures(scheduler):
            continue
        if hasattr(scheduler, "step") and scheduler.by_epoch == by_epoch:
            scheduler.step()


def _schedulers(runner: Run) -> list[Any]:
    """All of a run, of one optimizer or of several by name."""
    given: Any = getattr(runner, "param_schedulers", runner.schedules) or ()
    return [scheduler for schedulers in schedules_by_optimizer(given).values() for scheduler in schedulers]


def _waits_for_figures(scheduler: Any) -> bool:
    return not isinstance(scheduler, Schedule) and getattr(scheduler, "need_val_args", False) is True
