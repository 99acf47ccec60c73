"""The order of hooks."""

from collections.abc import Mapping, Sequence
from typing import Any

from kinema.registry import HOOKS

PRIORITIES = {"HIGHEST": 0, "VERY_HIGH": 10, "HIGH": 30, "ABOVE_NORMAL": 40, "NORMAL": 50}
PRIORITIES |= {"BELOW_NORMAL": 60, "LOW": 70, "VERY_LOW": 90, "LOWEST": 100}


def build_hooks(entries: Sequence[Any], priority: str | int | None = None) -> list[Any]:
    """Hooks of configs (`dict(type=..., priority=...)`) or objects, in the order in which they run.

    Args:
        entries: configs and objects.
        priority: goes before those of the entries.

    Raises:
        ValueError: no such priority.
    """
    hooks = []
    for entry in entries:
        hook, own_priority = entry, None
        if isinstance(entry, Mapping):
            settings = dict(entry)
            own_priority = settings.pop("priority", None)
            hook = HOOKS.build(settings)
        if priority is not None or own_priority is not None:
            hook.priority = own_priority if priority is None else priority
        hooks.append(hook)
    return sorted(hooks, key=lambda hook: _rank(hook.priority))


def _rank(priority: str | int) -> int:
    if isinstance(priority, str):
        if priority.upper() not in PRIORITIES:
            raise ValueError(f"priority must be a number or one of {', '.join(PRIORITIES)}, got {priority!r}")
        return PRIORITIES[priority.upper()]
    return int(priority)
