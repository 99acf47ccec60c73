"""`kinema train --folds N`: several trainings, and what they say together."""

import shlex
from pathlib import Path
from typing import Any

from kinema.cli.config_or_clips import is_config
from kinema.cli.output import print_json, print_line, print_table
from kinema.cli.stopping import RESUME, stopped_with
from kinema.cli.training_config import known_settings
from kinema.cli.training_guide import config_of_clips, require_readable, try_and_warn, write_guide
from kinema.cli.training_preparation import prepared_of
from kinema.cli.training_results import with_interval
from kinema.errors import ConfigError


def cross_validate_clips(
    data: Path,
    folds: int,
    folder: Path,
    settings: dict[str, Any],
    overrides: dict[str, Any],
    *,
    device: str,
    resume: bool,
    track: list[str],
    prepare: bool,
    is_tried: bool,
    as_json: bool,
) -> None:
    """Look over the clips, cross-validate, and print the folds, as a table or as JSON.

    Raises:
        ConfigError: there is a config, or validation clips are named.
    """
    from kinema.distributed import get_world_size, is_main_process
    from kinema.recipes import cross_validate
    from kinema.runs.settings_file import read_settings
    from kinema.runs.trackers import tracker_configs

    if is_config(data) or settings.pop("val") is not None:
        raise ConfigError(
            "--folds splits the clips of DATA itself, so it takes no config and no --val: name a list or a folder of"
            " clips"
        )

    def change(config: Any) -> None:
        config["device"] = device
        if track:
            config["trackers"] = tracker_configs(track)
        config.merge_from_dict(known_settings(overrides, config))

    config, guide = config_of_clips(
        data,
        work_dir=folder,
        is_guided=not resume and is_main_process(),
        is_prepared=prepare,
        resumed=(read_settings(folder / "fold_1") or {}) if resume else None,
        fold=(1, folds),  # the others are like it
        **settings,
    )
    if guide is not None:
        change(config)
        is_tried = is_tried and get_world_size() == 1 and guide.stops is None
        guide = try_and_warn(guide, config, is_tried=is_tried)
        require_readable(guide, config)
        write_guide(folder, guide)
    settings["prepared"] = prepared_of(config)
    with stopped_with(RESUME):
        results = cross_validate(
            data, folds=folds, work_dir=folder, change=change, resume=resume, announce=guide is None, **settings
        )
    if not is_main_process():
        return
    if as_json:
        print_json(results)
        return
    rows = [
        [str(row["fold"]), str(row["clips"]), str(row["epochs"]), f"{row['last']:.1%}", f"{row['best']:.1%}"]
        for row in results["folds"]
    ]
    last, best = results["last"], results["best"]
    rows.append(["mean", "", "", f"{last['mean']:.1%}", f"{best['mean']:.1%}"])
    rows.append(["spread", "", "", f"{100 * last['std']:.1f} points", f"{100 * best['std']:.1f} points"])
    print_table(f"Cross-validated in {folder}", ["fold", "clips", "epochs", "last epoch", "best epoch"], rows)
    print_line(f"all clips together, last epoch: {with_interval(last)}")
    print_line(
        "the best epoch was chosen by the clips that it is measured on; the last one was not, so it says what new"
        " clips will give"
    )
    print_line("next:")
    print_line(f"  kinema train {shlex.quote(str(data))}")
