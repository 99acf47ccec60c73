"""A network's tensors under the names of a file: renamed, and cut where the file holds their parts.

What these functions give are the tensors themselves or views of them, so that writing to them writes
to the network.
"""

import re
from collections.abc import Sequence

from torch import Tensor, nn

from kinema.checkpoints.file_formats import Views

Renames = Sequence[tuple[str, str]]


def own_tensors(network: nn.Module) -> Views:
    """What the state dict of a network holds, under its own names."""
    return {name: tensor.detach() for name, tensor in network.state_dict().items()}


def renamed(views: Views, renames: Renames) -> Views:
    """The same tensors under other names.

    Args:
        views: name -> tensor.
        renames: regular expressions and what replaces their matches, applied one after the other.

    Raises:
        ValueError: two tensors would get one name.
    """
    result: Views = {}
    for name, tensor in views.items():
        new = name
        for pattern, replacement in renames:
            new = re.sub(pattern, replacement, new)
        if new in result:
            raise ValueError(f"two tensors would be called {new!r}, one of them {name!r}")
        result[new] = tensor
    return result


def cut(views: Views, pattern: str, parts: Sequence[str], sizes: Sequence[int] | None = None) -> Views:
    """Tensors whose names match, in parts along their first dimension.

    Args:
        views: name -> tensor.
        pattern: regular expression of whole names.
        parts: names of the parts, in their order, as `re.sub` takes replacements.
        sizes: how large they are in comparison; None: all alike.

    Returns:
        The parts in place of the whole, which share its memory, and all other tensors.
    """
    sizes = sizes or [1] * len(parts)
    result: Views = {}
    for name, tensor in views.items():
        match = re.fullmatch(pattern, name)
        if match is None:
            result[name] = tensor
            continue
        unit = len(tensor) // sum(sizes)
        pieces: Sequence[Tensor] = tensor.split([unit * size for size in sizes])
        result |= {match.expand(part): piece for part, piece in zip(parts, pieces, strict=True)}
    return result
