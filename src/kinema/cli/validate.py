"""`kinema validate`: what `kinema train` would say before it trains, without training."""

from pathlib import Path
from typing import Annotated

import typer

from kinema.cli import training_options as options
from kinema.cli.config_or_clips import is_config
from kinema.cli.options import ColumnsOption, Json, Workers, parsed_columns
from kinema.cli.output import print_json, print_line
from kinema.cli.stopping import stopped_with
from kinema.cli.training_config import run_name
from kinema.cli.training_guide import config_of_clips, try_and_warn
from kinema.errors import ConfigError

EPILOG = """Examples:

kinema validate clips

kinema validate clips --preset balanced --json

kinema validate clips/train.csv --no-trial
"""


def validate(
    data: Annotated[Path, typer.Argument(help=f"{options.DATA_HELP}.", metavar="DATA", show_default=False)],
    val: options.Val = None,
    preset: options.Preset = None,
    model: options.Model = None,
    recipe: options.Recipe = None,
    epochs: options.Epochs = None,
    batch_size: options.BatchSize = None,
    multi_label: options.MultiLabel = None,
    no_trial: options.NoTrial = False,
    seed: options.OptionalSeed = None,
    device: options.OptionalDevice = None,
    workers: Workers = None,
    columns: ColumnsOption = None,
    as_json: Json = False,
) -> None:
    """Look over labelled clips as `kinema train` would, without training: what they hold, what is wrong, what it takes.

    Shows classes, lengths, sizes and the split; copies, the same scene in
    both parts, facts such as the length that tell the class, clips that cannot
    be read; the model and frames that training would choose, and its time and
    memory. Exit status 1 when something would stop the training.
    """
    from kinema.logs import show_on_console

    if is_config(data):
        raise ConfigError(f"{data}: is a config: `kinema config {data} --check` looks it over, this command clips")
    show_on_console("ERROR")
    with stopped_with("stopped"):
        config, guide = config_of_clips(
            data,
            work_dir=Path("work") / run_name(data),
            val=val,
            preset=preset,
            device=device or "auto",
            model=model,
            recipe=recipe,
            epochs=epochs,
            batch_size=batch_size,
            multi_label=multi_label,
            seed=seed or 0,
            workers=workers,
            columns=parsed_columns(columns),
        )
        assert guide is not None
        config["device"] = device or "auto"
        is_tried = not no_trial and guide.stops is None
        guide = try_and_warn(guide, config, is_tried=is_tried, is_shown=not as_json, to_stderr=False)
    if as_json:
        print_json(guide.as_dict())
    elif guide.stops is not None:
        print_line(f"this would stop a training: {guide.stops}")
    if guide.stops is not None:
        raise typer.Exit(1)
