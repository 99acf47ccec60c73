"""A lock that a fork cannot leave locked, and that no fork finds in use."""

import itertools
import os
import threading
import time
import weakref
from contextlib import suppress
from types import TracebackType

# A fork goes ahead after this time: a call that decodes a whole file must not delay it for long.
LONGEST_WAIT_SECONDS = 1.0


class ForkSafeLock:
    """A reentrant lock for threads; in a forked child it is free, whoever held it in the parent.

    Only the thread that forked lives on in the child. A lock that another thread held would never
    be released there, and no more would those inside FFmpeg and the C library, which a thread that
    starts a decoder holds for moments. So a fork first waits until no other thread is inside of
    such a lock, for `LONGEST_WAIT_SECONDS` at most.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _living[next(_numbers)] = self

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with suppress(RuntimeError):  # taken before a fork: the child's lock is a new one, which nobody holds
            self._lock.release()


# In the order in which they were made, so that two threads that fork wait in the same order.
_living: "weakref.WeakValueDictionary[int, ForkSafeLock]" = weakref.WeakValueDictionary()
_numbers = itertools.count()


class _Taken(threading.local):
    """The locks that the fork of this thread holds."""

    def __init__(self) -> None:
        self.locks: list[threading.RLock] = []


_taken = _Taken()


def _living_locks() -> list[ForkSafeLock]:
    # `valuerefs` copies in one step; iterating fails when another thread makes a lock meanwhile.
    return [lock for reference in _living.valuerefs() if (lock := reference()) is not None]


def _take_all() -> None:
    deadline = time.monotonic() + LONGEST_WAIT_SECONDS
    for fork_safe in _living_locks():
        lock = fork_safe._lock
        if lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
            _taken.locks.append(lock)


def _release_all() -> None:
    while _taken.locks:
        _taken.locks.pop().release()


def _renew_all() -> None:
    _taken.locks.clear()
    for fork_safe in _living_locks():
        fork_safe._lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_take_all, after_in_parent=_release_all, after_in_child=_renew_all)
