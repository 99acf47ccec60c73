"""Compute the items of an iterator before they are asked for, in a thread."""

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def computed_ahead(items: Iterator[Item], count: int) -> Generator[Item, None, None]:
    """The same items, up to `count` of which are computed while the caller works on those before.

    Decoding and a model both let other threads run, so they share a machine of two cores. An error
    is raised in its turn; leaving the loop early stops the thread.

    Args:
        items: one thread at a time asks for them.
        count: at least 1.
    """
    end = object()
    pool = ThreadPoolExecutor(1, "kinema-ahead")
    try:
        waiting = deque(pool.submit(next, items, end) for _ in range(count))
        while (item := waiting.popleft().result()) is not end:
            waiting.append(pool.submit(next, items, end))
            yield item  # type: ignore[misc]
    finally:
        pool.shutdown(cancel_futures=True)
