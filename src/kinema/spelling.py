"""Names that look like a misspelled one, for messages."""

import difflib
from collections.abc import Iterable


def nearest(name: str, names: Iterable[str], count: int = 3, cutoff: float = 0.6) -> list[str]:
    """Up to `count` of `names` that look like `name`, letter case aside, the nearest first.

    Args:
        name: what was written.
        names: what there is.
        count: the most to return.
        cutoff: the least likeness, from 0 to 1.
    """
    by_lower: dict[str, str] = {}
    for candidate in names:
        by_lower.setdefault(candidate.lower(), candidate)
    return [
        by_lower[match] for match in difflib.get_close_matches(name.lower(), list(by_lower), n=count, cutoff=cutoff)
    ]
