"""The order of hooks."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from kinema.errors import ConfigError
from kinema.registry import HOOKS


class Priority(Enum):
    """Named places in the order of hooks; a hook of a lower number runs first."""

    HIGHEST = 0
    VERY_HIGH = 10
    HIGH = 30
    ABOVE_NORMAL = 40
    NORMAL = 50
    BELOW_NORMAL = 60
    LOW = 70
    VERY_LOW = 90
    LOWEST = 100


def get_priority(priority: int | str | Priority) -> int:
    """The number of a priority.

    Args:
        priority: a number from 0 to 100, the name of a `Priority` in any case, or one itself.

    Raises:
        ValueError: no such number or name.
        TypeError: it is none of these.
    """
    if isinstance(priority, Priority):
        return int(priority.value)
    if isinstance(priority, str):
        if priority.upper() not in Priority.__members__:
            raise ValueError(f"priority must be a number or one of {', '.join(Priority.__members__)}, got {priority!r}")
        return int(Priority[priority.upper()].value)
    if not isinstance(priority, int):
        raise TypeError(f"priority must be a number, a name or a Priority, got {priority!r}")
    if not 0 <= priority <= 100:
        raise ValueError(f"priority must be from 0 to 100, got {priority}")
    return priority


def build_hooks(entries: Sequence[Any], priority: str | int | Priority | None = None) -> list[Any]:
    """Hooks of configs (`dict(type=..., priority=...)`) or objects, in the order in which they run.

    Args:
        entries: configs and objects.
        priority: goes before those of the entries.

    Raises:
        ValueError: no such priority.
        ConfigError: an entry is neither a config nor a hook.
    """
    hooks = []
    for entry in entries:
        hook, own_priority = entry, None
        if isinstance(entry, Mapping):
            settings = dict(entry)
            own_priority = settings.pop("priority", None)
            hook = HOOKS.build(settings)
        elif not hasattr(entry, "priority"):
            raise ConfigError(
                f"default_hooks, custom_hooks: a hook must be a dict with 'type' or an object of a subclass of Hook,"
                f" got {type(entry).__name__}: {entry!r}"
            )
        if priority is not None or own_priority is not None:
            hook.priority = own_priority if priority is None else priority
        hooks.append(hook)
    return sorted(hooks, key=lambda hook: get_priority(hook.priority))
