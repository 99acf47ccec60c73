"""A network of another library, and what is said where it is not there."""

import importlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from kinema.errors import ConfigError, MissingDependencyError
from kinema.spelling import nearest

# What is installed for a library.
_EXTRAS = {"transformers": "'kinema[transformers]'"}
Features = Callable[[nn.Module, Tensor], Tensor]


@dataclass(frozen=True)
class LibraryNetwork:
    """A network of another library.

    Attributes:
        module: the network.
        features: (network, rows) -> its features.
        takes_clips: rows are (B, C, T, H, W), not (B, C, H, W).
        config: what builds it again, without its weights.
    """

    module: nn.Module
    features: Features
    takes_clips: bool
    config: dict[str, Any]


def import_library(module: str, name: str) -> ModuleType:
    """Import a module of a library, for its network `name`.

    Raises:
        MissingDependencyError: it cannot be imported.
    """
    library = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f"backbone {library}.{name} needs {library}, which cannot be imported ({error}): pip install"
            f" {_EXTRAS.get(library, library)}"
        ) from error


def unknown_network(library: str, name: str, known: Collection[str]) -> ConfigError:
    """The error for a network that a library does not have, with the nearest names."""
    near = nearest(name, known)
    hint = f": did you mean {' or '.join(near)}?" if near else ""
    return ConfigError(f"{library} has no network {name!r}{hint}")
