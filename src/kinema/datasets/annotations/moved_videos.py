"""Videos of a table that was written elsewhere.

With folders of another machine, under a name without suffix, or with no name at all.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np

from kinema.datasets.annotations.layout import LOOKED_FOR, root_candidates
from kinema.video.suffixes import has_video_suffix


def own_video(source: Path, folder: Path | None = None) -> str | None:
    """The video that a file which names none speaks of: the one with its name, else the only one there.

    Args:
        source: the file.
        folder: of the videos; default: that of the file.
    """
    around = source.parent if folder is None else folder
    beside = sorted(entry.name for entry in around.iterdir() if has_video_suffix(entry.name) and entry.is_file())
    same = [name for name in beside if Path(name).stem == source.stem]
    if not same and len(beside) == 1:
        same = beside
    return same[0] if len(same) == 1 else None


def finder_of_moved(source: Path, paths: Sequence[str], folder: Path | None = None) -> Callable[[str], str] | None:
    """A function from a path in a table to where that video is; None where the paths are right, or nothing is found.

    Args:
        source: the table.
        paths: of its rows.
        folder: of the videos, where it is known; it comes before the usual ones.
    """
    candidates = [*([] if folder is None else [folder]), *root_candidates(source)]
    folders = [candidate for candidate in candidates if candidate.is_dir()]
    places = np.linspace(0, len(paths) - 1, min(len(paths), LOOKED_FOR)).astype(int).tolist()
    sample = {paths[place] for place in places}
    if not sample or any(_exists(folders, path) for path in sample):
        return None
    by_name: dict[str, str] = {}
    for folder in reversed(folders):
        for entry in sorted(folder.iterdir()):
            if has_video_suffix(entry.name):
                video = str(entry.absolute())
                by_name[entry.name.lower()] = by_name[entry.stem.lower()] = video

    def find(path: str) -> str:
        name = re.split(r"[/\\]", path.strip())[-1].lower()
        stem = name.rpartition(".")[0] or name
        return by_name.get(name) or by_name.get(stem) or path

    return find if any(find(path) != path for path in sample) else None


def path_of_address(address: str) -> str:
    """`file:///C:/a%20b.mp4` -> `C:/a b.mp4`; other addresses stay."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return address
    if parts.scheme not in ("file", ""):
        return address
    path = unquote(parts.path, errors="surrogateescape")
    is_drive = len(path) > 2 and path[0] == "/" and path[2] == ":"
    return path[1:] if is_drive else path.removeprefix("./")


def _exists(folders: Sequence[Path], path: str) -> bool:
    try:
        return any((folder / path).exists() for folder in folders)
    except (OSError, ValueError):  # too long, or not a path at all
        return False
