"""Schedulers that hold an optimizer and take a step, as OpenMMLab's do, over the curves of `kinema.optim.schedules`.

Each curve has three: for the parameter that `param_name` names, for the learning rate and for the
momentum. The schedules of a run are instances of them, too, so that `isinstance` recognises those.
"""

import functools
import inspect
import logging
import math
import warnings
import weakref
from abc import ABC
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, ClassVar, Self

from torch.optim import Optimizer

from kinema.errors import PartArgumentError
from kinema.optim import schedules
from kinema.optim.schedules import Schedule
from kinema.optim.wrapper import BaseOptimWrapper

logger = logging.getLogger("kinema")

INF = 10**9  # an `end` that is never reached
ORDER = "https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate"
_CLOCK = ("begin", "end", "last_step", "by_epoch", "verbose")


class ParamScheduler(ABC):
    """A parameter of an optimizer over the steps of a training; `step()` is called after each of them.

    A subclass defines `_get_value`, the values of all groups at `last_step`.

    Args:
        optimizer: an optimizer or its wrapper.
        param_name: key of its parameter groups.
        begin, end: of the steps at which the parameter changes; `end` is none of them.
        last_step: the last step that is done; -1: none is.
        by_epoch: steps are epochs, which only a runner needs to know.
        verbose: log each value.

    Attributes:
        base_values: the values that the groups began with.
        schedule: the class of the curve that a run uses in its place.

    Raises:
        TypeError: `optimizer` is none.
        ValueError: `end` is not above `begin`, or `last_step` is below -1.
        KeyError: the groups have no such parameter; or a resumed training lacks `initial_...`.
    """

    need_val_args: ClassVar[bool] = False
    schedule: ClassVar[type[Schedule]]

    def __init__(
        self,
        optimizer: Any,
        param_name: str,
        begin: int = 0,
        end: int = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        name = type(self).__name__
        if not isinstance(optimizer, Optimizer | BaseOptimWrapper):
            raise TypeError(f"{name}: optimizer must be an optimizer or a wrapper of one, got {optimizer!r}")
        if end <= begin:
            raise ValueError(f"{name}: end must be above begin, got {begin=}, {end=}")
        if not isinstance(last_step, int) or last_step < -1:
            raise ValueError(f"{name}: last_step must be a whole number of at least -1, got {last_step}")
        self.optimizer: Any = optimizer
        self.param_name = param_name
        self.begin, self.end, self.by_epoch, self.verbose = begin, end, by_epoch, verbose
        self.last_step = last_step
        for place, group in enumerate(optimizer.param_groups):
            needed = param_name if last_step == -1 else f"initial_{param_name}"
            if needed not in group:
                raise KeyError(f"{name}: there is no {needed} in group {place} of the optimizer")
            group.setdefault(f"initial_{param_name}", group[param_name])
        self.base_values = [group[f"initial_{param_name}"] for group in optimizer.param_groups]
        self._global_step = -1
        _count_steps(optimizer)
        self._last_value: list[float] = []
        self.step()

    def _get_value(self) -> list[float]:
        """Values of all groups at `last_step`, which is counted from `begin`."""
        raise NotImplementedError(f"{type(self).__name__} needs a method _get_value")

    def step(self) -> None:
        """A step is done: set the values of the next one."""
        if self._global_step == 0:
            self._warn_of_order()
        self._global_step += 1
        if self.begin <= self._global_step < self.end:
            self.last_step += 1
            for place, (group, value) in enumerate(zip(self.optimizer.param_groups, self._get_value(), strict=True)):
                group[self.param_name] = value
                self.print_value(self.verbose, place, value)
        self._last_value = [group[self.param_name] for group in self.optimizer.param_groups]

    def _warn_of_order(self) -> None:
        if not hasattr(self.optimizer.step, "_with_counter"):
            what = "optimizer.step() was replaced after the scheduler was built"
        elif self.optimizer._global_step < 0:
            what = "scheduler.step() was called before optimizer.step(), so that the first value is left out"
        else:
            return
        warnings.warn(f"{what}; see {ORDER}", UserWarning, stacklevel=3)

    def get_last_value(self) -> list[float]:
        """The values of all groups since the last step."""
        return self._last_value

    def print_value(self, is_verbose: bool, group: int, value: float) -> None:
        """Log the value of a group."""
        if is_verbose:
            logger.info("%s of group %d is %.4e from now on", self.param_name, group, value)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer."""
        return {key: value for key, value in vars(self).items() if key != "optimizer"}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take the state of `state_dict()` back."""
        vars(self).update(state_dict)


def _count_steps(optimizer: Any) -> None:
    """Let an optimizer count its steps from now on."""
    optimizer._global_step = -1
    if hasattr(optimizer.step, "_with_counter"):
        return
    function, owner = optimizer.step.__func__, weakref.ref(optimizer)

    @functools.wraps(function)
    def counted(*args: Any, **kwargs: Any) -> Any:
        optimizer = owner()
        assert optimizer is not None  # it is being called
        optimizer._global_step += 1
        return function(optimizer, *args, **kwargs)

    counted._with_counter = True  # type: ignore[attr-defined]
    optimizer.step = counted


class _OverCurve(ParamScheduler):
    """A scheduler whose values are those of a curve.

    Attributes:
        curve: the class of the curve.
        order: names of the arguments behind `param_name`, in OpenMMLab's order.
        scaled: those of them that `build_iter_from_epoch` multiplies.
    """

    curve: ClassVar[type[Schedule]]
    order: ClassVar[tuple[str, ...]]
    scaled: ClassVar[tuple[str, ...]] = ()

    def __init__(self, optimizer: Any, param_name: str, *args: Any, **kwargs: Any) -> None:
        given = self._named(args, kwargs)
        clock = {name: given.pop(name) for name in _CLOCK if name in given}
        if clock.get("end") is None:
            clock.pop("end", None)
        built: Any = self.curve(**given)
        vars(self).update({name: getattr(built, name) for name in self._settings()})
        self._settle(clock.get("begin", 0), clock.get("end", INF))
        super().__init__(optimizer, param_name, **clock)

    @classmethod
    def _named(cls, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments by name.

        Raises:
            PartArgumentError: there are too many, or one that the curve does not take.
        """
        given = dict(zip(cls.order, args, strict=False))
        wrong = [name for name in kwargs if name not in cls.order or name in given]
        if len(args) > len(cls.order) or wrong:
            what = f"{wrong[0]!r} twice or not at all" if wrong else f"no {len(args)} arguments"
            raise PartArgumentError(f"{cls.__name__} takes {what}; its arguments: {', '.join(cls.order)}")
        return {**given, **kwargs}

    def _settle(self, begin: int, end: int) -> None:
        """Work out what depends on `begin` and `end`."""

    def _get_value(self) -> list[float]:
        curve = self.curve(**{name: self._setting(name) for name in self._settings()})
        curve.end = None if self.end == INF else self.end - self.begin
        values = [group[self.param_name] for group in self.optimizer.param_groups]
        return curve.advance(values, self.base_values, self.last_step, self._length(), 1)

    def _length(self) -> float:
        return self.end - self.begin

    @classmethod
    def _settings(cls) -> list[str]:
        """The arguments of the curve."""
        return [name for name in cls.order if name not in _CLOCK]

    def _setting(self, name: str) -> Any:
        return getattr(self, name)

    @classmethod
    def build_iter_from_epoch(
        cls,
        *args: Any,
        begin: float = 0,
        end: float = INF,
        by_epoch: bool = True,
        epoch_length: int | None = None,
        **kwargs: Any,
    ) -> Self:
        """A scheduler that steps at every batch, from arguments in epochs.

        Raises:
            ValueError: `epoch_length` is missing or below 1, or `by_epoch` is False.
        """
        if not by_epoch or epoch_length is None or epoch_length < 1:
            raise ValueError(f"{cls.__name__}: need by_epoch=True and epoch_length, got {by_epoch=}, {epoch_length=}")
        for name in cls.scaled:
            value = kwargs.get(name)
            if value is not None:
                many = isinstance(value, Sequence)
                kwargs[name] = [item * epoch_length for item in value] if many else value * epoch_length
        clock: dict[str, Any] = {
            "begin": int(begin * epoch_length),
            "end": end if end == INF else int(end * epoch_length),
        }
        build: Any = cls
        scheduler: Self = build(*args, **clock, by_epoch=False, **kwargs)
        return scheduler


class _Lasting(_OverCurve):
    """Of curves that reach their last value at `end - 1`."""

    def _settle(self, begin: int, end: int) -> None:
        self.total_iters = end - begin - 1


class ConstantParamScheduler(_Lasting):
    """`ConstantLR` for any parameter."""

    curve, order = schedules.ConstantLR, ("factor", *_CLOCK)


class LinearParamScheduler(_Lasting):
    """`LinearLR` for any parameter."""

    curve, order = schedules.LinearLR, ("start_factor", "end_factor", *_CLOCK)


class PolyParamScheduler(_Lasting):
    """`PolyLR` for any parameter."""

    curve, order = schedules.PolyLR, ("eta_min", "power", *_CLOCK)


class ExponentialParamScheduler(_OverCurve):
    """`ExponentialLR` for any parameter."""

    curve, order = schedules.ExponentialLR, ("gamma", *_CLOCK)


class StepParamScheduler(_OverCurve):
    """`StepLR` for any parameter."""

    curve, order, scaled = schedules.StepLR, ("step_size", "gamma", *_CLOCK), ("step_size",)


class MultiStepParamScheduler(_OverCurve):
    """`MultiStepLR` for any parameter."""

    curve, scaled = schedules.MultiStepLR, ("milestones",)
    order = ("milestones", "gamma", "last_step", "begin", "end", "by_epoch", "verbose")

    def _settle(self, begin: int, end: int) -> None:
        self.milestones: Counter[int] = Counter(self.milestones)

    def _setting(self, name: str) -> Any:
        return sorted(self.milestones.elements()) if name == "milestones" else super()._setting(name)


class CosineAnnealingParamScheduler(_OverCurve):
    """`CosineAnnealingLR` for any parameter."""

    curve, scaled = schedules.CosineAnnealingLR, ("T_max",)
    order = ("T_max", "eta_min", *_CLOCK, "eta_min_ratio")

    def _settle(self, begin: int, end: int) -> None:
        self.T_max = self.T_max or end - begin
        self.eta_min: float | None = 0.0 if self.eta_min is None and self.eta_min_ratio is None else self.eta_min

    T_max: float | None
    eta_min_ratio: float | None


class CosineRestartParamScheduler(_OverCurve):
    """`CosineRestartLR` for any parameter."""

    curve, scaled = schedules.CosineRestartLR, ("periods",)
    order = ("periods", "restart_weights", "eta_min", *_CLOCK, "eta_min_ratio")
    periods: Sequence[int]

    def _settle(self, begin: int, end: int) -> None:
        self.cumulative_periods = list(accumulate(self.periods))

    def _length(self) -> float:
        return math.inf if self.end == INF else super()._length()


class OneCycleParamScheduler(_OverCurve):
    """`OneCycleLR` for any parameter, which lasts `total_steps`.

    Raises:
        ValueError: a step behind the last.
    """

    curve, scaled = schedules.OneCycleLR, ("total_steps",)
    order = (
        *("eta_max", "total_steps", "pct_start", "anneal_strategy", "div_factor", "final_div_factor", "three_phase"),
        *_CLOCK,
    )
    total_steps: int

    def _length(self) -> float:
        return math.inf if self.end == INF else super()._length()

    def _get_value(self) -> list[float]:
        if self.last_step > self.total_steps:
            raise ValueError(f"{type(self).__name__}: this is step {self.last_step}, total_steps is {self.total_steps}")
        return super()._get_value()


class ReduceOnPlateauParamScheduler(ParamScheduler):
    """`ReduceOnPlateauLR` for any parameter: `step(metrics)` takes the figures of a validation.

    Args:
        optimizer, param_name: see `ParamScheduler`.
        monitor, rule, factor, patience, threshold, threshold_rule, cooldown, eps: see
            `kinema.optim.schedules.ReduceOnPlateauLR`.
        min_value: lowest value, or one for each group.
        begin, end, last_step, by_epoch, verbose: see `ParamScheduler`.

    Raises:
        ValueError: impossible values.
        KeyError: `metrics` has no `monitor`.
        TypeError: `metrics` is no dict of numbers.
    """

    need_val_args = True

    def __init__(
        self,
        optimizer: Any,
        param_name: str,
        monitor: str = "loss",
        rule: Any = "less",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_rule: Any = "rel",
        cooldown: int = 0,
        min_value: float | Sequence[float] = 0.0,
        eps: float = 1e-8,
        begin: int = 0,
        end: int = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        self.monitor, self.factor, self.patience, self.cooldown, self.eps = monitor, factor, patience, cooldown, eps
        self.rule, self.threshold, self.threshold_rule, self.by_epoch = rule, threshold, threshold_rule, by_epoch
        self.best: float = self._curve().state["best"]
        self.num_bad_epochs = self.cooldown_counter = 0
        groups = optimizer.param_groups
        self.min_values = list(min_value) if isinstance(min_value, Sequence) else [min_value] * len(groups)
        if len(self.min_values) != len(groups):
            raise ValueError(f"expected a min_value for each of {len(groups)} groups, got {min_value}")
        super().__init__(optimizer, param_name, begin, end, last_step, by_epoch, verbose)

    def _curve(self) -> schedules.ReduceOnPlateauLR:
        names = ("monitor", "rule", "factor", "patience", "threshold", "threshold_rule", "cooldown", "eps", "by_epoch")
        return schedules.ReduceOnPlateauLR(**{name: getattr(self, name) for name in names})

    def step(self, metrics: Mapping[str, Any] | None = None) -> None:
        """A validation is done: set the values of the next steps."""
        if metrics is not None:
            if not isinstance(metrics, Mapping):
                raise TypeError(f"{type(self).__name__}: metrics must be a dict, got {metrics!r}")
            if self.monitor not in metrics:
                raise KeyError(f"{type(self).__name__}: there is no {self.monitor} in {list(metrics)}")
            self._global_step += 1
            if self.begin <= self._global_step < self.end:
                self.last_step += 1
                curve = self._curve()
                curve.state.update(best=self.best, bad=self.num_bad_epochs, cooling=self.cooldown_counter)
                curve.observe(metrics)
                self.best, self.num_bad_epochs = curve.state["best"], curve.state["bad"]
                self.cooldown_counter = curve.state["cooling"]
                if curve.state["reductions"]:
                    self._reduce()
        self._last_value = [group[self.param_name] for group in self.optimizer.param_groups]

    def _reduce(self) -> None:
        for place, (group, lowest) in enumerate(zip(self.optimizer.param_groups, self.min_values, strict=True)):
            value = max(group[self.param_name] * self.factor, lowest)
            if group[self.param_name] - value > self.eps:
                group[self.param_name] = value
                self.print_value(self.verbose, place, value)


class LRSchedulerMixin:
    """For the learning rate: `(optimizer, ...)`."""

    def __init__(self, optimizer: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(optimizer, "lr", *args, **kwargs)  # type: ignore[call-arg]


class MomentumSchedulerMixin:
    """For the momentum, or the first of Adam's `betas`: `(optimizer, ...)`.

    Raises:
        ValueError: the optimizer has neither.
    """

    optimizer: Any

    def __init__(self, optimizer: Any, *args: Any, **kwargs: Any) -> None:
        self.use_betas = "momentum" not in optimizer.defaults
        if self.use_betas and "betas" not in optimizer.defaults:
            raise ValueError(f"{type(self).__name__}: the optimizer has neither momentum nor betas")
        for group in optimizer.param_groups if self.use_betas else ():
            group["momentum"] = group["betas"][0]
        super().__init__(optimizer, "momentum", *args, **kwargs)  # type: ignore[call-arg]

    def step(self, *args: Any) -> None:
        """As of any scheduler."""
        super().step(*args)  # type: ignore[misc]
        for group in self.optimizer.param_groups if self.use_betas else ():
            group["betas"] = (group["momentum"], *group["betas"][1:])


SCHEDULERS: list[type[ParamScheduler]] = []


def _for_rate_and_momentum(scheduler: type[ParamScheduler]) -> tuple[Any, Any]:
    """The same scheduler for the learning rate and for the momentum."""
    stem = scheduler.__name__.removesuffix("ParamScheduler")
    of_rate: Any = type(f"{stem}LR", (LRSchedulerMixin, scheduler), {"__module__": __name__})
    of_momentum: Any = type(f"{stem}Momentum", (MomentumSchedulerMixin, scheduler), {"__module__": __name__})
    of_rate.__doc__, of_momentum.__doc__ = (f"`{stem}LR` for the {what}." for what in ("learning rate", "momentum"))
    kind: Any
    for kind, fixed in ((scheduler, ("param_name",)), (of_rate, ()), (of_momentum, ())):
        kind.schedule = getattr(schedules, kind.__name__)
        kind.register(kind.schedule)
        kind.__signature__ = inspect.Signature(_parameters(scheduler, ("optimizer", *fixed)))
        SCHEDULERS.append(kind)
    return of_rate, of_momentum


def _parameters(scheduler: type[ParamScheduler], first: Sequence[str]) -> list[inspect.Parameter]:
    """What a scheduler takes, in OpenMMLab's order, with the types and defaults of its curve."""
    known = inspect.signature(ParamScheduler).parameters | inspect.signature(scheduler.schedule).parameters
    order = getattr(scheduler, "order", ()) or list(inspect.signature(scheduler).parameters)[2:]
    return [known[name].replace(kind=inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in (*first, *order)]


ConstantLR, ConstantMomentum = _for_rate_and_momentum(ConstantParamScheduler)
LinearLR, LinearMomentum = _for_rate_and_momentum(LinearParamScheduler)
PolyLR, PolyMomentum = _for_rate_and_momentum(PolyParamScheduler)
ExponentialLR, ExponentialMomentum = _for_rate_and_momentum(ExponentialParamScheduler)
StepLR, StepMomentum = _for_rate_and_momentum(StepParamScheduler)
MultiStepLR, MultiStepMomentum = _for_rate_and_momentum(MultiStepParamScheduler)
CosineAnnealingLR, CosineAnnealingMomentum = _for_rate_and_momentum(CosineAnnealingParamScheduler)
CosineRestartLR, CosineRestartMomentum = _for_rate_and_momentum(CosineRestartParamScheduler)
OneCycleLR, _ = _for_rate_and_momentum(OneCycleParamScheduler)
ReduceOnPlateauLR, ReduceOnPlateauMomentum = _for_rate_and_momentum(ReduceOnPlateauParamScheduler)
