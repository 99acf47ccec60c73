"""Memory of this process and of the machine, where the system says it (Linux)."""

from contextlib import suppress
from pathlib import Path

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

_LIMITS = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))


def free_memory() -> int | None:
    """Bytes that this process may still take without swapping; None: not known."""
    sizes = []
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        sizes.append(1024 * int(next(line.split()[1] for line in lines if line.startswith("MemAvailable:"))))
    for limit, used in _LIMITS:
        with suppress(OSError, ValueError):
            of_group = [int(Path("/sys/fs/cgroup", name).read_text(encoding="ascii")) for name in (limit, used)]
            sizes.append(max(of_group[0] - of_group[1], 0))
    return min(sizes, default=None)


def memory_in_use() -> int | None:
    """Bytes of memory that this process has now; None: not known."""
    with suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * resource.getpagesize()
    return None


def most_memory_in_use() -> int:
    """The most bytes that this process had at once, on Linux."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
