"""Parts that are built, while the shim is installed, in the place of Kinema's of the same name.

They do what Kinema's do, and have what code for OpenMMLab reads of them beside.
"""

import sys
from types import ModuleType

from kinema.registry import HOOKS, OPTIM_WRAPPERS, RUNNERS, Registry

_NAMES: tuple[tuple[Registry, str], ...] = ((HOOKS, "hooks"), (OPTIM_WRAPPERS, "optim_wrappers"), (RUNNERS, "runners"))


def attach() -> None:
    """Build them where a config names Kinema's of the same name."""
    for registry, name in _NAMES:
        location = f"{__name__}.{name}"
        if location in sys.modules:
            _register(sys.modules[location])
        elif location not in registry.locations:
            registry.locations.append(location)  # imported when a part is looked up
            registry._imported = False


def detach() -> None:
    """Build Kinema's again."""
    for registry, name in _NAMES:
        location = f"{__name__}.{name}"
        if location in registry.locations:
            registry.locations.remove(location)
        if location in sys.modules:
            _register(sys.modules[location], back=True)


def _register(module: ModuleType, *, back: bool = False) -> None:
    for part, own in module.IN_PLACE_OF.items():
        module.REGISTRY.register_module(module=own if back else part, force=True)
