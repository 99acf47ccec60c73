"""`kinema train`: from clips, or from a config, to a trained recognizer."""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from kinema.cli import training_options as options
from kinema.cli.config_or_clips import is_config, read_config
from kinema.cli.cross_validation import cross_validate_clips
from kinema.cli.dry_run import print_dry_run
from kinema.cli.guide import show_guide
from kinema.cli.options import ColumnsOption, Json, Workers, parsed_columns
from kinema.cli.output import print_json
from kinema.cli.stopping import RESUME, stopped_with
from kinema.cli.training_config import (
    check_choices,
    check_resumed,
    hold_folder,
    known_settings,
    read_patience,
    require_folder,
    run_name,
)
from kinema.cli.training_guide import config_of_clips, read_guide, require_readable, try_and_warn, write_guide
from kinema.cli.training_results import print_summary
from kinema.errors import ConfigError
from kinema.memory import collections_paused

if TYPE_CHECKING:
    from kinema.config import Config
    from kinema.recipes.guidance import Guide

EPILOG = """Examples:

kinema train clips

kinema train clips --preset balanced --prepare

kinema train clips/train.csv --class-weights auto --folds 5

kinema train clips --epochs 90 --resume
"""


def train(
    data: options.DataArgument = None,
    data_option: options.DataOption = None,
    val: options.Val = None,
    preset: options.Preset = None,
    model: options.Model = None,
    recipe: options.Recipe = None,
    pretrained: options.Pretrained = None,
    epochs: options.Epochs = None,
    batch_size: options.BatchSize = None,
    class_weights: options.ClassWeights = None,
    label_smoothing: options.LabelSmoothing = None,
    mixup: options.Mixup = None,
    multi_label: options.MultiLabel = None,
    prepare: options.Prepare = False,
    no_trial: options.NoTrial = False,
    work_dir: options.WorkDir = None,
    patience: options.Patience = None,
    folds: options.Folds = None,
    overrides: options.Overrides = None,
    resume: options.Resume = False,
    save_every: options.SaveEvery = None,
    precision: options.Precision = None,
    also_pth: options.AlsoPth = None,
    hang_timeout: options.HangTimeout = None,
    seed: options.OptionalSeed = None,
    device: options.OptionalDevice = None,
    strategy: options.Strategy = None,
    launcher: options.Launcher = None,
    only_try: options.OnlyTry = False,
    world_size: options.WorldSize = None,
    workers: Workers = None,
    columns: ColumnsOption = None,
    track: options.Track = None,
    as_json: Json = False,
) -> None:
    """Train a recognizer and evaluate it on the validation clips after every epoch.

    First it looks over the clips, takes a few steps, and says what is wrong
    with the data and what the training will take (`kinema validate` does
    that alone).
    """
    data = _data_of(data, data_option)
    from kinema.config import parse_override
    from kinema.config.kinds import check_kinds

    with collections_paused():
        from kinema.distributed import choose_device, init_from_environment
        from kinema.engine import Every
    from kinema.logs import show_on_console

    show_on_console()
    _check_combinations(data, world_size, folds, only_try=only_try, prepare=prepare)
    if not only_try:
        connection = _connection_in(data) if is_config(data) else {}
        init_from_environment(launcher=launcher or "none", device=device or "auto", **connection)
    if device is not None:
        choose_device(device)  # before minutes are spent on the clips
    if save_every is not None:
        Every.parse(save_every, "--save-every")
    settings = dict(map(parse_override, overrides or []))
    check_kinds(settings)
    check_choices(precision, strategy, track or [], settings)
    chosen = {
        "precision": precision,
        "strategy": strategy,
        "launcher": launcher,
        "default_hooks.checkpoint.interval": save_every,
        "default_hooks.checkpoint.also_pth": also_pth or None,
        "default_hooks.hang.timeout": hang_timeout,
    }
    chosen = {key: value for key, value in chosen.items() if value is not None}
    of_config = {"epochs": epochs, "batch_size": batch_size, "workers": workers}
    of_clips: dict[str, Any] = {
        "--val": val,
        "--preset": preset,
        "--model": model,
        "--recipe": recipe,
        "--pretrained": pretrained,
        "--class-weights": class_weights,
        "--label-smoothing": label_smoothing,
        "--mixup": mixup,
        "--multi-label": multi_label,
        "--patience": read_patience(patience),
    }
    recipe_settings: dict[str, Any] = {
        name.removeprefix("--").replace("-", "_"): value for name, value in of_clips.items()
    }
    recipe_settings |= {**of_config, "seed": seed or 0, "columns": parsed_columns(columns)}
    recipe_settings["device"] = device or "auto"
    if folds is not None:
        cross_validate_clips(
            data,
            folds,
            work_dir or Path("work") / run_name(data),
            recipe_settings,
            {**chosen, **settings},
            device=device or "auto",
            resume=resume,
            track=track or [],
            prepare=prepare,
            is_tried=not no_trial,
            as_json=as_json,
        )
        return
    guide = None
    if is_config(data):
        config = _changed_config(data, of_clips, **of_config)
    else:
        folder = Path(settings.get("work_dir") or work_dir or Path("work") / run_name(data))
        config, guide = _guided_config(data, folder, recipe_settings, resume=resume, prepare=prepare)
    given = _Given(work_dir, device, seed, track or [], chosen, settings)
    guide = given.apply(config, guide)
    if only_try:
        if guide is not None:
            show_guide(guide, to_stderr=True)
        print_dry_run(config, world_size or 1, as_json=as_json)
        return
    check_kinds(config)
    config["resume"] = resume or bool(config.get("resume"))
    _train(config, guide, is_tried=not no_trial, workers=workers, as_json=as_json)


