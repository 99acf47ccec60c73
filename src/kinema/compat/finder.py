"""Serve the packages `mmaction`, `mmengine`, `mmcv` and `decord` from the files beside this one.

`mmengine.model` is the file `mmengine/model.py` in this folder, executed under the name `mmengine.model`; the files only
re-export. Names that `names.txt` lists beyond that become placeholders.
"""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from kinema.compat.placeholders import Placeholder, listed_names
from kinema.errors import KinemaError
from kinema.real_modules import SHIMMED_PACKAGES as PACKAGES
from kinema.real_modules import ShimFinder, loaded_modules, lock, package_of, real_modules

_FOLDER = Path(__file__).parent


def _has_listed_children(module: str) -> bool:
    return any(name.startswith(f"{module}.") for name in listed_names())


def _finish(module: ModuleType) -> None:
    """Fill in placeholders for the listed names, and let `package.submodule` work without an import of the submodule."""
    full_name = module.__name__

    def submodule(name: str) -> ModuleType:
        child = f"{full_name}.{name}"
        if _find(child) is None:
            raise AttributeError(f"module {full_name!r} has no attribute {name!r}")
        return importlib.import_module(child)

    for name in listed_names().get(full_name, ()):
        if name not in vars(module):
            setattr(module, name, Placeholder(full_name, name))
    vars(module).setdefault("__getattr__", submodule)


class _FileLoader(importlib.machinery.SourceFileLoader):
    """Executes a file of the tree."""

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__kinema__"] = True
        super().exec_module(module)
        _finish(module)


class _ListedLoader(importlib.abc.Loader):
    """Makes a module that exists in `names.txt` only."""

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__kinema__"] = True
        _finish(module)


def _find(module: str) -> importlib.machinery.ModuleSpec | None:
    """Where `module` of the four packages comes from; None when there is no such module."""
    place = _FOLDER.joinpath(*module.split("."))
    if (file := place / "__init__.py").is_file():
        search_in: list[str] | None = [str(place)]
    elif (file := place.with_suffix(".py")).is_file():
        search_in = [] if _has_listed_children(module) else None
    elif module in listed_names() or _has_listed_children(module):
        return importlib.machinery.ModuleSpec(module, _ListedLoader(), is_package=True)
    else:
        return None
    return importlib.util.spec_from_file_location(
        module, file, loader=_FileLoader(module, str(file)), submodule_search_locations=search_in
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
                    f"the real {package} is already imported (from {getattr(module, '__file__', None)}), so Kinema cannot take "
                    f"its name: call kinema.compat.install() before the first import of {package}"
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
