"""The files that a config inherits from: `_base_ = "package::folder/file.py"`, `from .._base_.file import *`."""

import importlib.machinery
import importlib.util
from pathlib import Path

from kinema.config.references import BASE_KEY
from kinema.errors import ConfigError

# OpenMMLab's packages keep their configs in `.mim`.
_FOLDERS = (".mim/configs", "configs", "")


def path_of_name(name: str, path: Path) -> Path:
    """The file that `name` in `_base_` of the config `path` means: beside it, or of a package.

    Raises:
        ConfigError: there is no such package.
    """
    package, colons, inside = name.partition("::")
    if not colons:
        return path.parent / Path(name).expanduser()
    place = _folder_of_package(package)
    if place is None:
        raise ConfigError(f"{path}: {BASE_KEY} names {name!r}, but there is no package {package!r}")
    candidates = [place / folder / inside for folder in _FOLDERS]
    return next((file for file in candidates if file.is_file()), candidates[-1])


def path_of_module(module: str | None, level: int, where: str, path: Path) -> Path:
    """The file that `from module import *` in the config `path` means.

    Args:
        module: dotted name behind the dots.
        level: number of dots before it; 0: of a package.
        where: file and line, for messages.
        path: the config.

    Raises:
        ConfigError: there is no such file.
    """
    parts = module.split(".") if module else []
    if not parts:
        raise ConfigError(f"{where}: expected 'from .file import ...', got no name of a file behind the dots")
    if level:
        candidates = [path.parents[level - 1].joinpath(*parts)] if level <= len(path.parents) else []
    else:
        place = _folder_of_package(parts[0])
        if place is None:
            raise ConfigError(f"{where}: there is no package {parts[0]!r}")
        candidates = [place.joinpath(*parts[1:]), place.joinpath(".mim", *parts[1:])]
    files = [candidate.with_name(f"{candidate.name}.py") for candidate in candidates]
    for file in files:
        if file.is_file():
            return file
    raise ConfigError(f"{where}: there is no config file {files[0] if files else '.' * level + str(module)}")


def _folder_of_package(package: str) -> Path | None:
    """Where an installed package lies; None when there is none. One that `kinema.compat` hides counts."""
    try:
        spec = importlib.machinery.PathFinder.find_spec(package) or importlib.util.find_spec(package)
    except (ImportError, ValueError, AttributeError):  # no package on the way to it, or no name of one
        return None
    places = list(spec.submodule_search_locations or []) if spec is not None else []
    return Path(places[0]) if places else None
