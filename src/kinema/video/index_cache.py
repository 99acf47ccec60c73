"""Indices of files that were read before, for the epochs that follow: the last used ones, up to a size a process."""

from collections import OrderedDict
from pathlib import Path

from kinema.video.fork_safe import ForkSafeLock
from kinema.video.index import PacketIndex
from kinema.video.source import VideoSource, stat_of

CACHED_BYTES = 64 * 2**20

CacheKey = tuple[str, int, int]
_indices: OrderedDict[CacheKey, PacketIndex] = OrderedDict()
_lock = ForkSafeLock()  # readers of several threads share the cache
_num_bytes = 0


def cache_key(source: VideoSource) -> CacheKey | None:
    """A local file as it is now: path, size, time of the last change; None for what is no such file."""
    if not isinstance(source, (str, Path)):
        return None
    try:
        facts = stat_of(source)
    except (OSError, ValueError):
        return None  # a URL
    return str(source), facts.st_size, facts.st_mtime_ns


def cached_index(key: CacheKey | None) -> PacketIndex | None:
    """The index of a file, if it is remembered."""
    if key is None:
        return None
    with _lock:
        index = _indices.get(key)
        if index is not None:
            _indices.move_to_end(key)
        return index


def cache_index(key: CacheKey, index: PacketIndex) -> None:
    """Remember the index of a file, and forget those that were not used for longest."""
    global _num_bytes
    with _lock:
        forget_index(key)
        _indices[key] = index
        _num_bytes += index.num_bytes
        while _num_bytes > CACHED_BYTES:
            _, oldest = _indices.popitem(last=False)
            _num_bytes -= oldest.num_bytes


def forget_index(key: CacheKey) -> None:
    """Drop the index of one file."""
    global _num_bytes
    with _lock:
        index = _indices.pop(key, None)
        if index is not None:
            _num_bytes -= index.num_bytes


def forget_indices() -> None:
    """Drop all that is remembered of files read before; for measuring what the first opening costs."""
    with _lock:
        for key in list(_indices):
            forget_index(key)
