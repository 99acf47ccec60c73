"""Parts that are built, while the shim is installed, in the place of Kinema's of the same name.

They do what Kinema's do, and have what code for OpenMMLab reads of them beside.
"""

import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from kinema.registry import HOOKS, OPTIM_WRAPPERS, PARAM_SCHEDULERS, RUNNERS, Registry, build_from_cfg

_NAMES: tuple[tuple[Registry, str], ...] = (
    (HOOKS, "hooks"),
    (OPTIM_WRAPPERS, "optim_wrappers"),
    (PARAM_SCHEDULERS, "schedulers"),
    (RUNNERS, "runners"),
)


def attach() -> None:
    """Build them where a config names Kinema's of the same name."""
    for registry, name in _NAMES:
        location = f"{__name__}.{name}"
        if location in sys.modules:
            _register(sys.modules[location])
        else:
            registry.add_location(location)
    PARAM_SCHEDULERS.build_func = _build_schedule


def detach() -> None:
    """Build Kinema's again."""
    for registry, name in _NAMES:
        location = f"{__name__}.{name}"
        if location in registry.locations:
            registry.locations.remove(location)
        if location in sys.modules:
            _register(sys.modules[location], back=True)
    PARAM_SCHEDULERS.build_func = build_from_cfg


def _register(module: ModuleType, *, back: bool = False) -> None:
    for part, own in module.IN_PLACE_OF.items():
        module.REGISTRY.register_module(module=own if back else part, force=True)


def _build_schedule(
    cfg: Any, registry: Registry, default_args: Mapping[str, Any] | None = None, **defaults: Any
) -> Any:
    """A schedule of a run; where there is an optimizer, OpenMMLab's scheduler of that name, which steps by itself."""
    if isinstance(cfg, Mapping) and "optimizer" in {**(default_args or {}), **cfg}:
        from kinema.compat.parts.scheduler_building import build_scheduler_from_cfg  # imports torch

        return build_scheduler_from_cfg(cfg, registry, default_args)
    from kinema.optim.schedules.chain import with_curve

    return build_from_cfg(with_curve(cfg), registry, default_args, **defaults)
