"""Serve `mmaction`, `mmengine`, `mmcv` and `decord` from the table `names.txt` beside this file.

Their modules are empty until a name is asked for: then the table gives the module of Kinema that
has it, which is imported at that moment. Names that Kinema does not have yet are placeholders.
"""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from kinema.compat.placeholders import Placeholder
from kinema.compat.table import TABLE_FILE, read_table
from kinema.errors import KinemaError
from kinema.real_modules import SHIMMED_PACKAGES as PACKAGES
from kinema.real_modules import ShimFinder, loaded_modules, lock, package_of, real_modules


class _TableLoader(importlib.abc.Loader):
    """Makes a module of the table."""

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        full_name = module.__name__
        names = read_table()[full_name]
        promised = sorted(name for name, place in names.items() if place is not None)

        def attribute(name: str) -> Any:
            if name in names:
                place = names[name]
                value = (
                    Placeholder(full_name, name)
                    if place is None
                    else getattr(importlib.import_module(place.module), place.name)
                )
                setattr(module, name, value)
                return value
            child = f"{full_name}.{name}"
            if child in read_table():  # `package.submodule` needs no import of the submodule
                return module_named(child)
            raise AttributeError(f"module {full_name!r} has no attribute {name!r}")

        def all_attributes() -> list[str]:
            return sorted({*vars(module), *names})

        vars(module).update(
            __doc__=f"`{full_name}` over Kinema.",
            __kinema__=True,
            __all__=promised,
            __getattr__=attribute,
            __dir__=all_attributes,
        )


def _find(module: str) -> importlib.machinery.ModuleSpec | None:
    """The spec of a module of the four packages; None when there is no such module."""
    table = read_table()
    if module not in table:
        return None
    is_package = any(name.startswith(f"{module}.") for name in table)
    return importlib.util.spec_from_file_location(
        module, TABLE_FILE, loader=_TableLoader(), submodule_search_locations=[] if is_package else None
    )


class _Finder(ShimFinder):
    """Answers for the four packages before any other finder is asked."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        return _find(fullname) if package_of(fullname) in PACKAGES else None


_finder = _Finder()


def is_installed() -> bool:
    """Whether the four names are Kinema's now."""
    return _finder in sys.meta_path


def module_named(name: str) -> ModuleType:
    """A module of the table, also where the four names are not Kinema's now: what a config imports.

    Raises:
        ModuleNotFoundError: the table has no such module.
    """
    if is_installed():
        return importlib.import_module(name)
    spec = _find(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _is_shim(module: ModuleType) -> bool:
    return vars(module).get("__kinema__") is True


def install_finder() -> None:
    """Put the finder first.

    Raises:
        KinemaError: a real package of one of the names is imported already.
    """
    with lock:
        if is_installed():
            return
        for name, module in loaded_modules(PACKAGES).items():
            if real_modules.get(name) is module:  # ours, through import_real: it only moves aside
                del sys.modules[name]
            elif not _is_shim(module):
                package = package_of(name)
                raise KinemaError(
                    f"the real {package} is already imported (from {getattr(module, '__file__', None)}), so Kinema"
                    f" cannot take its name: call kinema.compat.install() before the first import of {package}"
                )
        sys.meta_path.insert(0, _finder)
        importlib.invalidate_caches()


def uninstall_finder() -> None:
    """Take the finder and every module it served out again."""
    with lock:
        if not is_installed():
            return
        sys.meta_path.remove(_finder)
        for name in loaded_modules(PACKAGES):
            del sys.modules[name]
        sys.modules.update(real_modules)
