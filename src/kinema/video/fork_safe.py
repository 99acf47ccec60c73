"""A lock that a fork cannot leave locked."""

import os
import threading
import weakref
from contextlib import suppress
from types import TracebackType


class ForkSafeLock:
    """A reentrant lock for threads; in a forked child it is free, whoever held it in the parent.

    Only the thread that forked lives on in the child: a lock that another thread held would never be released there.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _living.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with suppress(RuntimeError):  # taken before a fork: the child's lock is a new one, which nobody holds
            self._lock.release()


_living: "weakref.WeakSet[ForkSafeLock]" = weakref.WeakSet()


def _renew() -> None:
    for one in list(_living):
        one._lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
