"""Whether packages and programs are there: `mmengine.utils.package_utils` and the `requires_` decorators."""

import functools
import importlib.metadata
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

MESSAGE = 'Prerequisites "{}" are required in method "{}" but not found, please install them first.'

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def check_prerequisites(
    prerequisites: str | Sequence[str], checker: Callable[[str], bool], msg_tmpl: str = MESSAGE
) -> Decorator:
    """Decorator: the function runs only when all that it needs is there.

    Args:
        prerequisites: what it needs.
        checker: says of each whether it is there.
        msg_tmpl: text with two places, for what is missing and for the function.

    Raises:
        RuntimeError: at a call, when something is missing.
    """

    def decorator(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def checked(*args: Any, **kwargs: Any) -> Any:
            needed = [prerequisites] if isinstance(prerequisites, str) else prerequisites
            missing = [name for name in needed if not checker(name)]
            if missing:
                message = msg_tmpl.format(", ".join(missing), function.__name__)
                sys.stdout.write(f"{message}\n")
                raise RuntimeError(message)
            return function(*args, **kwargs)

        return checked

    return decorator


def requires_package(prerequisites: str | Sequence[str]) -> Decorator:
    """Decorator: the function runs only when these modules can be imported."""
    return check_prerequisites(prerequisites, _is_importable)


def requires_executable(prerequisites: str | Sequence[str]) -> Decorator:
    """Decorator: the function runs only when these programs are on the path."""
    return check_prerequisites(prerequisites, lambda name: shutil.which(name) is not None)


def _is_importable(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def is_installed(package: str) -> bool:
    """Whether a package is installed, by its name or that of its module."""
    try:
        importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        return (package.isidentifier() and _is_importable(package)) or _is_shimmed(package)
    return True


def _is_shimmed(package: str) -> bool:
    """`mmaction2` and `mmcv-full` are the packages of modules that Kinema answers for."""
    return package in ("mmaction2", "mmcv-full", "mmcv-lite")


def package2module(package: str) -> str:
    """The module that an installed package is imported as.

    Raises:
        PackageNotFoundError: it is not installed.
        ValueError: it does not say.
    """
    modules = (importlib.metadata.distribution(package).read_text("top_level.txt") or "").split()
    if not modules:
        raise ValueError(f"{package}: no top_level.txt says what it is imported as")
    return modules[0]


def get_installed_path(package: str) -> str:
    """The folder of an installed package's module.

    Raises:
        PackageNotFoundError: there is none.
    """
    try:
        distribution = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        spec = importlib.util.find_spec(package) if package.isidentifier() else None
        if spec is not None and spec.submodule_search_locations:
            return str(next(iter(spec.submodule_search_locations)))
        raise
    modules = [package.replace("-", "_"), *(distribution.read_text("top_level.txt") or "").split()]
    for module in modules:
        folder = Path(str(distribution.locate_file(module)))
        if folder.is_dir():
            return str(folder)
    raise importlib.metadata.PackageNotFoundError(f"{package}: no folder of its module ({', '.join(modules)})")


def install_package(package: str) -> None:
    """Install a package with pip, unless it is there.

    Raises:
        CalledProcessError: pip fails.
    """
    if not is_installed(package):
        call_command([sys.executable, "-m", "pip", "install", package])


def call_command(cmd: list[str]) -> None:
    """Run a command.

    Raises:
        CalledProcessError: it fails.
    """
    subprocess.run(cmd, check=True)
