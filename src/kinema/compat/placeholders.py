"""Stand-ins for the OpenMMLab names that Kinema does not have yet: they import, and say so when they are used."""

from typing import Any, NoReturn

from kinema import __version__
from kinema.errors import NotYetError
from kinema.openmmlab.names import INSTEAD


class Placeholder:
    """A name of an OpenMMLab package that Kinema does not have yet.

    It can be imported, passed around and compared. Calling it, subclassing it, reading an attribute
    of it, indexing it or asking `isinstance`/`issubclass` for it raises `NotYetError`. Special
    names (`__wrapped__`, ...) are an ordinary `AttributeError`, so that `inspect`, `copy` and test
    collectors pass over it.

    Args:
        module: dotted name of the module, as users import it.
        name: the name in that module.
    """

    def __init__(self, module: str, name: str) -> None:
        self.__module__ = module
        self.__name__ = self.__qualname__ = name

    def __repr__(self) -> str:
        return f"<placeholder for {self.__module__}.{self.__name__}>"

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return Placeholder, (self.__module__, self.__name__)

    def _refuse(self) -> NoReturn:
        instead = INSTEAD.get(self.__name__)
        raise NotYetError(
            f"{self.__module__}.{self.__name__} is not in Kinema {__version__} yet; `import` of it works so that the"
            f" rest of your code can run. {f'Instead, {instead}' if instead else 'docs/compat.md says what there is'}"
        )

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(f"{self!r} has no attribute {name!r}")
        self._refuse()

    def __or__(self, other: object) -> Any:
        return Any  # `def f(x: Name | None)` must not fail where it is only defined

    __ror__ = __or__

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        self._refuse()

    def __mro_entries__(self, bases: tuple[Any, ...]) -> NoReturn:
        self._refuse()

    def __instancecheck__(self, instance: object) -> NoReturn:
        self._refuse()

    def __subclasscheck__(self, subclass: type) -> NoReturn:
        self._refuse()

    def __getitem__(self, key: object) -> NoReturn:
        self._refuse()
