"""`kinema train` before its first step: look over the clips, take a trial, say what was seen and keep it."""

import json
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinema.cli.config_or_clips import DEFAULT_MODEL
from kinema.cli.guide import show_guide
from kinema.cli.output import print_note
from kinema.cli.training_preparation import SHORT_SIDE, prepare_clips, prepared_folder, prepared_of
from kinema.errors import ConfigError

if TYPE_CHECKING:
    from kinema.config import Config
    from kinema.recipes.clips import TrainingClips
    from kinema.recipes.guidance import Guide


def config_of_clips(
    data: Path,
    *,
    work_dir: Path,
    is_guided: bool = True,
    is_prepared: bool = False,
    resumed: Mapping[str, Any] | None = None,
    **settings: Any,
) -> "tuple[Config, Guide | None]":
    """The config of training on clips, and what was seen of them; progress goes to stderr.

    Args:
        data: clips as `classification` takes them.
        work_dir: of the run.
        is_guided: look over the clips; else the log says what they are.
        is_prepared: re-encode them and read the new files; those of a run that did so, always.
        resumed: config of the run that is resumed.
        settings: further keywords of `classification`; of a cross-validation the `fold` to look at.
    """
    from kinema.logs import only_to_files
    from kinema.models import zoo
    from kinema.recipes import classification
    from kinema.recipes.classification import check_choice
    from kinema.recipes.clips import read_clips

    check_choice(*(settings.get(name) for name in ("model", "recipe", "preset")))
    named = {name: settings[name] for name in ("val", "columns", "multi_label", "fold") if name in settings}
    with only_to_files() if is_guided else nullcontext():  # the guide says it
        clips = read_clips(data, **named, work_dir=work_dir, seed=settings.get("seed", 0), resumed=resumed)
    before = prepared_of(resumed)
    prepared = None
    if is_prepared or before is not None:
        side = zoo.card(settings.get("model") or DEFAULT_MODEL).input.short_side
        prepared = prepare_clips(clips, before or prepared_folder(work_dir), short_side=max(side, SHORT_SIDE))
    with only_to_files() if is_guided else nullcontext():
        config = classification(clips, work_dir=work_dir, prepared=prepared, **settings)
    return config, _looked_over(clips, config) if is_guided else None


def _looked_over(clips: "TrainingClips", config: "Config") -> "Guide":
    from kinema.progress import ProgressBar
    from kinema.recipes.guidance import clips_to_look_at, guide

    count = clips_to_look_at(clips)
    print_note(f"looking over {count} clips ...")
    bar = ProgressBar(count, start=bool(count))
    try:
        return guide(clips, config, seen=bar.update)
    finally:
        bar.close()


def try_and_warn(
    guide: "Guide", config: "Config", *, is_tried: bool, is_shown: bool = True, to_stderr: bool = True
) -> "Guide":
    """Take a trial of the training, add what it warns of, and show the guide."""
    from kinema.recipes.guidance import with_trial
    from kinema.recipes.trial import try_training

    if is_tried:
        print_note("taking a few steps to estimate time and memory ...")
        guide = with_trial(guide, try_training(config))
    if is_shown:
        show_guide(guide, to_stderr=to_stderr)
    return guide


def require_readable(guide: "Guide", config: "Config") -> None:
    """End a training before it begins that would stop at its broken clips.

    Raises:
        ConfigError: too many clips cannot be read, all of them were looked at, and the config does
            not say how many may be.
    """
    loaders = [config[f"{name}_dataloader"] for name in ("train", "val")]
    if guide.stops is None or not guide.survey.is_complete or any("max_broken_share" in loader for loader in loaders):
        return
    raise ConfigError(
        f"{guide.stops}: take them out, or train on what can be read: --set train_dataloader.max_broken_share=1 --set"
        " val_dataloader.max_broken_share=1"
    )


def write_guide(work_dir: Path, guide: "Guide") -> None:
    """Keep a guide in the work folder of its run, for the summary, also of a run that is resumed."""
    from kinema.files import write_text
    from kinema.runs.layout import GUIDE_FILE

    work_dir.mkdir(parents=True, exist_ok=True)
    write_text(work_dir / GUIDE_FILE, json.dumps(guide.as_dict(), indent=2) + "\n")


def read_guide(work_dir: Path) -> dict[str, Any]:
    """The entry `guide` for the summary, from the work folder; empty where there is none that can be read."""
    from kinema.files import read_text
    from kinema.runs.layout import GUIDE_FILE

    try:
        return {"guide": json.loads(read_text(work_dir / GUIDE_FILE))}
    except (OSError, ValueError):
        return {}
