"""Progress of loops, on standard error: a live bar on a terminal, a plain line every few seconds elsewhere."""

import multiprocessing
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from time import monotonic
from typing import Any, TextIO, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

Item = TypeVar("Item")
Result = TypeVar("Result")

SECONDS_BETWEEN_LINES = 5.0


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.finished_speed or task.speed or 0:.1f}/s")


class ProgressBar:
    """Shows how many of a number of tasks are done, at what rate, and how long the rest will take.

    Args:
        task_num: number of tasks; 0 when unknown.
        bar_width: width of the bar on a terminal, in characters.
        start: begin now; otherwise call `start()`.
        file: where to write; default: `sys.stderr` as it is when the bar starts.

    Raises:
        ValueError: `task_num` is negative.
    """

    def __init__(self, task_num: int = 0, bar_width: int = 50, start: bool = True, file: TextIO | None = None) -> None:
        if task_num < 0:
            raise ValueError(f"the number of tasks must be 0 or more, got {task_num}")
        self.task_num = task_num
        self.bar_width = bar_width
        self.file = file
        self.completed = 0
        self._started = False
        self._started_at = self._line_at = 0.0  # seconds, of the monotonic clock
        self._closed = False
        self._live: Progress | None = None
        self._out: TextIO = sys.stderr
        if start:
            self.start()

    def start(self) -> None:
        """Start the clock, and the bar on a terminal."""
        self._out = sys.stderr if self.file is None else self.file
        self._started = True
        self._started_at = self._line_at = monotonic()
        if self._out.isatty():
            self._live = Progress(
                BarColumn(self.bar_width),
                MofNCompleteColumn(),
                _RateColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                console=Console(file=self._out),
            )
            self._live.add_task("", total=self.task_num or None)
            self._live.start()

    def update(self, num_tasks: int = 1) -> None:
        """Count tasks as done; the last one closes the bar.

        Raises:
            ValueError: `num_tasks` is below 1.
        """
        if num_tasks < 1:
            raise ValueError(f"the number of finished tasks must be 1 or more, got {num_tasks}")
        if not self._started:
            self.start()
        self.completed += num_tasks
        if self._live is not None:
            self._live.update(self._live.task_ids[0], completed=self.completed)
        if self.task_num and self.completed >= self.task_num:
            self.close()
        elif self._live is None and monotonic() - self._line_at >= SECONDS_BETWEEN_LINES:
            self._write_line()

    def close(self) -> None:
        """Leave the terminal in order, or write the last line; a second call does nothing."""
        if self._closed or not self._started:
            return
        self._closed = True
        if self._live is not None:
            self._live.stop()
        else:
            self._write_line()

    def _write_line(self) -> None:
        self._line_at = monotonic()
        self._out.write(progress_line(self.completed, self.task_num, self._line_at - self._started_at) + "\n")
        self._out.flush()


def progress_line(completed: int, task_num: int, seconds: float) -> str:
    """One line of text: count, rate, time so far, time left.

    Args:
        completed: number of tasks done.
        task_num: number of tasks, 0 when unknown.
        seconds: time since the start.
    """
    rate = completed / seconds if seconds > 0 else 0.0
    parts = [f"{completed}/{task_num} ({100 * completed // task_num}%)" if task_num else f"{completed}"]
    if rate:
        parts.append(f"{rate:.1f}/s" if rate >= 1 else f"{1 / rate:.1f} s each")
    parts.append(f"{format_seconds(seconds)} gone")
    if rate and completed < task_num:
        parts.append(f"{format_seconds((task_num - completed) / rate)} left")
    return ", ".join(parts)


def format_seconds(seconds: float, decimals: int = 0) -> str:
    """3723.4 -> "1:02:03"; 123 -> "2:03"; 83.25 with one decimal -> "1:23.3"."""
    parts = 10**decimals
    minutes, rest = divmod(int(seconds * parts + 0.5), 60 * parts)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest // parts:02}" + (f".{rest % parts:0{decimals}}" if decimals else "")
    return f"{hours}:{minutes:02}:{text}" if hours else f"{minutes}:{text}"


