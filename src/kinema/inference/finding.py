"""The videos that a path, a folder, a pattern or a list stands for."""

import glob
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kinema.datasets.annotations import read_split
from kinema.datasets.annotations.layout import LIST_SUFFIXES
from kinema.datasets.annotations.walking import holds_videos, videos_below
from kinema.errors import VideoError
from kinema.video.backends.frame_folder import find_template


def find_videos(names: Sequence[str]) -> list[str]:
    """The videos that a user names.

    Files, addresses, patterns such as `clips/*.mp4`, folders with all videos below them, lists as
    `kinema.datasets.annotations.read_split` reads them, with labels or without.

    A folder of numbered images is one video.

    Raises:
        VideoError: a pattern matches nothing, a folder holds no videos and no frames, or a list
            names parts of videos.
        AnnotationError: a list cannot be read.
    """
    return [video for name in names for video in _videos_of(name)]


def _videos_of(name: str) -> list[str]:
    path = Path(name)
    if is_list(name):
        return _videos_of_list(path)
    if "://" in name or path.is_file():
        return [name]
    if path.is_dir():
        videos = [str(path / name) for name in videos_below(path)]
        if not videos and not has_frames(path):
            raise VideoError(
                f"{path}: is a folder without videos, and without numbered images that could be frames of one"
            )
        return videos or [name]
    if is_pattern(name):
        matches = sorted(glob.glob(name, recursive=True))  # noqa: PTH207 - of absolute patterns too
        if not matches:
            raise VideoError(f"{name}: no file matches this pattern")
        return [video for match in matches for video in _videos_of(match)]
    plain = name.strip().strip("'\"")
    if plain != name and Path(plain).exists():
        raise VideoError(f"{name}: no such file; there is {plain}: leave the quotes and spaces around it out")
    return [name]  # the reader says that it is not there, and the other videos are not lost


def is_list(name: str) -> bool:
    """Is it a file that names videos, such as `train.txt`?"""
    return "://" not in name and Path(name).suffix.lower() in LIST_SUFFIXES and Path(name).is_file()


def _videos_of_list(path: Path) -> list[str]:
    """Each video of a list once, in its order."""
    split = read_split(path)
    clips = split.annotations
    if clips.clip_starts is not None or clips.clip_ends is not None:
        raise VideoError(
            f"{path}: names parts of videos: `kinema test` measures a model on them, `kinema timeline` says what whole"
            " videos show, and when"
        )
    return list(dict.fromkeys(str(split.video_root / video) for video in clips.paths))


def is_pattern(name: str) -> bool:
    """Is it a pattern such as `clips/*.mp4`, and no file or folder of that name?"""
    return "://" not in name and glob.has_magic(name) and not Path(name).exists()


def stands_for_several(video: Any) -> bool:
    """Is it the path of a folder of videos, a list, or a pattern? A folder of frames is one video."""
    if not isinstance(video, str | os.PathLike):
        return False
    name = os.fspath(video)
    return isinstance(name, str) and (
        is_pattern(name) or is_list(name) or (Path(name).is_dir() and holds_videos(Path(name)))
    )


def has_frames(folder: Path) -> bool:
    """Does a folder hold numbered images, which can be the frames of a video?"""
    names = [entry.name for entry in folder.iterdir() if entry.is_file()]
    for modality in ("RGB", "Flow"):
        try:
            find_template(names, modality)
        except ValueError as error:
            if "several kinds" in str(error):
                return True
            continue
        return True
    return False
