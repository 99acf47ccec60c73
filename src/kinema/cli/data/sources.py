"""The videos that a command of `kinema data` is to work on: one file, all below a folder, or those of a list."""

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kinema.cli.output import print_note
from kinema.errors import AnnotationError

if TYPE_CHECKING:
    from kinema.datasets.annotations import Annotations


@dataclass(frozen=True)
class Sources:
    """Videos in order, each once.

    Attributes:
        paths: the files, which need not exist when a list names them.
        root: the folder that `names` are relative to.
        names: of each file, where it lies below `root`, as a relative path with forward slashes.
        annotations: the list they come from, if it is one.
        listed: of each record of the list, its path.
    """

    paths: list[Path]
    root: Path
    names: list[str]
    annotations: "Annotations | None" = None
    listed: tuple[Path, ...] = ()


def find_sources(source: Path, *, class_names: Sequence[str] = ()) -> Sources:
    """Find the videos of a file, a folder or a list.

    Args:
        source: a video, a folder (with all below it), or annotations of any format that
            `kinema train` takes.
        class_names: the training split's, for annotations that label by name.

    Raises:
        AnnotationError: there is no such path, the folder holds no videos, the list is wrong, or
            none of its videos is there.
    """
    from kinema.datasets.annotations.walking import find_videos, notes_on_skipped
    from kinema.video.suffixes import VIDEO_SUFFIXES, has_video_suffix

    if source.is_dir():
        videos = find_videos(source)
        names = videos.paths
        notes = notes_on_skipped([videos])
        if not names:
            raise AnnotationError(
                f"{source}: there are no videos in this folder or below it ({', '.join(sorted(VIDEO_SUFFIXES))})"
                + "".join(f"; {note}" for note in notes)
            )
        for note in notes:
            print_note(f"{source}: {note}")
        return Sources([source / name for name in names], source, names)
    if not source.exists():
        raise AnnotationError(
            f"{source}: there is no such file or folder: expected a video, a folder of videos, or a list of 'path"
            " label' lines"
        )
    if has_video_suffix(source.name) or _is_video_without_suffix(source):
        return Sources([source], source.parent, [source.name])
    return _listed(source, class_names)


def _is_video_without_suffix(source: Path) -> bool:
    """A file that is no text and whose name says nothing, as in caches and object stores."""
    from kinema.datasets.annotations.mistaken import is_binary
    from kinema.files import read_bytes

    if source.suffix:
        return False
    try:
        return is_binary(read_bytes(source, 4096))
    except OSError:
        return False


def _listed(source: Path, class_names: Sequence[str]) -> Sources:
    from kinema.datasets.annotations import read_annotations
    from kinema.datasets.annotations.formats import LABELLED_BY_INDEX, find_format

    format = find_format(source)
    names = None if format in LABELLED_BY_INDEX else class_names or None
    annotations = read_annotations(source, format, class_names=names)
    if annotations.total_frames is not None:
        raise AnnotationError(f"{source}: lists folders of frames: expected a list of videos")
    video_root = _video_root(annotations)
    listed = tuple(Path(os.path.normpath(video_root / path)) for path in annotations.paths)
    paths = list(dict.fromkeys(listed))
    absolute = [absolute_path(path) for path in paths]
    root = absolute_path(video_root)
    if not all(path.is_relative_to(root) for path in absolute):
        root = Path(os.path.commonpath([path.parent for path in absolute]))
    return Sources(paths, root, [path.relative_to(root).as_posix() for path in absolute], annotations, listed)


def _video_root(annotations: "Annotations") -> Path:
    """The folder that the paths are relative to, by the first video that is there: some may have been lost."""
    from kinema.datasets.annotations.layout import find_video_root

    if annotations.video_root is not None:
        return annotations.video_root
    for place in range(len(annotations)):
        with contextlib.suppress(AnnotationError):
            return find_video_root(annotations.take([place]))
    return find_video_root(annotations)  # says which it looked for, and where


def absolute_path(path: Path) -> Path:
    """`path` from the root on, links left as they are: `resolve()` would forget the tree that the user made of them."""
    return Path(os.path.abspath(path))  # noqa: PTH100
