"""What a run writes down while it goes: `metrics.jsonl`, and the line on the console with the time left."""

import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from kinema.distributed import is_main_process
from kinema.files import read_text, write_text

logger = logging.getLogger("kinema")


class MetricsFile:
    """`metrics.jsonl`: one JSON object a line, with `step`, `epoch`, `split`, `seconds` and the figures.

    Args:
        path: the file; lines are appended.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._count: int | None = None  # of its lines; None: not counted yet

    def write(self, *, step: int, epoch: int, split: str, figures: Mapping[str, float], seconds: float) -> None:
        """Append one line. Figures that are not finite become null."""
        line: dict[str, Any] = {"step": step, "epoch": epoch, "split": split}
        line |= {name: _finite(value) for name, value in figures.items()}
        line["seconds"] = round(seconds, 3)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if self._count is not None:
            self._count += 1

    def state_dict(self) -> dict[str, Any]:
        """How many lines were written. Only the first time they are counted in the file."""
        if self._count is None:
            self._count = len(self.read()) if self.path.is_file() else 0
        return {"lines": self._count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Remove the lines behind those of `state_dict()`, which a resumed run writes again."""
        self._count = None
        if is_main_process() and self.path.is_file():
            write_text(self.path, "".join(json.dumps(line) + "\n" for line in self.read()[: state["lines"]]))

    def read(self) -> list[dict[str, Any]]:
        """All lines; those that are no record, such as a last one that was cut off in the middle, are left out."""
        lines = []
        for text in read_text(self.path, errors="replace").split("\n"):
            try:
                line = json.loads(text)
            except (ValueError, RecursionError):
                continue
            if isinstance(line, dict) and isinstance(line.get("step"), int):
                lines.append(line)
        return lines


def _finite(value: float) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def without_repetition(figures: Mapping[str, float]) -> dict[str, float]:
    """The figures without the part of a loss that has no other: `loss_cls` is `loss` then."""
    parts = [name for name in figures if "loss" in name and name != "loss"]
    if len(parts) != 1 or "loss" not in figures:
        return dict(figures)
    return {name: value for name, value in figures.items() if name != parts[0]}


_MOST = 1_000  # values of a figure that wait on their device


class Averages:
    """Means of named figures; tensors stay on their device, untouched, until they are read."""

    def __init__(self) -> None:
        self._fresh: dict[str, list[Any]] = {}  # not in the sums yet
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def add(self, figures: Mapping[str, Any]) -> None:
        """Add one batch's figures: floats or scalar tensors."""
        for name, value in figures.items():
            fresh = self._fresh.setdefault(name, [])
            # A copy: a parameter or buffer is another number at the next step.
            fresh.append(value.detach().clone() if isinstance(value, torch.Tensor) else value)
            if len(fresh) == _MOST:
                self._totals()

    def include(self, other: "Averages") -> None:
        """Add all that another one has."""
        self._totals()
        for name, (total, count) in other._totals().items():
            self._sums[name] = self._sums.get(name, 0.0) + total
            self._counts[name] = self._counts.get(name, 0) + count

    def means(self) -> dict[str, float]:
        """The means by name."""
        return {name: total / count for name, (total, count) in self._totals().items()}

    def take(self) -> dict[str, float]:
        """The means, and start again."""
        means = self.means()
        self._sums, self._counts = {}, {}
        return means

    def _totals(self) -> dict[str, tuple[float, int]]:
        """Sums and counts. A number is added after the other, so that a resumed run has the same sums."""
        fresh, self._fresh = self._fresh, {}
        for name, values in fresh.items():
            total = self._sums.get(name, 0.0)
            for value in _as_floats(values):
                total += value
            self._sums[name], self._counts[name] = total, self._counts.get(name, 0) + len(values)
        return {name: (total, self._counts[name]) for name, total in self._sums.items()}

    def state_dict(self) -> dict[str, Any]:
        """Sums and counts."""
        totals = self._totals()
        return {
            "sums": {name: total for name, (total, _) in totals.items()},
            "counts": {name: count for name, (_, count) in totals.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the sums and counts of `state_dict()` back.

        Raises:
            ValueError: a figure has one of both only.
        """
        if state["counts"].keys() != state["sums"].keys():
            raise ValueError(f"sums of {', '.join(state['sums'])}, but counts of {', '.join(state['counts'])}")
        self._fresh, self._counts = {}, {name: int(count) for name, count in state["counts"].items()}
        self._sums = {name: float(total) for name, total in state["sums"].items()}


def _as_floats(values: Sequence[Any]) -> list[float]:
    """Numbers of scalars; tensors of one kind come from their device in one copy."""
    if all(isinstance(value, torch.Tensor) for value in values) and len({value.device for value in values}) == 1:
        numbers: list[float] = torch.stack([value.reshape(()) for value in values]).tolist()
        return numbers
    return [float(value) for value in values]


def format_validation(figures: Mapping[str, float]) -> str:
    """`acc/top1 0.5000 (0.31 to 0.69, 24 clips)  loss 0.6931`: the figures of a validation on the console."""
    shown = []
    for name, value in figures.items():
        if name.endswith(("_low", "_high")) or name in ("num_clips", "num_sources"):
            continue
        low, high = figures.get(f"{name}_low"), figures.get(f"{name}_high")
        clips = f", {figures['num_clips']:.0f} clips" if "num_clips" in figures else ""
        shown.append(
            f"{name} {value:.4f}" + ("" if low is None or high is None else f" ({low:.2f} to {high:.2f}{clips})")
        )
    return "  ".join(shown)


def format_figures(figures: Mapping[str, float]) -> str:
    """`loss 0.693  acc/top1 0.5000`: the figures of a line on the console."""
    return "  ".join(
        f"{name} {value:.2e}" if name.rpartition(".")[2] == "lr" else f"{name} {value:.4f}"
        for name, value in figures.items()
    )
