"""What the validations of a run say: which epoch is best, whether training still helps, and what to warn of.

Pure functions.

A history is a list of entries `{"epoch": 3, "step": 12, "train": {...}, "val": {...}}`, one a
validation, with the figures of the epoch's training and of the validation behind it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, SupportsFloat

from kinema.errors import ConfigError
from kinema.printable import plural

History = Sequence[Mapping[str, Any]]

LOSS = "loss"
LEAST_LOSS_GAIN = 0.01  # a loss that falls by less than this share of itself has not improved
OVERFIT_GAP = 0.15  # training accuracy this far above the validation's says that clips are learnt by heart
LOSS_RISE = 1.5  # as does a validation loss so many times its least


def check_history(history: Sequence[Any]) -> None:
    """Require what a checkpoint says of the validations to be a history.

    Raises:
        ValueError: an entry is something else.
    """
    for entry in history:
        fits = isinstance(entry, Mapping) and all(type(entry.get(name)) is int for name in ("epoch", "step"))
        if not fits or not all(_are_figures(entry.get(name)) for name in ("train", "val")):
            raise ValueError(f"a validation of the history is {entry!r:.120}")


def _are_figures(figures: Any) -> bool:
    return isinstance(figures, Mapping) and all(
        isinstance(name, str) and isinstance(value, SupportsFloat | None) for name, value in figures.items()
    )


def trailing_mean(history: History, name: str, window: int) -> float | None:
    """Mean of a validation figure over the last `window` entries (of fewer, over those); None where one lacks it."""
    values = [entry["val"].get(name) for entry in history[-window:]]
    known = [float(value) for value in values if value is not None]
    if not known or len(known) < len(values):
        return None
    return round(sum(known) / len(known), 9)  # so that equal means are equal, whatever the order of their terms


def rank_of_last(history: History, metric: str, window: int, *, is_less: bool = False) -> tuple[float, float]:
    """What orders epochs: the metric, averaged over the last `window` validations; where that is equal, the lower loss.

    Args:
        history: not empty.
        metric: name of the figure.
        window: validations to average over.
        is_less: a lower metric is better.

    Returns:
        Greater is better.

    Raises:
        KeyError: an entry has no such metric.
    """
    mean = trailing_mean(history, metric, window)
    if mean is None:
        raise KeyError(metric)
    loss = trailing_mean(history, LOSS, window)
    return (-mean if is_less else mean), (0.0 if loss is None else -loss)


def validations_without_gain(history: History, metric: str, window: int = 3, *, is_less: bool = False) -> int:
    """How many validations ago the smoothed metric or the smoothed loss was last better than ever before.

    Both are averaged as in `rank_of_last`; a loss must fall by `LEAST_LOSS_GAIN` of itself to
    count.
    """
    best_metric = best_loss = float("inf")
    last = 0
    for count in range(min(window, len(history)), len(history) + 1):
        part = history[:count]
        mean, loss = trailing_mean(part, metric, window), trailing_mean(part, LOSS, window)
        value = float("inf") if mean is None else (mean if is_less else -mean)
        if value < best_metric - 1e-9:
            best_metric, last = value, count
        if loss is not None and loss < best_loss * (1 - LEAST_LOSS_GAIN):
            best_loss, last = loss, count
    return len(history) - last


_LESS = ("loss", "error")
_GREATER = ("acc", "top", "ar@", "auc", "precision", "recall", "map", "mdice", "miou", "macc", "f1")


def rule_of(figure: str) -> str | None:
    """Whether "less" or "greater" values of a figure are better, by its name; None: it does not say."""
    name = figure.lower()
    if any(part in name for part in _LESS):
        return "less"
    return "greater" if any(part in name for part in _GREATER) else None


@dataclass(frozen=True)
class Monitor:
    """Which figure of a validation says how good a model is, and when a validation is the best so far.

    Args:
        metric: its name; "auto" or None: the first. None also says that none is the best.
        rule: "greater" or "less" is better; default: less for losses and errors.
        smooth: validations over which the figure is averaged.

    Raises:
        ConfigError: a value is none of these.
    """

    metric: str | None = "auto"
    rule: str | None = None
    smooth: int = 1

    def __post_init__(self) -> None:
        where = "default_hooks.checkpoint"
        if not isinstance(self.smooth, int) or self.smooth < 1:
            raise ConfigError(f"{where}: smooth must be a number of validations from 1, got {self.smooth!r}")
        if not isinstance(self.metric, str | None):
            raise ConfigError(f"{where}: save_best must be the name of one metric, 'auto' or None, got {self.metric!r}")
        if self.rule not in (None, "greater", "less"):
            raise ConfigError(f"{where}: rule must be 'greater' or 'less', got {self.rule!r}")

    def name(self, metrics: Mapping[str, float]) -> str:
        """Name of the figure among those of a validation.

        Raises:
            ConfigError: there is no such figure.
        """
        if self.metric in (None, "auto"):
            return next(iter(metrics))
        if self.metric not in metrics:
            raise ConfigError(f"save_best={self.metric!r} is no metric of the evaluation: it has {', '.join(metrics)}")
        return str(self.metric)

    def is_less(self, name: str) -> bool:
        """Is a lower value of this figure better? Where its name does not say, a higher one is."""
        return (self.rule or rule_of(name)) == "less"

    def improves(self, history: History, best: Mapping[str, Any]) -> bool:
        """Is the last validation better than the best before it?

        With `smooth` above 1 the mean of the last `smooth` validations decides; of equal means the
        lower loss, then the later epoch. Until there have been so many, the last one is the best.

        Args:
            history: the validations.
            best: the best one before: its `value` and `step`; empty: none.
        """
        if self.metric is None or not history or not history[-1]["val"]:
            return False
        name = self.name(history[-1]["val"])
        history = [entry for entry in history if name in entry["val"]]  # a resumed run may have further metrics
        if not best or best.get("metric", name) != name:
            return True
        is_less = self.is_less(name)
        if self.smooth == 1:
            value = history[-1]["val"][name]
            return bool(value < best["value"] if is_less else value > best["value"])
        if len(history) <= self.smooth:
            return True
        before = [entry for entry in history if entry["step"] <= best["step"]]
        now, then = (rank_of_last(part, name, self.smooth, is_less=is_less) for part in (history, before or history))
        return now >= then

    def without_gain(self, history: History) -> int:
        """How many validations ago the figure, or the loss, last improved."""
        if not history:
            return 0
        name = self.name(history[-1]["val"])
        return validations_without_gain(history, name, self.smooth, is_less=self.is_less(name))


def summary_of(history: History, best: Mapping[str, Any]) -> dict[str, Any]:
    """What `summary.json` says of the figures.

    Args:
        history: of the run.
        best: `metric`, `value`, `epoch`, `checkpoint` of the best epoch; empty: there was no
            validation.

    Returns:
        `best`, with the 95 % `interval`, `num_clips` and `num_sources` that its value stands on,
        where they are known, and all its `metrics`; `final`, the same of the last validation;
        `train`, the figures of the last epoch's training; `validations`, their number; `warnings`,
        sentences.
    """
    if not history or not best:
        return {"best": dict(best), "final": {}, "train": {}, "validations": len(history), "warnings": []}
    name, last = best["metric"], history[-1]
    of_best = next((entry for entry in history if entry["step"] == best["step"]), None)
    final = {"metric": name, "value": last["val"].get(name), "epoch": last["epoch"]}
    return {
        "best": {**best, **({} if of_best is None else _basis(name, of_best["val"]))},
        "final": {**final, **_basis(name, last["val"])},
        "train": dict(last["train"]),
        "validations": len(history),
        "warnings": list(training_warnings(history, best)),
    }


def _basis(name: str, figures: Mapping[str, Any]) -> dict[str, Any]:
    ends = [figures.get(f"{name}_low"), figures.get(f"{name}_high")]
    counts = {key: int(figures[key]) for key in ("num_clips", "num_sources") if key in figures}
    return {**({} if None in ends else {"interval": ends}), **counts, "metrics": dict(figures)}


def training_warnings(history: History, best: Mapping[str, Any]) -> Iterator[str]:
    """What a user should know of the figures at the end of a run, a sentence each.

    Args:
        history: of the run.
        best: the best epoch: `epoch`, and `metric`, which is looked at where it is "acc/top1".
    """
    if not history or best.get("metric") != "acc/top1":
        return
    last = history[-1]
    of_best = next((entry for entry in history if entry["step"] == best["step"]), last)
    seen, unseen = last["train"].get("top1_acc"), last["val"].get("acc/top1")
    high = last["val"].get("acc/top1_high", 1.0)
    losses = [entry["val"][LOSS] for entry in history if entry["val"].get(LOSS) is not None]
    rises = bool(losses) and losses[-1] > LOSS_RISE * min(losses) and losses[-1] - min(losses) > 0.1
    if seen is not None and unseen is not None and seen - unseen > OVERFIT_GAP and seen > high:
        yield (
            f"the network learns the training clips by heart: {seen:.1%} of them are right in the last epoch,"
            f" {unseen:.1%} of the validation clips; more clips, weights to start from (--pretrained) or a smaller"
            " network help"
        )
    elif rises:
        yield (
            f"the network overfits: the loss on the validation clips rose from {min(losses):.2f} to {losses[-1]:.2f},"
            " so its scores are surer than it is right; fewer epochs, more clips or weights to start from"
            " (--pretrained) help"
        )
    low, top = of_best["val"].get("acc/top1_low"), of_best["val"].get("acc/top1_high")
    if low is not None and top is not None and top - low > 0.2:
        count = int(of_best["val"].get("num_clips", 0))
        yield (
            f"the accuracy stands on {plural(count, 'validation clip')}: on others of their kind it may be anything"
            f" from {low:.1%} to {top:.1%}; more validation clips, or --folds 5, tell better"
        )
    if len(history) > 1 and unseen is not None and of_best["step"] != last["step"]:
        gain = of_best["val"]["acc/top1"] - unseen
        if gain > 0.02:
            yield (
                f"the best of {len(history)} validations was chosen by these same clips, and is {gain:.1%} above the"
                " last: new clips will rather be right as often as in the last"
            )
