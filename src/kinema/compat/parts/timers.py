"""Stop watches of `mmengine.utils`."""

import sys
import time
from types import TracebackType


class TimerError(Exception):
    """A timer was read before it was started."""


class Timer:
    """A stop watch, also as a `with` block that says how long it took.

    Args:
        start: start at once.
        print_tmpl: what the end of a `with` block writes to stdout; `{}` stands for the seconds.
    """

    def __init__(self, start: bool = True, print_tmpl: str | None = None) -> None:
        self._started_at: float | None = None
        self._last = 0.0
        self.print_tmpl = print_tmpl or "{:.3f}"
        if start:
            self.start()

    @property
    def is_running(self) -> bool:
        """Whether it was started."""
        return self._started_at is not None

    def __enter__(self) -> "Timer":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sys.stdout.write(self.print_tmpl.format(self.since_last_check()) + "\n")
        self._started_at = None

    def start(self) -> None:
        """Start, or continue."""
        if self._started_at is None:
            self._started_at = time.perf_counter()
        self._last = time.perf_counter()

    def since_start(self) -> float:
        """Seconds since the start.

        Raises:
            TimerError: it was not started.
        """
        if self._started_at is None:
            raise TimerError("timer is not running")
        self._last = time.perf_counter()
        return self._last - self._started_at

    def since_last_check(self) -> float:
        """Seconds since this or `since_start` was last called.

        Raises:
            TimerError: it was not started.
        """
        if self._started_at is None:
            raise TimerError("timer is not running")
        now = time.perf_counter()
        seconds, self._last = now - self._last, now
        return seconds


_timers: dict[str, Timer] = {}


def check_time(timer_id: str) -> float:
    """Seconds since the last call with this id; 0 at the first."""
    if timer_id not in _timers:
        _timers[timer_id] = Timer()
        return 0.0
    return _timers[timer_id].since_last_check()