@dataclass(frozen=True)
class _Given:
    """What the options say of any config."""

    work_dir: Path | None
    device: str | None
    seed: int | None
    track: Sequence[str]
    chosen: Mapping[str, Any]  # values by key
    settings: Mapping[str, Any]  # those of `--set`

    def apply(self, config: "Config", guide: "Guide | None") -> "Guide | None":
        """Change the config, and return what to say of it then."""
        from kinema.recipes.guidance import as_set, views_of
        from kinema.runs.trackers import tracker_configs

        if self.work_dir is not None:
            config.merge_from_dict({"work_dir": str(self.work_dir)})
        if self.device is not None or "device" not in config:
            config.merge_from_dict({"device": self.device or "auto"})
        if self.seed is not None or "randomness" not in config:
            config["randomness"] = {**config.get("randomness", {}), "seed": self.seed or 0}
        if self.track:
            config["trackers"] = tracker_configs([*tracker_configs(config.get("trackers")), *self.track])
        views = views_of(config) if guide is not None else {}
        config.merge_from_dict(dict(self.chosen))
        config.merge_from_dict(known_settings(dict(self.settings), config))
        return None if guide is None else as_set(guide, views, config)


def _guided_config(
    data: Path, folder: Path, recipe_settings: dict[str, Any], *, resume: bool, prepare: bool
) -> tuple["Config", "Guide | None"]:
    """The config of a training on clips, and what to say of them."""
    from kinema.distributed import is_main_process
    from kinema.runs.settings_file import read_settings

    require_folder(folder)
    before = (read_settings(folder) or {}) if resume else None
    return config_of_clips(
        data,
        work_dir=folder,
        is_guided=not before and is_main_process(),
        is_prepared=prepare,
        resumed=before,
        **recipe_settings,
    )


def _train(config: "Config", guide: "Guide | None", *, is_tried: bool, workers: int | None, as_json: bool) -> None:
    """Train, and print what was reached."""
    from kinema.distributed import get_world_size, is_main_process
    from kinema.engine import Runner
    from kinema.recipes.results import results_of

    with ExitStack() as stack:
        held = hold_folder(stack, Path(config["work_dir"]))
        if guide is not None:
            guide = try_and_warn(guide, config, is_tried=is_tried and get_world_size() == 1 and guide.stops is None)
            require_readable(guide, config)
        if not config["resume"]:
            held.set_aside(config.get("load_from"))
        check_resumed(Path(config["work_dir"]), config)
        runner = Runner.from_cfg(config)
        if guide is not None:
            write_guide(runner.work_dir, guide)
        if is_main_process():
            runner.notes.update(read_guide(runner.work_dir))
        with stopped_with(RESUME):
            runner.train()
        # Of all processes, which share the clips; the folder is still held.
        results = results_of(runner.work_dir, workers=workers, device=str(config["device"]))
    if not is_main_process():  # which alone writes the summary
        return
    summary = json.loads((runner.work_dir / "summary.json").read_text(encoding="utf-8"))
    if as_json:
        print_json(summary)
    else:
        print_summary(summary, runner.work_dir, results)


def _check_combinations(
    data: Path, world_size: int | None, folds: int | None, *, only_try: bool, prepare: bool
) -> None:
    if world_size is not None and not only_try:
        raise ConfigError(
            "--world-size goes with --dry-run; to train: torchrun --nproc-per-node N -m kinema train ...,"
            " or --launcher slurm"
        )
    if only_try and folds is not None:
        raise ConfigError("--dry-run tries one training: leave --folds out")
    if prepare and only_try:
        raise ConfigError("--dry-run writes nothing, so that it cannot --prepare clips: leave one of them out")
    if prepare and is_config(data):
        raise ConfigError(
            f"{data}: --prepare goes with clips, not with a config: `kinema data prepare` makes a new data set for it"
        )


def _connection_in(file: Path) -> dict[str, Any]:
    """What a config says of the connection of processes, which exists before the config is read with all else."""
    from kinema.config import Config
    from kinema.openmmlab.distribution import connection_of

    with suppress(ConfigError):  # it is shown once, when the processes know each other
        return connection_of(Config.fromfile(file).get("env_cfg"))
    return {}


def _changed_config(
    file: Path, of_clips: dict[str, Any], *, epochs: int | None, batch_size: int | None, workers: int | None
) -> "Config":
    """The config in a file, with the options that go with one.

    Raises:
        ConfigError: an option that goes with clips only.
    """
    patience = of_clips["--patience"]
    if patience is not None:
        raise ConfigError(f"{file}: a config sets its own patience: --set train_cfg.patience={patience}")
    given = [name for name, value in of_clips.items() if value is not None]
    if given:
        raise ConfigError(
            f"{file}: a config names its own clips, model and weights (load_from), loss and blending:"
            f" {', '.join(given)} {'goes' if len(given) == 1 else 'go'} with DATA only"
        )
    config = read_config(file)
    config.setdefault("work_dir", str(Path("work") / file.stem))
    changes: dict[str, Any] = {"train_cfg.max_epochs": epochs, "train_dataloader.batch_size": batch_size}
    loaders = [key for key in ("train_dataloader", "val_dataloader", "test_dataloader") if config.get(key)]
    changes |= {f"{key}.num_workers": workers for key in loaders}
    config.merge_from_dict({key: value for key, value in changes.items() if value is not None})
    return config


def _data_of(argument: Path | None, option: Path | None) -> Path:
    """What the user trains on: the first argument, or `--data`.

    Raises:
        BadParameter: neither is given, or both are.
    """
    if (argument is None) == (option is None):
        what = "it is missing" if argument is None else "it is given twice, as --data too"
        raise typer.BadParameter(what, param_hint="DATA|CONFIG")
    return argument or option or Path()
