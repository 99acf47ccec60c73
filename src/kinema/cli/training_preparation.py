"""`kinema train --prepare`: the clips are re-encoded once, beside the work folder, and read from there."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinema.cli.data.ledger import Ledger
from kinema.cli.data.prepare import Failed, check_places, prepare_sources
from kinema.cli.data.sources import Sources, absolute_path
from kinema.cli.output import print_note
from kinema.cli.stopping import stopped_with
from kinema.cores import available_cores
from kinema.errors import ConfigError

if TYPE_CHECKING:
    from kinema.recipes.clips import TrainingClips

MOST_NAMED = 5  # videos that could not be prepared
SHORT_SIDE = 256  # pixels; of a model that takes more, its own


def prepared_folder(work_dir: Path) -> Path:
    """Where the prepared clips of a run lie, beside its work folder, so that they outlive it."""
    return work_dir.with_name(f"{work_dir.name}_prepared")


def prepared_of(settings: Mapping[str, Any] | None) -> Path | None:
    """The folder of prepared clips that a run was trained from, by its config; None: from the originals."""
    steps: Any = settings
    for key in ("train_dataloader", "dataset", "pipeline"):
        steps = steps.get(key) if isinstance(steps, Mapping) else None
    for step in steps or ():
        if isinstance(step, Mapping) and step.get("type") == "OpenVideo" and step.get("prepared"):
            return Path(str(step["prepared"]))
    return None


def prepare_clips(clips: "TrainingClips", folder: Path, *, short_side: int = SHORT_SIDE) -> Path:
    """Re-encode what is not in the folder yet, or has changed since; of several processes the main one does.

    Args:
        clips: to train and to validate on.
        folder: for the new files.
        short_side: of these, pixels.

    Returns:
        The folder.

    Raises:
        ConfigError: the clips lie in tar files, or in the folder.
    """
    from kinema.distributed import broadcast_object, is_main_process

    if clips.layout.train.shards is not None:
        raise ConfigError(
            f"{clips.layout.train.path}: --prepare re-encodes video files, these lie in tar files: prepare them before"
            " they are put there (`kinema data prepare`, then `kinema data shard`)"
        )
    if is_main_process():
        _prepare(clips, folder, short_side)
    broadcast_object(None)  # the others wait for the files
    return folder


def _prepare(clips: "TrainingClips", folder: Path, short_side: int) -> None:
    from kinema.video.transcode import TranscodeSettings

    sources = sources_of(clips)
    check_places(sources.root / "clips", folder, sources)
    print_note(f"preparing {len(sources.paths)} videos in {folder} ...")
    with stopped_with("stopped; the same command continues to prepare where it stopped"), Ledger(folder) as ledger:
        settings = TranscodeSettings(short_side)
        done, failed, num_before = prepare_sources(sources, ledger, settings, available_cores(), None)
    print_note(f"prepared {len(done) - num_before}, {num_before} were there{_named(failed)}")


def _named(failed: list[Failed]) -> str:
    if not failed:
        return ""
    shown = "; ".join(f"{video.path}: {video.problem}" for video in failed[:MOST_NAMED])
    more = f"; and {len(failed) - MOST_NAMED} more" if len(failed) > MOST_NAMED else ""
    return f"; {len(failed)} cannot be prepared, and are read as they are: {shown}{more}"


def sources_of(clips: "TrainingClips") -> Sources:
    """The videos of the clips, each once, with their places below the folder that holds them all."""
    splits = ((clips.layout.train, clips.train), (clips.val_split, clips.val))
    paths = list(
        dict.fromkeys(
            absolute_path(split.video_root / path) for split, annotations in splits for path in annotations.paths
        )
    )
    root = Path(os.path.commonpath([path.parent for path in paths]))
    return Sources(paths, root, [path.relative_to(root).as_posix() for path in paths])
