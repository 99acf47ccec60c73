"""Files and folders: the path functions of `mmengine.utils`."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any


def mkdir_or_exist(dir_name: str | Path, mode: int = 0o777) -> None:
    """Make a folder and those above it, unless it is there. An empty name does nothing."""
    if str(dir_name):
        Path(dir_name).expanduser().mkdir(mode=mode, parents=True, exist_ok=True)


def check_file_exist(filename: str | Path, msg_tmpl: str = 'file "{}" does not exist') -> None:
    """Raise FileNotFoundError when there is no such file."""
    if not Path(filename).is_file():
        raise FileNotFoundError(msg_tmpl.format(filename))


def is_filepath(x: object) -> bool:
    """Whether `x` is of a type that can be a path."""
    return isinstance(x, str | Path)


def scandir(
    dir_path: str | Path,
    suffix: str | tuple[str, ...] | None = None,
    recursive: bool = False,
    case_sensitive: bool = True,
) -> Iterator[str]:
    """Paths of the files in a folder, relative to it, in alphabetical order; names with a leading dot are left out.

    Args:
        dir_path: the folder.
        suffix: only files that end so.
        recursive: go into subfolders.
        case_sensitive: whether letter case counts in `suffix`.

    Raises:
        TypeError: `dir_path` or `suffix` is of another type.
    """
    if not isinstance(dir_path, str | Path):
        raise TypeError(f"dir_path must be a text or a Path, got {type(dir_path).__name__}")
    if not isinstance(suffix, str | tuple | None):
        raise TypeError(f"suffix must be a text or a tuple of texts, got {type(suffix).__name__}")
    root = Path(dir_path)
    suffixes = () if suffix is None else (suffix,) if isinstance(suffix, str) else tuple(suffix)
    wanted = suffixes if case_sensitive else tuple(ending.lower() for ending in suffixes)
    for path in sorted(root.rglob("*") if recursive else root.iterdir()):
        relative = path.relative_to(root)
        name = path.name if case_sensitive else path.name.lower()
        hidden = any(part.startswith(".") for part in relative.parts)
        if path.is_file() and not hidden and (suffix is None or name.endswith(wanted)):
            yield str(relative)


def fopen(filepath: str | Path, *args: Any, **kwargs: Any) -> IO[Any]:
    """`open` of a path.

    Raises:
        TypeError: `filepath` is no path.
    """
    if not isinstance(filepath, str | Path):
        raise TypeError(f"filepath must be a text or a Path, got {type(filepath).__name__}")
    return Path(filepath).open(*args, **kwargs)


def symlink(src: str | Path, dst: str | Path, overwrite: bool = True, **kwargs: Any) -> None:
    """Make the symbolic link `dst` to `src`; one that is there is replaced when `overwrite`.

    Raises:
        FileExistsError: `dst` is there, and not to be overwritten.
    """
    if overwrite and os.path.lexists(dst):
        Path(dst).unlink()
    Path(dst).symlink_to(src, **kwargs)


def is_abs(path: str) -> bool:
    """Whether it is an absolute path or an address."""
    return Path(path).is_absolute() or path.startswith(("http://", "https://", "s3://"))


def find_vcs_root(path: str | Path, markers: Sequence[str] = (".git",)) -> str | None:
    """The nearest folder, from `path` upwards, that has one of these entries; None where there is none."""
    folder = Path(path)
    folder = (folder.parent if folder.is_file() else folder).resolve()
    for place in (folder, *folder.parents):
        if any((place / marker).exists() for marker in markers):
            return str(place)
    return None
