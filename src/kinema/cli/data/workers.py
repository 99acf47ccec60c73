"""Calls in other processes that may crash, be killed or hang: each costs its own task only."""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

# A fork would copy the locks of FFmpeg's threads, and could wait for them for ever.
_CONTEXT = multiprocessing.get_context("spawn")
_READY = "ready"


@dataclass(frozen=True)
class Failure:
    """A task without a result: the reason in a few words."""

    reason: str


@dataclass(frozen=True)
class Outcome(Generic[Task, Result]):
    """What became of one task."""

    task: Task
    result: Result | Failure


def run_isolated(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    num_workers: int,
    timeout_seconds: float | Callable[[Task], float] | None = None,
) -> Generator[Outcome[Task, Result]]:
    """Call `function` on every task in other processes.

    A process that dies (crash, killed for its memory) or takes too long is replaced, and its task
    yields a `Failure`; so does one that raises. When the iteration ends early all processes are
    killed; they end with this process, too, however it ends. Ctrl-C reaches this process only.

    Args:
        function: importable, for the processes are started afresh; its results must be picklable.
        tasks: picklable.
        num_workers: processes at a time.
        timeout_seconds: limit for one task, or what gives it; None: no limit.

    Yields:
        Outcomes in the order of their completion.

    Raises:
        ValueError: no workers, or a limit that is not positive.
    """
    if num_workers < 1:
        raise ValueError(f"need at least 1 worker, got {num_workers}")
    if isinstance(timeout_seconds, (int, float)) and timeout_seconds <= 0:
        raise ValueError(f"the time limit must be positive, got {timeout_seconds} seconds")
    waiting = iter(tasks)
    workers: list[_Worker] = []
    try:
        for _ in range(min(num_workers, len(tasks))):
            workers.append(_Worker(function))
        while workers:
            _wait_for_any(workers)
            for place in reversed(range(len(workers))):
                worker = workers[place]
                outcome = worker.collect()
                if outcome is not None:
                    yield outcome
                if not worker.is_usable:
                    worker.kill()
                    workers[place] = worker = _Worker(function)
                if worker.is_ready and worker.task is None and not worker.give(waiting, timeout_seconds):
                    worker.kill()
                    del workers[place]
    finally:
        for worker in workers:
            worker.kill()


_NOTHING: Any = object()


class _Worker:
    """One process and the task it works on."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.connection, worker_end = _CONTEXT.Pipe()
        self._process: BaseProcess = _CONTEXT.Process(target=_serve, args=(worker_end, function), daemon=True)
        with _interrupts_held():
            self._process.start()
        worker_end.close()  # so that the end of the process is the end of the pipe
        self.task: Any = None
        self.is_ready = False
        self.is_usable = True
        self._started_at = 0.0
        self._timeout_seconds: float | None = None

    def give(self, waiting: Iterator[Any], timeout_seconds: float | Callable[[Any], float] | None) -> bool:
        """Send the next task; False when there is none left."""
        task = next(waiting, _NOTHING)
        if task is _NOTHING:
            return False
        self.task = task
        self._timeout_seconds = timeout_seconds(task) if callable(timeout_seconds) else timeout_seconds
        self._started_at = time.monotonic()
        # A process that has just died is noticed by `collect`, as one that dies later.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send(task)
        return True

    def seconds_left(self) -> float | None:
        """For the task; None when it has no limit."""
        if self._timeout_seconds is None:
            return None
        return max(self._started_at + self._timeout_seconds - time.monotonic(), 0.0)

    def collect(self) -> Outcome | None:
        """The outcome of the task, when there is one."""
        if self.connection.poll():
            try:
                message = self.connection.recv()
            except (EOFError, ConnectionResetError):
                return self._fail(self._cause_of_death())
            if message == _READY:
                self.is_ready = True
                return None
            return self._finish(message)
        if self.task is not None and self.seconds_left() == 0:
            return self._fail(f"took more than {self._timeout_seconds:g} s")
        return None

    def _finish(self, result: Any) -> Outcome:
        task, self.task = self.task, None
        return Outcome(task, result)

    def _fail(self, reason: str) -> Outcome:
        if not self.is_ready:
            raise RuntimeError(f"a worker process did not start: {reason}")
        self.is_usable = False
        return self._finish(Failure(reason))

    def _cause_of_death(self) -> str:
        self._process.join()
        code = self._process.exitcode or 0
        if code == -signal.SIGKILL:
            return "the process that read it was killed (out of memory?)"
        if code < 0:
            return f"the process that read it crashed ({signal.Signals(-code).name})"
        return f"the process that read it ended (exit status {code})"

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
        self.connection.close()


def _wait_for_any(workers: Sequence[_Worker]) -> None:
    """Wait until a worker has something to say, or has no time left."""
    left = [worker.seconds_left() for worker in workers if worker.task is not None]
    wait(
        [worker.connection for worker in workers],
        min((seconds for seconds in left if seconds is not None), default=None),
    )


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """A process started meanwhile inherits that Ctrl-C does not reach it; here it comes late, but comes."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection, function: Callable[[Any], Any]) -> None:
    """Answer tasks until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    connection.send(_READY)
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        try:
            result = function(task)
        except Exception as error:  # whatever it is, the other tasks continue
            result = Failure(f"{type(error).__name__}: {' '.join(str(error).split())}")
        connection.send(result)


def _end_with_parent() -> None:
    """A killed parent must leave no process behind that still writes."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
