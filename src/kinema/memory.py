"""Memory of this process and of the machine, where the system says it (Linux)."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

_LIMITS = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))


def whole_memory() -> int | None:
    """Bytes that this process could have if it were alone; None: not known."""
    sizes = [limit for limit, _ in _limits_of_group()]
    with suppress(OSError, ValueError, AttributeError):
        sizes.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return min(sizes, default=None)


def free_memory() -> int | None:
    """Bytes that this process may still take without swapping; None: not known."""
    sizes = [max(limit - used, 0) for limit, used in _limits_of_group()]
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        sizes.append(1024 * int(next(line.split()[1] for line in lines if line.startswith("MemAvailable:"))))
    return min(sizes, default=None)


def _limits_of_group() -> Iterator[tuple[int, int]]:
    """What a container may have, and has, in bytes, where it has a limit."""
    for names in _LIMITS:
        with suppress(OSError, ValueError):
            limit, used = (int(Path("/sys/fs/cgroup", name).read_text(encoding="ascii")) for name in names)
            yield limit, used


def memory_in_use() -> int | None:
    """Bytes of memory that this process has now; None: not known."""
    with suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * resource.getpagesize()
    return None


def most_memory_in_use() -> int:
    """The most bytes that this process had at once, on Linux."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextmanager
def collections_paused() -> Iterator[None]:
    """Look for no garbage in a `with` block that imports.

    What modules define stays for good, and Python would go through all of it again and again: a
    fifth of the time that torch and Kinema take to import.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
