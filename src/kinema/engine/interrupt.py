"""Ctrl-C and SIGTERM between two steps.

In the middle of one they would cut off the exchange with the loader's processes, or a checkpoint.
"""

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from kinema.distributed import get_world_size


class DeferredInterrupt:
    """While it is entered, Ctrl-C and SIGTERM only ask to stop, which `check()` does; a second one stops at once.

    SIGTERM is what Slurm, Kubernetes and `kill` send. Of several processes each would stop at
    another step and the others wait for it: there SIGTERM ends the process as it always does.
    Outside the main thread, which alone receives signals, this class does nothing.
    """

    def __init__(self) -> None:
        self._asked: int | None = None
        self._process = os.getpid()
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "DeferredInterrupt":
        if threading.current_thread() is threading.main_thread():
            self._asked, self._process = None, os.getpid()
            numbers = [signal.SIGINT] if get_world_size() > 1 else [signal.SIGINT, signal.SIGTERM]
            self._previous = {number: signal.signal(number, self._ask) for number in numbers}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            self._end_child(number)
            return
        if self._asked is not None:
            raise KeyboardInterrupt(number)
        self._asked = number

    @staticmethod
    def _end_child(number: int) -> None:
        """A process that was forked in the meantime ends by SIGTERM, as those that read clips do.

        Ctrl-C is for its parent.
        """
        if number == signal.SIGTERM:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def check(self) -> None:
        """Raise the KeyboardInterrupt that was asked for; its argument is the signal's number."""
        if self._asked is not None:
            raise KeyboardInterrupt(self._asked)
