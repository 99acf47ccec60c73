"""Progress bars of `mmengine.utils`, with the text that programs around them read."""

import multiprocessing
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from typing import Any, TextIO

import rich.progress
from rich.console import Console

from kinema import progress
from kinema.compat.parts.timers import Timer
from kinema.distributed import is_main_process

Tasks = Iterable[Any] | tuple[Iterable[Any], int]


class ProgressBar:
    """Writes a bar, the count, the rate and the seconds left into one line of a file.

    Args:
        task_num: number of tasks; 0 when unknown.
        bar_width: most characters of the bar.
        start: begin now; otherwise call `start()`.
        file: where to write; default: stdout.
    """

    def __init__(self, task_num: int = 0, bar_width: int = 50, start: bool = True, file: TextIO | None = None) -> None:
        self.task_num = task_num
        self.bar_width = bar_width
        self.completed = 0
        self.file = sys.stdout if file is None else file
        if start:
            self.start()

    @property
    def terminal_width(self) -> int:
        """In characters."""
        return shutil.get_terminal_size().columns

    def start(self) -> None:
        """Write the empty bar and start the clock."""
        empty = f"[{' ' * self.bar_width}] 0/{self.task_num}, elapsed: 0s, ETA:"
        self._write(empty if self.task_num > 0 else "completed: 0, elapsed: 0s")
        self.timer = Timer()

    def update(self, num_tasks: int = 1) -> None:
        """Count tasks as done.

        Raises:
            ValueError: `num_tasks` is below 1.
        """
        if num_tasks < 1:
            raise ValueError(f"the number of finished tasks must be 1 or more, got {num_tasks}")
        self.completed += num_tasks
        seconds = self.timer.since_start()
        rate = self.completed / seconds if seconds > 0 else float("inf")
        gone = int(seconds + 0.5)
        if self.task_num <= 0:
            self._write(f"completed: {self.completed}, elapsed: {gone}s, {rate:.1f} tasks/s")
            return
        share = self.completed / self.task_num
        left = int(seconds * (1 - share) / share + 0.5)
        text = f"] {self.completed}/{self.task_num}, {rate:.1f} task/s, elapsed: {gone}s, ETA: {left:5}s"
        room = self.terminal_width - len(f"\r[{text}")
        width = max(2, min(self.bar_width, room, int(self.terminal_width * 0.6)))
        self._write("\r[" + (">" * int(width * share)).ljust(width) + text)

    def _write(self, text: str) -> None:
        self.file.write(text)
        self.file.flush()


def track_iter_progress(tasks: Tasks, bar_width: int = 50, file: TextIO | None = None) -> Iterator[Any]:
    """Iterate over `tasks`, a list or a pair (iterable, length), and show the progress.

    Args:
        tasks: what to iterate over.
        bar_width: see `ProgressBar`.
        file: see `ProgressBar`.

    Raises:
        TypeError: the number of tasks is unknown.
    """
    items, task_num = progress.sized(tasks)
    return _iterate(items, ProgressBar(task_num, bar_width, file=file))


def _iterate(items: Iterable[Any], bar: ProgressBar) -> Iterator[Any]:
    for item in items:
        yield item
        bar.update()
    bar.file.write("\n")


def track_progress(
    func: Callable[..., Any], tasks: Tasks, bar_width: int = 50, file: TextIO | None = None, **kwargs: Any
) -> list[Any]:
    """Call `func` on every task, show the progress, and return the results.

    Args:
        func: called with a task and `kwargs`.
        tasks: see `track_iter_progress`.
        bar_width: see `ProgressBar`.
        file: see `ProgressBar`.
        kwargs: further arguments of `func`.
    """
    return [func(task, **kwargs) for task in track_iter_progress(tasks, bar_width, file)]


