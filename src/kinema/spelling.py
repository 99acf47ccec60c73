"""Names that look like a misspelled one, for messages."""

import difflib
import re
from collections.abc import Iterable

SHOWN = 20  # names that a message lists at most


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


def suggestion(name: str, names: Iterable[str], more: str = "", *, by_family: bool = False) -> str:
    """What a message says behind a name that is not there: the nearest ones, else what there is.

    Args:
        name: what was written.
        names: what there is, in the order in which it is listed.
        more: what lists all of them, such as "`kinema models` lists all".
        by_family: names begin with that of a family, such as `swin_t`: those whose first word is the
            same, or the nearest, come first, however long the rest is.

    Returns:
        "did you mean a or b?", or "there are: a, b, c", of many the first `SHOWN`.
    """
    known = list(names)
    near = nearest(name, known)
    if by_family:
        families = {_first_word(other) for other in known}
        of_name = nearest(_first_word(name), families, count=1)
        family = [other for other in known if _first_word(other) in of_name]
        near = list(dict.fromkeys([*nearest(name, family, cutoff=0), *near]))[:3]
    if near:
        return f"did you mean {' or '.join(near)}?" + (f" {more}" if more else "")
    listed = ", ".join(known[:SHOWN]) or "none"
    if len(known) > SHOWN:
        listed += f" and {len(known) - SHOWN} more" + (f"; {more}" if more else "")
    return f"there are: {listed}"


def _first_word(name: str) -> str:
    """The letters that a name begins with, in small ones."""
    match = re.match(r"[a-z]+", name.lower())
    return match[0] if match else name.lower()
