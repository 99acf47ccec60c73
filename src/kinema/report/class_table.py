"""The results of each class as a page shows them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kinema.evaluation.class_intervals import ClassInterval, Ends
from kinema.evaluation.classes import class_results

MOST_MISTAKES = 2


@dataclass(frozen=True)
class Share:
    """A share from 0 to 1 with its 95 % interval; None: it is not defined."""

    value: float | None
    ends: Ends | None

    @property
    def shown(self) -> str:
        """In percent."""
        return "–" if self.value is None else f"{self.value:.0%}"  # noqa: RUF001

    @property
    def interval(self) -> str:
        """The ends, in percent."""
        return "" if self.ends is None else f"{self.ends[0]:.0%} to {self.ends[1]:.0%}"


@dataclass(frozen=True)
class ClassRow:
    """A row of the table.

    Attributes:
        name: of the class.
        clips: that are of it.
        shares: by name of the column.
        mistakes: what its clips are taken for most often, with counts.
    """

    name: str
    clips: int
    shares: dict[str, Share]
    mistakes: tuple[tuple[str, int], ...] = ()


def class_rows(matrix: np.ndarray, names: Sequence[str], intervals: Sequence[ClassInterval]) -> list[ClassRow]:
    """One row a class.

    Args:
        matrix: (N, N) counts, true classes down, predicted classes across.
        names: (N,) of the classes.
        intervals: (N,), see `class_intervals`.
    """
    rows = []
    for index, (name, result, ends) in enumerate(zip(names, class_results(matrix), intervals, strict=True)):
        wrong = matrix[index].copy()
        wrong[index] = 0
        worst = np.argsort(-wrong, kind="stable")[:MOST_MISTAKES]
        shares = {
            "precision": Share(_defined(result.precision), ends.precision),
            "recall": Share(_defined(result.recall), ends.recall),
            "F1": Share(_defined(result.f1), ends.f1),
        }
        mistakes = tuple((names[other], int(wrong[other])) for other in worst.tolist() if wrong[other])
        rows.append(ClassRow(name, result.clips, shares, mistakes))
    return rows


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else value
