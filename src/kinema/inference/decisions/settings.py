"""What it takes for a class to be there: the settings that timeline and stream share."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import get_args

import numpy as np

from kinema.inference.decisions.smoothing import Smoothing
from kinema.spelling import nearest

DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True, kw_only=True)
class DecisionSettings:
    """How scores over time become segments. By default every class counts from a score of 0.5 on.

    Attributes:
        threshold: score from which a class is there, for classes without one in `thresholds`; None:
            0.5, and 0 with `best_only`.
        thresholds: by class name.
        best_only: at every moment only the class with the highest score is there, if it reaches its
            threshold; for models that choose one of their classes. Otherwise every class that
            reaches its threshold is, and several may be there at once.
        hysteresis: a class that is there stays until its score falls below (1 - `hysteresis`) times
            its threshold, and with `best_only` below that share of the highest score. From 0
            (inclusive) to 1.
        smoothing_seconds: each score becomes that of so many seconds around it, which are cut off
            where the scores begin and end; 0: it stays.
        smoothing: "mean", "median" or "gaussian" of its class over these seconds, see `MovingWindow`.
        merge_seconds: a gap between two segments of a class is closed when it is shorter.
        min_seconds: segments that are shorter, after merging, are dropped.
        classes: the classes to report; None: all. The others still compete with `best_only`.
        background: classes that are never reported, such as "nothing"; likewise.

    Raises:
        ValueError: a value is out of its range.
    """

    threshold: float | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    best_only: bool = False
    hysteresis: float = 0.0
    smoothing_seconds: float = 0.0
    smoothing: Smoothing = "mean"
    merge_seconds: float = 0.0
    min_seconds: float = 0.0
    classes: tuple[str, ...] | None = None
    background: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "thresholds", MappingProxyType(dict(self.thresholds)))
        levels = {"threshold": self.threshold or 0.0}
        levels |= {f"the threshold of {label}": value for label, value in self.thresholds.items()}
        for name, value in levels.items():
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must be a score from 0 to 1, got {value}")
        if not 0 <= self.hysteresis < 1:
            raise ValueError(f"hysteresis must be a share of the threshold, from 0 to below 1, got {self.hysteresis}")
        for name in ("smoothing_seconds", "merge_seconds", "min_seconds"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be 0 or more seconds, got {getattr(self, name)}")
        if self.smoothing not in get_args(Smoothing):
            raise ValueError(f"smoothing must be one of {', '.join(get_args(Smoothing))}, got {self.smoothing!r}")

    def check(self, classes: Sequence[str]) -> None:
        """Raises ValueError: the settings name a class that is not among these, or leave none to report."""
        self.levels(classes)
        if classes and not self.reported(classes).any():
            raise ValueError("background: no class is left to report")

    def levels(self, classes: Sequence[str]) -> np.ndarray:
        """(N,) float64: the threshold of each class.

        Args:
            classes: names of the scores' columns.

        Raises:
            ValueError: `thresholds` names a class that is not there.
        """
        _require_known(self.thresholds, classes, "thresholds")
        default = self.threshold
        if default is None:
            default = 0.0 if self.best_only else DEFAULT_THRESHOLD
        return np.array([self.thresholds.get(label, default) for label in classes], dtype=np.float64)

    def reported(self, classes: Sequence[str]) -> np.ndarray:
        """(N,) bool: may segments of a class be reported?

        Args:
            classes: names of the scores' columns.

        Raises:
            ValueError: `classes` or `background` of the settings names a class that is not there.
        """
        _require_known(self.classes or (), classes, "classes")
        _require_known(self.background, classes, "background")
        shown = set(classes if self.classes is None else self.classes) - set(self.background)
        return np.array([label in shown for label in classes], dtype=bool)

    @classmethod
    def of_model(
        cls, *, thresholds: Mapping[str, float] | None = None, is_multi_label: bool = False
    ) -> "DecisionSettings":
        """What suits a model when nobody says more: its tuned thresholds, and as many labels as it gives.

        Of a model that chooses one class, at each moment the class with the highest score is there,
        if it reaches its threshold; a class without a tuned one always does. Of a model of several
        labels every class is that reaches its threshold; without a tuned one, 0.5.

        Args:
            thresholds: those of its checkpoint, by class name.
            is_multi_label: are its scores of each class independent of the others?
        """
        return cls(thresholds=thresholds or {}, best_only=not is_multi_label)


def _require_known(names: Iterable[str], classes: Sequence[str], what: str) -> None:
    known = set(classes)
    for name in names:
        if name not in known:
            near = nearest(name, classes) or list(classes[:5])
            raise ValueError(f"{what}: there is no class {name!r}, but {', '.join(near)}")