def sized(tasks: Any) -> tuple[Iterable[Any], int]:
    """Tasks and their number; a pair (iterable, int) gives the number itself.

    Raises:
        TypeError: the number is unknown.
    """
    if isinstance(tasks, tuple) and len(tasks) == 2 and isinstance(tasks[0], Iterable) and type(tasks[1]) is int:
        return tasks
    if not (isinstance(tasks, Iterable) and isinstance(tasks, Sized)):
        raise TypeError(
            f"tasks must be an iterable with a length, or a pair (iterable, length), got {type(tasks).__name__}"
        )
    return tasks, len(tasks)


def track_iter_progress(
    tasks: Iterable[Item] | tuple[Iterable[Item], int], bar_width: int = 50, file: TextIO | None = None
) -> Iterator[Item]:
    """Iterate over `tasks` and show the progress.

    Args:
        tasks: a list, a tuple, a `DataLoader`, anything with a length; or a pair (iterable,
            length).
        bar_width: see `ProgressBar`.
        file: see `ProgressBar`.

    Raises:
        TypeError: the number of tasks is unknown.
    """
    items, task_num = sized(tasks)
    return _iterate(items, task_num, bar_width, file)


def _iterate(items: Iterable[Item], task_num: int, bar_width: int, file: TextIO | None) -> Iterator[Item]:
    bar = ProgressBar(task_num, bar_width, file=file)
    try:
        for item in items:
            yield item
            bar.update()
    finally:  # also when the loop is left early
        bar.close()


def track_progress(
    func: Callable[[Item], Result],
    tasks: Iterable[Item] | tuple[Iterable[Item], int],
    bar_width: int = 50,
    file: TextIO | None = None,
) -> list[Result]:
    """Call `func` on every task, show the progress, and return the results.

    Args:
        func: called with one task.
        tasks: see `track_iter_progress`.
        bar_width: see `ProgressBar`.
        file: see `ProgressBar`.
    """
    return [func(task) for task in track_iter_progress(tasks, bar_width, file)]


def track_parallel_progress(
    func: Callable[[Item], Result],
    tasks: Iterable[Item] | tuple[Iterable[Item], int],
    nproc: int,
    initializer: Callable[..., None] | None = None,
    initargs: Sequence[Any] = (),
    bar_width: int = 50,
    *,
    keep_order: bool = True,
    file: TextIO | None = None,
) -> list[Result]:
    """Call `func` on every task in `nproc` processes, show the progress, and return the results.

    The processes are started afresh, so `func` must be importable: a function of a module, not of a
    notebook cell.

    Args:
        func: called with one task.
        tasks: see `track_iter_progress`.
        nproc: number of processes.
        initializer: called in each process first.
        initargs: its arguments.
        bar_width: see `ProgressBar`.
        keep_order: results in the order of the tasks; False: in the order of their completion.
        file: see `ProgressBar`.

    Raises:
        ValueError: `nproc` is below 1.
    """
    if nproc < 1:
        raise ValueError(f"the number of processes must be 1 or more, got {nproc}")
    items, task_num = sized(tasks)
    # A fork would copy the locks of torch's and FFmpeg's threads, and could wait for them for ever.
    context = multiprocessing.get_context("spawn")
    bar = ProgressBar(task_num, bar_width, file=file)
    try:
        with ProcessPoolExecutor(nproc, context, initializer, tuple(initargs)) as pool:
            futures = [pool.submit(func, item) for item in items]
            finished = _wait(futures, bar)
        return [future.result() for future in (futures if keep_order else finished)]
    finally:
        bar.close()


def _wait(futures: list[Future[Result]], bar: ProgressBar) -> list[Future[Result]]:
    """The futures in the order of their completion; the first that failed cancels the others and raises."""
    finished = []
    for future in as_completed(futures):
        if future.exception() is not None:
            for other in futures:
                other.cancel()
            future.result()
        finished.append(future)
        bar.update()
    return finished
