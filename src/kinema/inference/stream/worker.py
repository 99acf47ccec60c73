"""Work beside the frames: done by one thread, in order, and never waited for."""

import logging
import queue
import threading
from collections.abc import Callable

_log = logging.getLogger(__name__)


class Worker:
    """A thread that does jobs in order; when too many wait, new ones are refused.

    Args:
        name: of the thread, for messages.
        most_waiting: jobs, those that must not be refused aside.
    """

    def __init__(self, name: str, most_waiting: int) -> None:
        self._name = name
        self._most_waiting = most_waiting
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name=f"kinema stream {name}", daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[], None], *, is_needed: bool = False) -> bool:
        """Append a job.

        Args:
            job: what to do.
            is_needed: it is appended however many wait.

        Returns:
            False when it was refused: too many wait, or the worker was closed.
        """
        if self._is_closed or (not is_needed and self._jobs.qsize() >= self._most_waiting):
            return False
        self._jobs.put(job)
        return True

    def close(self, timeout_seconds: float) -> bool:
        """Let the thread end after the jobs that wait; False when it did not within the time."""
        if not self._is_closed:
            self._is_closed = True
            self._jobs.put(None)
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception:  # one that fails is no reason to leave the others undone
                _log.exception("%s: a job failed", self._name)
