"""Validation between two updates, and the end of a training that no longer improves."""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

from kinema.diagnosis.beforehand import check_figure
from kinema.errors import ConfigError, KinemaError
from kinema.evaluation.scalars import scalars
from kinema.hooks.checkpointing import save_now
from kinema.hooks.hook import Hook
from kinema.registry import HOOKS
from kinema.runs.history import rule_of
from kinema.runs.records import format_validation
from kinema.training.progress import Every, Mark, Progress
from kinema.training.run import Run

logger = logging.getLogger("kinema")


@HOOKS.register_module()
class ValidationHook(Hook):
    """Validate at an interval, and at the end of the training, but not where it is stopped.

    A loop of the user's own whose `run` calls `val_loop.run()` decides itself: then this hook
    writes the figures down.

    Args:
        interval: epochs or iterations between two validations.
        begin: the first epoch or iteration, counted from 1, after which to validate.
        by_epoch: count in epochs, otherwise in iterations.
        dynamic_intervals: pairs `(epoch, interval)`: other intervals while that epoch (or iteration)
            and later ones are trained; the first decides where that epoch begins, as in OpenMMLab.

    Raises:
        ValueError: an interval is below 1.
    """

    priority = 75

    def __init__(
        self,
        interval: int = 1,
        begin: int = 1,
        by_epoch: bool = True,
        dynamic_intervals: Sequence[tuple[int, int]] | None = None,
    ) -> None:
        if interval < 1:
            raise ValueError(f"val_interval must be at least 1, got {interval}")
        unit = "epochs" if by_epoch else "iterations"
        starts = [(0, interval), *sorted((epoch - 1, length) for epoch, length in dynamic_intervals or ())]
        self.unit = unit.removesuffix("s")
        # From which count on, and what is due from there.
        self.plan = [(start, Every(**{unit: length, "begin": max(start, begin)})) for start, length in starts]
        self._mark: Mark = Progress().mark()
        self._is_asking = False  # for the validation that runs
        self._figures: dict[str, float] = {}  # of a validation that the user's own loop ran

    def at_border(self, runner: Run) -> None:
        runner.metrics = {}
        progress, loop = runner.progress, runner.train_loop
        if self._figures:
            self._mark, figures, self._figures = progress.mark(), self._figures, {}
            self._record(runner, figures)
            return
        is_off = loop.validates_itself or "val" not in runner.loops or runner.interrupt.is_asked
        if is_off or progress.mark() == self._mark:
            return
        done = progress.mark()[self.unit]
        every = next(every for start, every in reversed(self.plan) if done >= start)
        if not every.due(progress, self._mark) and not loop.until.reached(progress):
            return
        self._is_asking = True
        try:
            figures = scalars(runner.val_loop.run())
        except KeyboardInterrupt:
            if not runner.interrupt.is_asked:  # it is not one that waited
                raise
            runner.stop(f"received {runner.interrupt.name}")  # validated when the run is resumed
            return
        except KinemaError:
            save_now(runner)  # what was trained is not lost with the validation
            raise
        finally:
            self._is_asking = False
            runner.network.train()
        self._mark = progress.mark()
        self._record(runner, figures)

    def after_val_epoch(self, runner: Run, metrics: Mapping[str, float] | None = None) -> None:
        if runner.is_training and not self._is_asking:
            self._figures = scalars(metrics or {})

    def after_val(self, runner: Run) -> None:
        """Write down what a loop of the user's own validated, and let the best be saved: here, or behind this batch."""
        if self._figures:
            runner.network.train()
            if runner.is_at_border or runner.train_loop.validates_itself:
                runner.call_hook("at_border")

    def _record(self, runner: Run, figures: dict[str, float]) -> None:
        progress = runner.progress
        epoch = progress.present_epoch
        runner.metrics = figures
        runner.history.append({"epoch": epoch, "step": progress.step, "train": runner.train_figures, "val": figures})
        runner.record("val", figures)
        place = f"epoch {epoch}" if progress.batch == 0 else f"step {progress.step}"
        if runner.line_processor is None:  # whose line has the same figures
            logger.info("%s  validation  %s", place, format_validation(figures))

    def state_dict(self) -> dict[str, Any]:
        return {"mark": dict(self._mark)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._mark = state["mark"]


@HOOKS.register_module()
class PatienceHook(Hook):
    """End the training when for so many validations neither the monitored figure nor the loss has improved.

    Both are averaged as `default_hooks.checkpoint.smooth` says.

    Args:
        patience: number of validations.

    Raises:
        ValueError: it is below 1.
    """

    priority = 80

    def __init__(self, patience: int) -> None:
        if patience < 1:
            raise ValueError(f"patience must be a number of validations from 1, or None, got {patience!r}")
        self.patience = patience
        self._seen = 0

    def at_border(self, runner: Run) -> None:
        if len(runner.history) == self._seen:
            return
        self._seen = len(runner.history)
        if runner.monitor.without_gain(runner.history) >= self.patience:
            runner.stop(
                f"on the validation clips neither the metric nor the loss has improved for {self.patience} validations;"
                " `--patience off` (train_cfg.patience=None) trains to the end"
            )


@HOOKS.register_module()
class EarlyStoppingHook(Hook):
    """End the training when a figure of the validations no longer improves, by OpenMMLab's rules.

    Args:
        monitor: name of the figure.
        rule: "greater" or "less" is better; default: what the figure's name says.
        min_delta: least change from the best that counts; smaller ones add up. The attribute is negative
            where less is better.
        strict: raise an error where a validation has no such figure; otherwise warn.
        check_finite: also end when the figure is not finite.
        patience: validations without improvement that are borne.
        stopping_threshold: end as soon as the figure is better than this.

    Raises:
        ConfigError: `rule` is none of these, or missing where the name does not say it, or
            (`strict`) a validation has no such figure.
    """

    priority = 80

    def __init__(
        self,
        monitor: str,
        rule: str | None = None,
        min_delta: float = 0.1,
        strict: bool = False,
        check_finite: bool = True,
        patience: int = 5,
        stopping_threshold: float | None = None,
    ) -> None:
        if rule not in (None, "greater", "less"):
            raise ConfigError(f"EarlyStoppingHook: rule must be 'greater' or 'less', got {rule!r}")
        known = rule or rule_of(monitor)
        if known is None:
            raise ConfigError(
                f"EarlyStoppingHook: is a greater or a less {monitor!r} better? Set rule to one of the two"
            )
        self.monitor, self.rule = monitor, known
        self.strict, self.check_finite, self.patience = strict, check_finite, patience
        self.min_delta = -min_delta if known == "less" else min_delta
        self.stopping_threshold = stopping_threshold
        self.best_score, self.wait_count = math.inf if known == "less" else -math.inf, 0
        self._last: float | None = None  # value
        self._is_resumed = False

    def before_run(self, runner: Run) -> None:
        if self.strict and isinstance(runner, Run):
            check_figure(self.monitor, runner.known_figures, "EarlyStoppingHook: monitor")

    def after_val_epoch(self, runner: Run, metrics: Mapping[str, float] | None = None) -> None:
        if not metrics or not runner.is_training:
            return
        if self.monitor not in metrics:
            text = f"EarlyStoppingHook: {self.monitor!r} is no metric: the validation has {', '.join(metrics)}"
            if self.strict:
                raise ConfigError(text)
            logger.warning("%s", text)
            return
        value = self._last = float(metrics[self.monitor])
        if math.isfinite(value) or not self.check_finite:
            self._count(value)
        self._stop_if_done(runner, value)

    def at_border(self, runner: Run) -> None:
        """A run that was killed between its last validation and its end ends where it is resumed."""
        is_resumed, self._is_resumed = self._is_resumed, False
        if is_resumed and self._last is not None:
            self._stop_if_done(runner, self._last)

    def _stop_if_done(self, runner: Run, value: float) -> None:
        if reason := self._reason(value):
            runner.stop_reason = reason
            runner.train_loop.stop_training = runner.train_loop.stops_at_border = True

    def _count(self, value: float) -> None:
        sign = -1.0 if self.rule == "less" else 1.0
        if sign * value >= sign * (self.best_score + self.min_delta):
            self.best_score, self.wait_count = value, 0
        else:
            self.wait_count += 1

    def _reason(self, value: float) -> str | None:
        name, sign = self.monitor, -1.0 if self.rule == "less" else 1.0
        if self.check_finite and not math.isfinite(value):
            return f"{name} is {value}"
        if self.stopping_threshold is not None and sign * value > sign * self.stopping_threshold:
            return f"{name} is {value:.4f}, better than {self.stopping_threshold:g}"
        if self.wait_count >= self.patience:
            return f"{name} has not improved by {abs(self.min_delta):g} for {self.wait_count} validations"
        return None

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best_score, "waited": self.wait_count, "last": self._last}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best_score, self.wait_count = state["best"], state["waited"]
        last = state.get("last")
        if not isinstance(last, int | float | None):
            raise ValueError(f"the last value of {self.monitor} is {last!r:.80}, expected a number")
        self._last, self._is_resumed = last, True
