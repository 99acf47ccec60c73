"""Forks among threads that hold locks, in a process of its own: what goes wrong there waits for ever."""

import subprocess
import sys

import pytest

START = """
import os, threading
from kinema.video import fork_safe
from kinema.video.fork_safe import ForkSafeLock

lock, other = ForkSafeLock(), ForkSafeLock()

def forked(check):
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if check() else 1)
        finally:
            os._exit(2)
    return os.waitpid(child, 0)[1] == 0

def is_free(lock):
    taken = []
    thread = threading.Thread(target=lambda: taken.append(lock._lock.acquire(timeout=60) and not lock._lock.release()))
    thread.start()
    thread.join()
    return taken == [True]
"""

WAITS = """
states, started = [], threading.Event()

def hold():
    with lock:
        states.append("inside")
        started.set()
        threading.Event().wait(0.2)
        states.append("outside")

thread = threading.Thread(target=hold)
thread.start()
started.wait()
fork_safe.LONGEST_WAIT_SECONDS = 60
assert forked(lambda: states == ["inside", "outside"] and is_free(lock)), "the fork came in between"
thread.join()
"""

GOES_AHEAD = """
done, started = threading.Event(), threading.Event()

def hold():
    with lock:
        started.set()
        done.wait()

thread = threading.Thread(target=hold)
thread.start()
started.wait()
fork_safe.LONGEST_WAIT_SECONDS = 0.1
assert forked(lambda: is_free(lock) and is_free(other))
done.set()
thread.join()
"""

INSIDE = """
with lock:
    def check():
        lock.__exit__(None, None, None)
        return is_free(lock)

    assert forked(check)
    assert not forked(lambda: lock._lock.release()), "in the child nobody holds it"
    assert lock._lock._is_owned(), "the parent still does"
"""

TOGETHER = """
fork_safe.LONGEST_WAIT_SECONDS = 60
results = []

def fork_often():
    for _ in range(20):
        with lock if threading.get_ident() % 2 else other:
            pass
        results.append(forked(lambda: is_free(lock) and is_free(other)))

threads = [threading.Thread(target=fork_often) for _ in range(3)]
[thread.start() for thread in threads]
while any(thread.is_alive() for thread in threads):
    locks = [ForkSafeLock() for _ in range(10)]
assert results == [True] * 60
"""

FINISH = """
assert is_free(lock) and is_free(other)
print("survived")
"""


@pytest.mark.parametrize(
    "script",
    [WAITS, GOES_AHEAD, INSIDE, TOGETHER],
    ids=["waits for a thread inside", "goes ahead in the end", "inside of a lock", "several threads fork"],
)
def test_a_fork_finds_and_leaves_every_lock_free(script: str) -> None:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", START + script + FINISH]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert (done.returncode, done.stdout) == (0, "survived\n"), done.stderr
