"""Which module a name means: `kinema.compat`'s, or the one that is really installed under it."""

import importlib
import sys
import threading
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import Any

# Names under which `kinema.compat` offers Kinema's parts.
SHIMMED_PACKAGES = ("mmaction", "mmengine", "mmcv", "decord")

lock = threading.RLock()
# Modules of real packages that `import_real` loaded, kept out of `sys.modules` while the shim is
# installed.
real_modules: dict[str, ModuleType] = {}


class ShimFinder(MetaPathFinder):
    """Base of the finder that serves the shimmed names; `import_real` steps aside those in `sys.meta_path`."""


def package_of(module: str) -> str:
    """`a` of `a.b.c`."""
    return module.partition(".")[0]


def loaded_modules(packages: Sequence[str]) -> dict[str, ModuleType]:
    """The imported modules of some packages, by full name."""
    return {name: module for name, module in sys.modules.items() if module is not None and package_of(name) in packages}


def import_real(name: str) -> ModuleType:
    """Import the module that is really installed under `name`, past the shim.

    The real modules stay out of `sys.modules` while the shim is installed, so that `import decord`
    still means the shim. An import that a function of the real package does later, by absolute
    name, therefore also gets the shim.

    Args:
        name: dotted name, such as `"decord"`. A package that the shim does not serve is imported as
            always.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    package = package_of(name)
    if package not in SHIMMED_PACKAGES:
        return importlib.import_module(name)
    with lock:
        finders = [(place, finder) for place, finder in enumerate(sys.meta_path) if isinstance(finder, ShimFinder)]
        if not finders:
            before = set(sys.modules)
            module = importlib.import_module(name)
            loaded = loaded_modules([package])
            real_modules.update({full: real for full, real in loaded.items() if full not in before})
            return module
        if name in real_modules:
            return real_modules[name]
        return _import_past(finders, name, package)


def _import_past(finders: list[tuple[int, ShimFinder]], name: str, package: str) -> ModuleType:
    shims = loaded_modules([package])
    for shim in shims:
        del sys.modules[shim]
    sys.modules.update({full: module for full, module in real_modules.items() if package_of(full) == package})
    for _, finder in finders:
        sys.meta_path.remove(finder)
    try:
        return importlib.import_module(name)
    finally:
        for full, module in loaded_modules([package]).items():
            real_modules[full] = module
            del sys.modules[full]
        sys.modules.update(shims)
        for place, finder in finders:
            sys.meta_path.insert(place, finder)


def module_named(name: str) -> ModuleType:
    """The module that a config means by a name: of the shimmed packages it is Kinema's, installed or not.

    Raises:
        ImportError: there is no such module.
    """
    if package_of(name) in SHIMMED_PACKAGES:
        module: ModuleType = importlib.import_module("kinema.compat.finder").module_named(name)
        return module
    return importlib.import_module(name)


def object_named(dotted: str) -> Any:
    """The module, or the object in one, that a dotted name such as `torch.optim.SGD` leads to.

    Modules on the way are imported.

    Returns:
        The object; None when there is none.
    """
    parts = dotted.split(".")
    if not all(part.isidentifier() for part in parts):
        return None
    for count in range(len(parts), 0, -1):
        try:
            value: Any = module_named(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for name in parts[count:]:
            value = getattr(value, name, None)
        return value
    return None
