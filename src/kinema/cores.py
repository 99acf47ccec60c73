"""How many processor cores there are for this process, and how many readers of clips suit them."""

import os

MOST_READERS = 8


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_readers() -> int:
    """Processes or threads that read clips: one a core that this process may use, at most 8."""
    return min(available_cores(), MOST_READERS)
