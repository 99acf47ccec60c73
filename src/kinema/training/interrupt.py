"""Signals between two steps.

In the middle of one they would cut off the exchange with the loader's processes, or a checkpoint.
"""

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)]


class DeferredInterrupt:
    """While it is entered, SIGINT, SIGTERM and SIGUSR1 only ask to stop; a second Ctrl-C stops at once.

    SIGTERM is what Slurm, Kubernetes and `kill` send; SIGUSR1 what Slurm sends ahead of a time
    limit. Outside the main thread, which alone receives signals, this class does nothing.

    Attributes:
        number: of the signal that was received; None: none was.
        is_held: it does not count yet, since other processes of the run do not know of it.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.is_held = False
        self._process = os.getpid()
        self._previous: dict[int, Any] = {}

    @property
    def is_asked(self) -> bool:
        """Has a signal asked to stop?"""
        return self.number is not None and not self.is_held

    @property
    def name(self) -> str:
        """Name of the signal."""
        return "no signal" if self.number is None else signal.Signals(self.number).name

    def __enter__(self) -> "DeferredInterrupt":
        if threading.current_thread() is threading.main_thread():
            self.number, self._process = None, os.getpid()
            self._previous = {number: signal.signal(number, self._receive) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            self._end_child(number)
            return
        if self.number is not None and number == signal.SIGINT:
            raise KeyboardInterrupt(number)
        self.number = self.number or number

    @staticmethod
    def _end_child(number: int) -> None:
        """A process that was forked in the meantime ends by SIGTERM, as those that read clips do.

        The others are for its parent.
        """
        if number == signal.SIGTERM:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def check(self) -> None:
        """Raise the KeyboardInterrupt that was asked for; its argument is the signal's number."""
        if self.number is not None:
            raise KeyboardInterrupt(self.number)
