"""What the commands that use a trained recognizer are given: checkpoints, and other things in their place."""

import os
from collections.abc import Sequence
from pathlib import Path

import typer

from kinema.errors import KinemaError

CHECKPOINT_SUFFIXES = (".pth", ".pt", ".ckpt", ".safetensors", ".bin")


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


def require_writable(file: Path | None, option: str) -> None:
    """Require of the file that an option names that it can be written, before time is spent on what it will hold.

    Raises:
        BadParameter: it is a folder, or nothing can be written in its folder.
    """
    if file is None:
        return
    if file.is_dir():
        raise typer.BadParameter(f"{file} is a folder: name a file", param_hint=option)
    folder = next(parent for parent in file.parents if parent.exists())  # those below it will be made
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        raise typer.BadParameter(
            f"{file}: nothing can be written in {folder}: name a file in another folder", param_hint=option
        )


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
        if path.suffix in (".py", ".yaml", ".yml"):  # OpenMMLab's tools take it first
            return "a config"
        return "a list of clips" if path.suffix.lower() in LIST_SUFFIXES else None
    if not path.is_dir() or (path / "config.json").is_file():
        return None
    from kinema.datasets.annotations.folders import has_splits
    from kinema.datasets.annotations.walking import holds_videos

    return "a folder of clips" if has_splits(path) or holds_videos(path) else None
