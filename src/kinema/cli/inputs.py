"""What the commands that use a trained recognizer are given: videos, checkpoints, and these in the wrong place."""

import glob
from collections.abc import Sequence
from pathlib import Path

import typer

from kinema.errors import KinemaError, VideoError

CHECKPOINT_SUFFIXES = (".pth", ".pt", ".ckpt", ".safetensors", ".bin")


def find_videos(names: Sequence[str]) -> list[str]:
    """The videos that a user names.

    Files, addresses, patterns such as `clips/*.mp4`, folders with all videos below them.

    A folder of numbered images is one video.

    Raises:
        VideoError: a pattern matches nothing, or a folder holds no videos and no frames.
    """
    paths: list[str] = []
    for name in names:
        paths += _videos_of(name)
    return paths


def _videos_of(name: str) -> list[str]:
    from kinema.datasets.annotations.walking import videos_below

    path = Path(name)
    if "://" in name or path.is_file():
        return [name]
    if path.is_dir():
        videos = [str(path / name) for name in videos_below(path)]
        if not videos and not has_frames(path):
            raise VideoError(
                f"{path}: is a folder without videos, and without numbered images that could be frames of one"
            )
        return videos or [name]
    if not path.exists() and glob.has_magic(name):
        matches = sorted(glob.glob(name, recursive=True))  # noqa: PTH207 - of absolute patterns too
        if not matches:
            raise VideoError(f"{name}: no file matches this pattern")
        return [video for match in matches for video in _videos_of(match)]
    plain = name.strip().strip("'\"")
    if plain != name and Path(plain).exists():
        raise VideoError(f"{name}: no such file; there is {plain}: leave the quotes and spaces around it out")
    return [name]  # the reader says that it is not there, and the other videos are not lost


def has_frames(folder: Path) -> bool:
    """Does a folder hold numbered images, which can be the frames of a video?"""
    from kinema.video.backends.frame_folder import find_template

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


def require_checkpoint_first(checkpoint: str, others: Sequence[str], usage: str) -> None:
    """Name swapped arguments: a video or a list where the checkpoint belongs.

    Args:
        checkpoint: the first argument of the command.
        others: those behind it.
        usage: how the command is called.

    Raises:
        KinemaError: `checkpoint` is a video, a list or a folder of clips.
    """
    if looks_like_checkpoint(checkpoint):
        return
    what = _what_is_it(checkpoint)
    swapped = next((other for other in others if looks_like_checkpoint(other)), None)
    if swapped is not None and (what is not None or Path(checkpoint).exists()):
        raise KinemaError(
            f"{checkpoint}: is {what or 'no checkpoint'}, and {swapped} is a checkpoint: the order is {usage}"
        )
    if what is not None:
        raise KinemaError(
            f"{checkpoint}: is {what}, expected a checkpoint (a work folder of `kinema train`, or a .pth file): the"
            f" order is {usage}"
        )


def require_no_folder(file: Path | None, option: str) -> None:
    """Require of the file that an option names that it is no folder.

    Raises:
        BadParameter: it is one.
    """
    if file is not None and file.is_dir():
        raise typer.BadParameter(f"{file} is a folder: name a file", param_hint=option)


def looks_like_checkpoint(name: str) -> bool:
    """Is it a work folder, a checkpoint folder, a file of weights, or an address of one?"""
    from kinema.video.suffixes import has_video_suffix

    path = Path(name)
    if "://" in name:
        return not has_video_suffix(name)
    if path.is_dir():
        return (path / "checkpoints").is_dir() or (path / "model.safetensors").is_file()
    return path.is_file() and path.suffix.lower() in CHECKPOINT_SUFFIXES


def _what_is_it(name: str) -> str | None:
    """What an argument that is no checkpoint is, as far as its name says."""
    from kinema.datasets.annotations.layout import LIST_SUFFIXES
    from kinema.video.suffixes import has_video_suffix

    path = Path(name)
    if path.is_file():
        if has_video_suffix(name):
            return "a video"
        return "a list of clips" if path.suffix.lower() in LIST_SUFFIXES else None
    if not path.is_dir() or (path / "config.json").is_file():
        return None
    from kinema.datasets.annotations.folders import has_splits

    return "a folder of clips" if has_splits(path) or _holds_videos(path) else None


def _holds_videos(folder: Path) -> bool:
    from kinema.datasets.annotations.walking import videos_below

    return bool(videos_below(folder))
