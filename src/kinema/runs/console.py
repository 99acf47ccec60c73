"""How fast a training goes, in words for the console and as figures for trackers."""

import sys
import time
from collections.abc import Mapping
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from kinema.progress import format_seconds

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


SECONDS_BETWEEN = 1.0  # drawing takes milliseconds


class PassBar:
    """The batches of a pass that are done, as a bar at the foot of a terminal; elsewhere nothing.

    It has no thread: processes that read clips are forked from this one at any time. `close` must
    be called, since a terminal's cursor is hidden meanwhile.
    """

    def __init__(self) -> None:
        self._live: Progress | None = None
        self._drawn = time.monotonic()

    @property
    def is_due(self) -> bool:
        """Is there a terminal, and was the last time long enough ago?"""
        return time.monotonic() - self._drawn >= SECONDS_BETWEEN and sys.stderr.isatty()

    def show(self, done: int, total: int | None, epoch: int) -> None:
        """Draw it, where that is due."""
        if not self.is_due:
            return
        self._drawn = time.monotonic()
        if self._live is None:
            columns = (TextColumn("epoch {task.fields[epoch]}"), BarColumn(), MofNCompleteColumn())
            self._live = Progress(*columns, console=Console(stderr=True), auto_refresh=False, transient=True)
            self._live.add_task("", epoch=epoch)
            self._live.start()
        self._live.update(self._live.task_ids[0], completed=done, total=total, epoch=epoch, refresh=True)

    def close(self) -> None:
        """Take it away."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def peak_memory(device: torch.device | None = None) -> int | None:
    """The most bytes that were in use so far: on a GPU by tensors, elsewhere by this process; None: not known."""
    if device is not None and device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if resource is None:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def pace_of(samples: int, data_seconds: float, seconds: float, memory: int | None) -> dict[str, float]:
    """The pace of some steps as figures.

    Args:
        samples: of all processes.
        data_seconds: that were spent waiting for data.
        seconds: that the steps took, waiting included.
        memory: see `peak_memory`.

    Returns:
        `clips_per_second`, `data_share` (0 to 1), `memory_gib`; what is not known is not there.
    """
    figures = {} if memory is None else {"memory_gib": memory / 2**30}
    if seconds <= 0:
        return figures
    return {"clips_per_second": samples / seconds, "data_share": min(data_seconds / seconds, 1.0), **figures}


def format_pace(pace: Mapping[str, Any], seconds_left: float | None) -> str:
    """`22.4 clips/s (53 % waiting for data)  1.2 GiB  0:10 left`: the pace on the console."""
    parts = []
    if "clips_per_second" in pace:
        rate = pace["clips_per_second"]
        text = f"{rate:.1f}" if rate < 100 else f"{rate:.0f}"
        parts.append(f"{text} clips/s ({pace['data_share']:.0%} waiting for data)")
    if "memory_gib" in pace:
        parts.append(f"{pace['memory_gib']:.1f} GiB")
    if seconds_left is not None:
        parts.append(f"{format_seconds(seconds_left)} left")
    return "  ".join(parts)
