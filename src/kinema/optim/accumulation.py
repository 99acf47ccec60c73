"""Which batches make one update."""

import math
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Window:
    """The place of a batch among those whose gradients make one update.

    Attributes:
        index: its number in the window, from 0.
        length: batches of the window; at the end of a pass there may be fewer than elsewhere.
    """

    index: int = 0
    length: int = 1

    @property
    def is_last(self) -> bool:
        """Does this batch complete the update?"""
        return self.index + 1 == self.length

    @classmethod
    def of(cls, batch: int, accumulate: int, total: float = math.inf) -> Self:
        """The window of batch number `batch` of `total`, `accumulate` of which make an update."""
        index = batch % accumulate
        return cls(index, int(min(accumulate, total - (batch - index))))
