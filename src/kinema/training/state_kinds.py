"""Whether a checkpoint's state is of the kinds that the parts of a run have.

Checksums show damage, not what another hand wrote: a text for a count passes them, and would end in
the middle of a later step.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from kinema.runs.history import check_history
from kinema.training.run import Stateful


def check_parts(parts: Mapping[str, Stateful], saved: Mapping[str, Any]) -> None:
    """Compare the saved states with those that Kinema's own parts have now; a user's part knows its own.

    The facts of a message hub are users' own, of any kind.

    Raises:
        ValueError: an entry is of another kind, or a count is negative.
    """
    for name, part in parts.items():
        if name in saved and name != "message_hub" and type(part).__module__.startswith("kinema."):
            check_like(saved[name], part.state_dict(), name)


def check_figures(history: Sequence[Any], train_figures: Mapping[str, Any]) -> None:
    """Require a history of validations, and figures that are numbers.

    Raises:
        ValueError: they are something else.
    """
    check_history([*history, {"epoch": 0, "step": 0, "train": train_figures, "val": {}}])


def check_like(value: Any, like: Any, where: str) -> None:
    """Is a value of the kind of another? Of a dict the entries that both have, of a list each entry in turn.

    Args:
        value: what was saved.
        like: what is there now; None: nothing is known.
        where: what messages call it.

    Raises:
        ValueError: it is of another kind, or a negative whole number in place of a count.
    """
    if isinstance(like, Mapping):
        fits = isinstance(value, Mapping)
    elif isinstance(like, list | tuple):
        fits = isinstance(value, list | tuple)
    elif isinstance(like, bool | str):
        fits = isinstance(value, type(like))
    elif isinstance(like, int | float):  # a rate of 1 may have become 0.5
        least = 0 if isinstance(like, int) and like >= 0 else -_MOST
        fits = isinstance(value, float) or (type(value) is int and least <= value < _MOST)
    else:
        fits = like is None or isinstance(value, Tensor) == isinstance(like, Tensor)
    if not fits:
        raise ValueError(f"{where} is {value!r:.80}, expected {_NAMES.get(type(like), type(like).__name__)}")
    if isinstance(like, Mapping):
        for key in like.keys() & value.keys():
            entry, own, name = value[key], like[key], f"{where}.{key}"
            check_like(entry, own, name)
            if isinstance(own, Mapping) and (missing := own.keys() - entry.keys()):
                raise ValueError(f"{name} lacks {', '.join(sorted(missing))}")
    elif isinstance(like, list | tuple):
        for place, (entry, own) in enumerate(zip(value, like, strict=False)):
            check_like(entry, own, f"{where}[{place}]")


_MOST = 2**63
_NAMES = {dict: "a dict", list: "a list", tuple: "a list", int: "a count", float: "a number", str: "a text"}
