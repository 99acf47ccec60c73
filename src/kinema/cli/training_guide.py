"""`kinema train` before its first step: look over the clips, take a trial, say what was seen and keep it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinema.cli.guide import show_guide
from kinema.cli.output import print_note
from kinema.runs.layout import GUIDE_FILE

if TYPE_CHECKING:
    from kinema.config import Config
    from kinema.recipes.guidance import Guide


def guided_config(data: Path, *, work_dir: Path, **settings: Any) -> "tuple[Config, Guide]":
    """The config of training on clips, and what was seen of them; progress goes to stderr.

    Args:
        data: clips as `classification` takes them.
        work_dir: of the run.
        settings: further keywords of `classification`.
    """
    from kinema.logs import only_to_files
    from kinema.progress import ProgressBar
    from kinema.recipes import classification
    from kinema.recipes.clips import read_clips
    from kinema.recipes.guidance import clips_to_look_at, guide

    named = {name: settings[name] for name in ("val", "columns", "multi_label") if name in settings}
    with only_to_files():  # the guide says it
        clips = read_clips(data, **named, work_dir=work_dir, seed=settings.get("seed", 0))
        config = classification(clips, work_dir=work_dir, **settings)
    count = clips_to_look_at(clips)
    print_note(f"looking over {count} clips ...")
    bar = ProgressBar(count, start=bool(count))
    try:
        return config, guide(clips, config, seen=bar.update)
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


def write_guide(work_dir: Path, guide: "Guide") -> None:
    """Keep a guide in the work folder of its run, for the summary, also of a run that is resumed."""
    from kinema.files import write_text

    write_text(work_dir / GUIDE_FILE, json.dumps(guide.as_dict(), indent=2) + "\n")


def read_guide(work_dir: Path) -> dict[str, Any]:
    """The entry `guide` for the summary, from the work folder; empty where there is none that can be read."""
    from kinema.files import read_text

    try:
        return {"guide": json.loads(read_text(work_dir / GUIDE_FILE))}
    except (OSError, ValueError):
        return {}
