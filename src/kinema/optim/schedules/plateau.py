"""The schedule that follows metrics: it alone keeps a state."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from kinema.optim.schedules.schedule import Position, Schedule, variants_of
from kinema.registry import PARAM_SCHEDULERS


@PARAM_SCHEDULERS.register_module()
@dataclass(eq=False)
class ReduceOnPlateauLR(Schedule):
    """Times `factor` when a metric has not improved for more than `patience` validations.

    It acts on the value that all other schedules give.

    Args:
        monitor: name of the metric.
        rule: "less" or "greater": which is better.
        factor: what a reduction multiplies by.
        patience: validations without improvement that are borne.
        threshold: least improvement, a share of the best with `threshold_rule="rel"`, a difference
            with "abs".
        threshold_rule: "rel" or "abs".
        cooldown: validations after a reduction that do not count.
        min_value: lowest value.
        eps: a smaller reduction is left out.
        begin, end: the numbers of the validations, from 1, that count.

    Raises:
        ValueError: impossible values, or a metric that is not there.
    """

    follows_metrics = True

    monitor: str = "loss"
    rule: Literal["less", "greater"] = "less"
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    threshold_rule: Literal["rel", "abs"] = "rel"
    cooldown: int = 0
    min_value: float = 0.0
    eps: float = 1e-8
    state: dict[str, Any] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        rules = self.rule, self.threshold_rule
        if rules not in (("less", "rel"), ("less", "abs"), ("greater", "rel"), ("greater", "abs")):
            self.refuse(f'need rule "less" or "greater", threshold_rule "rel" or "abs", got {rules}')
        if not 0 <= self.factor < 1:
            self.refuse(f"need 0 <= factor < 1, got factor={self.factor}")
        if not self.in_epochs:
            self.refuse("it counts validations: by_epoch=False and convert_to_iter_based=True mean nothing")
        worst = math.inf if self.rule == "less" else -math.inf
        self.state = {"seen": 0, "best": worst, "bad": 0, "cooling": 0, "reductions": 0}

    def observe(self, metrics: Mapping[str, float]) -> None:
        """Take the metrics of a validation."""
        state = self.state
        state["seen"] += 1
        if not self.begin <= state["seen"] < (math.inf if self.end is None else self.end):
            return
        if self.monitor not in metrics:
            self.refuse(f"no metric {self.monitor}; there is: {', '.join(metrics) or 'none'}")
        value, best, sign = metrics[self.monitor], state["best"], 1 if self.rule == "less" else -1
        limit = best * (1 - sign * self.threshold) if self.threshold_rule == "rel" else best - sign * self.threshold
        if sign * value < sign * limit:
            state.update(best=value, bad=0)
        else:
            state["bad"] += 1
        if state["cooling"]:
            state.update(cooling=state["cooling"] - 1, bad=0)
        if state["bad"] > self.patience:
            state.update(reductions=state["reductions"] + 1, cooling=self.cooldown, bad=0)

    def value(self, position: Position, start: float, base: float) -> float:
        for _ in range(self.state["reductions"]):
            reduced = max(start * self.factor, self.min_value)
            start = reduced if start - reduced > self.eps else start
        return start

    def state_dict(self) -> dict[str, Any]:
        """What it has observed."""
        return dict(self.state)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take what `state_dict()` gave."""
        self.state = dict(state)


ReduceOnPlateauMomentum, ReduceOnPlateauParamScheduler = variants_of(ReduceOnPlateauLR)
