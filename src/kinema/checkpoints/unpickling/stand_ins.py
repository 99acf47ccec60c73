"""What a pickle gets in place of the functions and classes that it names."""

from collections.abc import Callable, Iterable
from typing import Any

from kinema.errors import CheckpointError


class Callee:
    """A function that pickles may call.

    Files see this, not the function, so they can set nothing of it.
    """

    __slots__ = ("function", "name")

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name = name
        self.function = function

    def __repr__(self) -> str:
        return f"<{self.name}>"


class InertClass(type):
    """Class of the stand-ins of classes that are not imported: their objects can be made, but they cannot be called."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        raise refused(cls.__qualname__)


class Inert(metaclass=InertClass):
    """Shell of an object whose class was not imported: `state` is what the file says of it.

    Attributes:
        state: attributes, or whatever the object had pickled itself as; None: nothing.
        items: what it contains, if it is some list, set or dict (then pairs).
    """

    state: Any
    items: list[Any]

    def __new__(cls, *args: Any) -> "Inert":
        shell = super().__new__(cls)
        shell.state = list(args) or None
        shell.items = []
        return shell

    @staticmethod
    def of(kind: Any, args: Iterable[Any]) -> "Inert":
        """A shell of the inert class `kind`, made with `args`."""
        return Inert.__new__(kind, *args)

    def __repr__(self) -> str:
        return f"<inert {type(self).__qualname__}>"


def refused(name: str) -> CheckpointError:
    """The error for a call of something that weights do not need."""
    return CheckpointError(f"calls {name}, which is not needed for weights; nothing was run")


def named(value: Any) -> str:
    """What a message calls a value of a file: its name or kind; to show all of it may take for ever."""
    if isinstance(value, Callee | InertClass):
        return value.name if isinstance(value, Callee) else value.__qualname__
    return f"a {type(value).__name__}"
