"""Folders: the folder that a clip lies in names its class."""

import os
from collections.abc import Sequence
from pathlib import Path

from kinema.datasets.annotations.collecting import ClipCollector
from kinema.datasets.annotations.records import VIDEO_SUFFIXES, Annotations
from kinema.errors import AnnotationError


def read_class_folders(root: str | os.PathLike, *, class_names: Sequence[str] | None = None) -> Annotations:
    """Read `root/class/clip.mp4`: every folder with videos below it is a class, in alphabetical order.

    Args:
        root: the folder that holds one folder a class.
        class_names: the classes, when known (from the training split): their order gives the class indices.

    Returns:
        The clips, with paths relative to `root`.

    Raises:
        AnnotationError: no folder, no videos, a class without videos, or a folder that is none of `class_names`.
    """
    root = Path(root)
    if not root.is_dir():
        raise AnnotationError(
            f"{root}: expected a folder that holds one folder of videos a class; there is no such folder"
        )
    by_class = {entry.name: videos_below(entry) for entry in sorted(root.iterdir()) if _is_visible_folder(entry)}
    if not any(by_class.values()):
        loose = [entry for entry in root.iterdir() if entry.suffix.lower() in VIDEO_SUFFIXES and entry.is_file()]
        if loose:
            raise AnnotationError(
                f"{root}: its {len(loose)} videos lie in no class folder: sort them into one folder a class "
                f"(such as {root.name}/waving/{loose[0].name}), or name the folder above"
            )
        if any(root.glob("*.tar")):
            raise AnnotationError(
                f"{root}: holds tar files of videos, which the dataset ShardDataset reads, in a config"
            )
        raise AnnotationError(
            f"{root}: expected one folder of videos a class (such as {root.name}/waving/clip1.mp4), found no videos below it"
        )
    empty = [name for name, videos in by_class.items() if not videos]
    if empty:
        raise AnnotationError(f"{root}: the class folder {empty[0]!r} holds no videos: add some or remove the folder")
    names = tuple(by_class) if class_names is None else tuple(class_names)
    unknown = sorted(set(by_class) - set(names))
    if unknown:
        raise AnnotationError(
            f"{root}: the folder {unknown[0]!r} is none of the {len(names)} classes: {', '.join(names)}"
        )
    clips = ClipCollector(root, "class-folders")
    for name, videos in by_class.items():
        for video in videos:
            clips.add(f"{name}/{video}", (name,))
    return clips.finish(names, labels_are_names=True, video_root=root)


def videos_below(folder: Path) -> list[str]:
    """Paths of the videos below `folder`, relative to it, sorted; hidden files and folders left out.

    Thumbnails, caches and the like begin with a dot. A folder may be named like a video.
    """
    found: list[str] = []
    pending = [""]
    while pending:
        below = pending.pop()
        with os.scandir(folder / below) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    if entry.is_symlink() and (folder / below).resolve().is_relative_to(Path(entry.path).resolve()):
                        continue  # it leads back up
                    pending.append(f"{below}{entry.name}/")
                elif Path(entry.name).suffix.lower() in VIDEO_SUFFIXES:
                    found.append(f"{below}{entry.name}")
    return sorted(found)


def _is_visible_folder(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".")
