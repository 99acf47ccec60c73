"""Objects of a class that are known by name, the newest being the current one: OpenMMLab's `ManagerMixin`."""

import inspect
import logging
from typing import Any, ClassVar, Self

logger = logging.getLogger("kinema")


class ManagerMeta(type):
    """Gives every class its own record of instances, `_instance_dict`.

    Raises:
        TypeError: the constructor has no parameter `name`.
    """

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> None:
        super().__init__(name, bases, namespace)
        cls._instance_dict: dict[str, Any] = {}
        if "name" not in inspect.signature(vars(cls).get("__init__", cls)).parameters:
            raise TypeError(f"{name}.__init__ needs a parameter called name: its instances are known by name")


class ManagerMixin(metaclass=ManagerMeta):
    """Base of classes whose instances any part of a program may get by name.

    Args:
        name: of the instance, not empty.

    Raises:
        TypeError: `name` is no text, or empty.
    """

    _instance_dict: ClassVar[dict[str, Any]]

    def __init__(self, name: str = "", **kwargs: Any) -> None:
        if not isinstance(name, str) or not name:
            raise TypeError(f"{type(self).__name__}: name must be a text that is not empty, got {name!r}")
        self._instance_name = name
        super().__init__(**kwargs)

    @property
    def instance_name(self) -> str:
        """The name by which it is known."""
        return self._instance_name

    @classmethod
    def get_instance(cls, name: str, **kwargs: Any) -> Self:
        """The instance of that name, which is made at the first call.

        Args:
            name: of the instance.
            kwargs: the other arguments of a new one.

        Raises:
            TypeError: `name` is no text.
        """
        if not isinstance(name, str):
            raise TypeError(f"{cls.__name__}: the name of an instance must be a text, got {type(name).__name__}")
        if name not in cls._instance_dict:
            instance = cls(name=name, **kwargs)
            cls._instance_dict[name] = instance
        elif kwargs:
            logger.warning("%s %r is there already: its arguments %s have no effect", cls.__name__, name, list(kwargs))
        known: Self = cls._instance_dict[name]
        return known

    @classmethod
    def get_current_instance(cls) -> Self:
        """The instance that was made last.

        Raises:
            RuntimeError: there is none yet.
        """
        if not cls._instance_dict:
            raise RuntimeError(
                f"{cls.__name__} has no instance yet: call {cls.__name__}.get_instance(name) before"
                " get_current_instance()"
            )
        newest: Self = cls._instance_dict[next(reversed(cls._instance_dict))]
        return newest

    @classmethod
    def check_instance_created(cls, name: str) -> bool:
        """Whether there is an instance of that name."""
        return name in cls._instance_dict
