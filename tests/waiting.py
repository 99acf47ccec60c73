"""Waiting in a test for what another thread or process does, for as long as a busy machine may take."""

import time
from collections.abc import Callable

MOST_SECONDS = 300


def wait_until(is_so: Callable[[], object]) -> None:
    """Ask again and again until the answer is true; an error after five minutes."""
    end = time.monotonic() + MOST_SECONDS
    while not is_so():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