def track_parallel_progress(
    func: Callable[[Any], Any],
    tasks: Tasks,
    nproc: int,
    initializer: Callable[..., None] | None = None,
    initargs: Sequence[Any] | None = None,
    bar_width: int = 50,
    chunksize: int = 1,
    skip_first: bool = False,
    keep_order: bool = True,
    file: TextIO | None = None,
) -> list[Any]:
    """Call `func` on every task in `nproc` processes, show the progress, and return the results.

    The processes are started afresh, so `func` must be importable.

    Args:
        func: called with one task.
        tasks: see `track_iter_progress`.
        nproc: number of processes.
        initializer: called in each process first.
        initargs: its arguments.
        bar_width: see `ProgressBar`.
        chunksize: tasks that a process gets at a time.
        skip_first: leave the first tasks of all processes out of the rate.
        keep_order: results in the order of the tasks; they are so in any case.
        file: see `ProgressBar`.

    Raises:
        TypeError: the number of tasks is unknown.
    """
    items, task_num = progress.sized(tasks)
    skipped = nproc * chunksize * int(skip_first)
    bar = ProgressBar(task_num - skipped, bar_width, start=not skip_first, file=file)
    results = []
    for result in _in_processes(func, items, nproc, chunksize, initializer, tuple(initargs or ())):
        results.append(result)
        if len(results) > skipped:
            bar.update()
        elif len(results) == skipped:
            bar.start()
    bar.file.write("\n")
    return results


def _in_processes(
    func: Callable[[Any], Any],
    items: Iterable[Any],
    nproc: int,
    chunksize: int,
    initializer: Callable[..., None] | None = None,
    initargs: tuple[Any, ...] = (),
) -> Iterator[Any]:
    # A fork would copy the locks of torch's and FFmpeg's threads, and could wait for them for ever.
    with ProcessPoolExecutor(nproc, multiprocessing.get_context("spawn"), initializer, initargs) as pool:
        yield from pool.map(func, items, chunksize=chunksize)


class _Call:
    """`func(*task)` for a tuple, `func(task)` otherwise."""

    def __init__(self, func: Callable[..., Any]) -> None:
        self.func = func

    def __call__(self, task: Any) -> Any:
        return self.func(*task) if isinstance(task, tuple) else self.func(task)


def track_progress_rich(
    func: Callable[..., Any],
    tasks: Iterable[Any] = (),
    task_num: int | None = None,
    nproc: int = 1,
    chunksize: int = 1,
    description: str = "Processing",
    color: str = "blue",
) -> list[Any]:
    """Call `func` on every task, show the progress on stderr, and return the results.

    Args:
        func: called with the parts of a task that is a tuple, with the task otherwise; without
            tasks `task_num` times with nothing.
        tasks: the tasks; what has no length needs `task_num`.
        task_num: number of tasks.
        nproc: number of processes.
        chunksize: tasks that a process gets at a time.
        description: accepted for code that says it; the bar has no title.
        color: of the bar there; it has one colour here.

    Raises:
        TypeError: `func` cannot be called, or `tasks` not iterated over.
        ValueError: `nproc` or `chunksize` is below 1, or `task_num` is not the number of tasks.
    """
    if not callable(func):
        raise TypeError(f"func must be callable, got {type(func).__name__}")
    if not isinstance(tasks, Iterable):
        raise TypeError(f"tasks must be iterable, got {type(tasks).__name__}")
    if nproc < 1 or chunksize < 1:
        raise ValueError(f"nproc and chunksize must be 1 or more, got {nproc=}, {chunksize=}")
    if isinstance(tasks, Sequence):
        if not tasks:
            tasks = [()] * (task_num or 0)
        elif task_num not in (None, len(tasks)):
            raise ValueError(f"task_num is {task_num}, but there are {len(tasks)} tasks")
        task_num = len(tasks)
    items = tasks if task_num is None else islice(tasks, task_num)
    results = []
    bar = progress.ProgressBar(task_num or 0)
    calls = map(_Call(func), items) if nproc == 1 else _in_processes(_Call(func), items, nproc, chunksize)
    for result in calls:
        results.append(result)
        bar.update()
    bar.close()
    return results


def track(sequence: Iterable[Any], description: str = "", total: float | None = None) -> Iterable[Any]:
    """Iterate over `sequence` and show the progress on standard error; the name in `mmaction.utils`.

    Args:
        sequence: what to iterate over.
        description: shown before the bar.
        total: its length, where it has none.
    """
    return rich.progress.track(sequence, description, total, console=Console(stderr=True))


def track_on_main_process(sequence: Iterable[Any], description: str = "", total: float | None = None) -> Iterable[Any]:
    """`track` in the first process of a run; the others show nothing."""
    return track(sequence, description, total) if is_main_process() else sequence
