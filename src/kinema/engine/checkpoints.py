"""When a run writes a checkpoint, and which one is its best."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from kinema.errors import ConfigError
from kinema.openmmlab.configs import HOOKS_OF_LOOPS
from kinema.runs.history import History, rank_of_last
from kinema.transforms import Compose


class CheckpointSettings:
    """What `default_hooks.checkpoint` says."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        known = {"type", "priority", "save_last", *HOOKS_OF_LOOPS["checkpoint"][1]}
        unknown = sorted(set(settings) - known)
        if unknown:
            raise ConfigError(f"default_hooks.checkpoint has no {unknown[0]!r}: it takes {', '.join(sorted(known))}")
        self.interval = int(settings.get("interval", 1))
        self.keep = int(settings.get("max_keep_ckpts", 3))
        self.save_best = settings.get("save_best", "auto")
        self.rule = settings.get("rule")
        self.smooth = settings.get("smooth", 1)
        if not isinstance(self.smooth, int) or self.smooth < 1:
            raise ConfigError(
                f"default_hooks.checkpoint: smooth must be a number of validations from 1, got {self.smooth!r}"
            )
        if not settings.get("by_epoch", True):
            raise ConfigError("default_hooks.checkpoint: by_epoch=False is not there yet: interval counts epochs")
        if not isinstance(self.save_best, str | None):
            raise ConfigError(
                "default_hooks.checkpoint: save_best must be the name of one metric, 'auto' or None, "
                f"got {self.save_best!r}"
            )
        if self.rule not in (None, "greater", "less"):
            raise ConfigError(f"default_hooks.checkpoint: rule must be 'greater' or 'less', got {self.rule!r}")

    def is_due(self, epoch: int) -> bool:
        """Is a checkpoint to be written after `epoch` epochs?

        With an interval below 1 none but the best and the last.
        """
        return self.interval > 0 and epoch % self.interval == 0

    def metric(self, metrics: Mapping[str, float]) -> str:
        """Name of the metric that decides which checkpoint is best: the first one unless it is named."""
        if self.save_best in (None, "auto"):
            return next(iter(metrics))
        if self.save_best not in metrics:
            raise ConfigError(
                f"save_best={self.save_best!r} is no metric of the evaluation: it has {', '.join(metrics)}"
            )
        return str(self.save_best)

    def is_less(self, name: str) -> bool:
        """Is a lower value of this metric better?"""
        return self.rule == "less" or (self.rule is None and ("loss" in name or "error" in name))

    def improves(self, metrics: Mapping[str, float], best: Mapping[str, Any], history: History = ()) -> bool:
        """Is this evaluation better than the best one so far?

        With `smooth` above 1 the mean of the last `smooth` evaluations decides; of equal means the
        lower loss, then the later epoch. Until there have been so many, the last one is the best.

        Args:
            metrics: of this evaluation.
            best: the best one so far: its `value` and `epoch`; empty: none.
            history: see `kinema.runs.history`; this evaluation is its last entry.
        """
        if not metrics or self.save_best is None:
            return False
        name = self.metric(metrics)
        if not best:
            return True
        is_less = self.is_less(name)
        if self.smooth == 1:
            return bool(metrics[name] < best["value"] if is_less else metrics[name] > best["value"])
        if len(history) <= self.smooth:
            return True
        before = [entry for entry in history if entry["epoch"] <= best["epoch"]]
        now, then = (rank_of_last(part, name, self.smooth, is_less=is_less) for part in (history, before or history))
        return now >= then


def configs_of_pipeline(loader: Any) -> list[dict[str, Any]] | None:
    """Configs of the transforms that a loader's data set runs; None where they are objects, or there are none.

    Args:
        loader: a data loader, or its config; data sets around others are looked into.
    """
    dataset = loader
    while dataset is not None:
        get = dataset.get if isinstance(dataset, Mapping) else partial(getattr, dataset)
        pipeline = get("pipeline", None)
        if isinstance(pipeline, Compose):
            return pipeline.configs
        if isinstance(pipeline, Sequence) and pipeline:
            return [dict(step) for step in pipeline] if all(isinstance(step, Mapping) for step in pipeline) else None
        dataset = get("dataset", None)
    return None
