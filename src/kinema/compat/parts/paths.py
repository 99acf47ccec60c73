"""Files and folders: the path functions of `mmengine.utils`."""

from collections.abc import Iterator
from pathlib import Path


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
    """
    root = Path(dir_path)
    suffixes = () if suffix is None else (suffix,) if isinstance(suffix, str) else tuple(suffix)
    wanted = suffixes if case_sensitive else tuple(ending.lower() for ending in suffixes)
    for path in sorted(root.rglob("*") if recursive else root.iterdir()):
        relative = path.relative_to(root)
        name = path.name if case_sensitive else path.name.lower()
        hidden = any(part.startswith(".") for part in relative.parts)
        if path.is_file() and not hidden and (suffix is None or name.endswith(wanted)):
            yield str(relative)
