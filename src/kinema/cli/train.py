"""`kinema train`: from clips, or from a config, to a trained recognizer."""

import inspect
import json
import logging
import shlex
import signal
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from kinema.cli.config_or_clips import DEFAULT_MODEL, is_config, read_config
from kinema.cli.dry_run import print_dry_run
from kinema.cli.options import ColumnsOption, Json, Workers, parsed_columns
from kinema.cli.output import print_json, print_line, print_note, print_table
from kinema.errors import ConfigError
from kinema.openmmlab.keywords import needless_keywords

logger = logging.getLogger("kinema")

# Settings that may differ when the same run is resumed.
MAY_CHANGE = (
    *("max_epochs", "max_iters", "max_steps", "patience", "num_workers", "persistent_workers", "resume", "device"),
    *("work_dir", "checkpoint.interval", "strategy", "launcher"),
)


def train(
    data: Annotated[
        Path | None,
        typer.Argument(
            help=(
                "A list of 'path label' lines, a table or an export (CSV, JSON, parquet, ...); a folder with train.txt"
                " and val.txt (.csv, "
                "...); a folder of class folders (root/class/*.mp4 or root/train/class/*.mp4); or a config file (.py,"
                " .yaml, .json)."
            ),
            metavar="DATA|CONFIG",
            show_default=False,
        ),
    ] = None,
    data_option: Annotated[
        Path | None, typer.Option("--data", help="The same as DATA, by name.", metavar="DATA", show_default=False)
    ] = None,
    val: Annotated[
        Path | None, typer.Option(help="List or folder of validation clips; default: found beside DATA, else held out.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="A name from `kinema models`.", show_default=DEFAULT_MODEL)] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help=(
                "Train as published, by a name of `kinema recipes`; 'auto': the model's own. Default: what trains in"
                " minutes on few clips."
            ),
            metavar="NAME|auto",
        ),
    ] = None,
    pretrained: Annotated[
        str | None,
        typer.Option(
            help=(
                "Start from weights: 'published', those of the model; 'recipe', those that the recipe starts from; or"
                " a file, folder or address."
            ),
            metavar="published|recipe|WEIGHTS",
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training clips.", min=1)] = None,
    batch_size: Annotated[int | None, typer.Option(help="Clips a step.", min=1)] = None,
    work_dir: Annotated[Path | None, typer.Option(help="Folder for all files of the run; default: work/NAME.")] = None,
    patience: Annotated[
        str | None,
        typer.Option(
            help="Stop when the validation clips have not been recognized better for so many epochs; 'off': never.",
            metavar="N|off",
            show_default="a third of the epochs, at least 10",
        ),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            help=(
                "Cross-validate: train so many times, into fold_1, fold_2, ..., each time without another part of the"
                " source videos."
            ),
            min=2,
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", "--cfg-options", metavar="A.B.C=VALUE", help="Change a value of the config; may repeat."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue from the last checkpoint in the work folder.")
    ] = False,
    save_every: Annotated[
        str | None,
        typer.Option(
            help="Write a checkpoint every so many steps or epochs; a run that is killed resumes there.",
            metavar="500steps|1epochs",
            show_default="1epochs",
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="fp32, bf16, fp16, or auto: the best that the device computes in.", show_default="fp32"),
    ] = None,
    hang_timeout: Annotated[
        float | None,
        typer.Option(
            help="End a run that makes no progress for so long, and show where all of its threads and processes are.",
            metavar="SECONDS",
            show_default="wait for ever",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Of all random numbers; the same seed gives the same run.", min=0, show_default="0"),
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, ...", show_default="auto")] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            help="How several processes train: ddp (each has the model) or fsdp2 (each has a share of it).",
            metavar="auto|ddp|fsdp2",
            show_default="auto",
        ),
    ] = None,
    launcher: Annotated[
        str | None,
        typer.Option(help="What started the processes.", metavar="pytorch|slurm|mpi", show_default="torchrun, if any"),
    ] = None,
    only_try: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Build everything, take one step, say what the training would need, and write nothing."
        ),
    ] = False,
    world_size: Annotated[
        int | None, typer.Option(help="With --dry-run: processes that would train.", min=1, show_default="1")
    ] = None,
    workers: Workers = None,
    columns: ColumnsOption = None,
    track: Annotated[
        list[str] | None,
        typer.Option(help="Send the figures to tensorboard, wandb or mlflow, too; may repeat.", metavar="TRACKER"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a recognizer and evaluate it on the validation clips after every epoch."""
    data = _data_of(data, data_option)
    from kinema.config import parse_override
    from kinema.distributed import init_from_environment, is_main_process
    from kinema.engine import Every, Runner
    from kinema.logs import show_on_console
    from kinema.runs.settings_file import read_settings
    from kinema.runs.trackers import tracker_configs

    show_on_console()
    if world_size is not None and not only_try:
        raise ConfigError(
            "--world-size goes with --dry-run; to train: torchrun --nproc-per-node N -m kinema train ...,"
            " or --launcher slurm"
        )
    if only_try and folds is not None:
        raise ConfigError("--dry-run tries one training: leave --folds out")
    if not only_try:
        init_from_environment(launcher=launcher or "none", device=device or "auto")
    if save_every is not None:
        Every.parse(save_every, "--save-every")
    chosen = {
        "precision": precision,
        "strategy": strategy,
        "launcher": launcher,
        "default_hooks.checkpoint.interval": save_every,
        "default_hooks.hang.timeout": hang_timeout,
    }
    chosen = {key: value for key, value in chosen.items() if value is not None}
    settings = dict(map(parse_override, overrides or []))
    if folds is not None:
        _cross_validate(
            data,
            folds,
            work_dir or Path("work") / _run_name(data),
            {
                "val": val,
                "model": model,
                "recipe": recipe,
                "pretrained": pretrained,
                "epochs": epochs,
                "batch_size": batch_size,
            }
            | {
                "seed": seed or 0,
                "workers": workers,
                "patience": read_patience(patience),
                "columns": parsed_columns(columns),
            },
            {**chosen, **settings},
            device=device or "auto",
            resume=resume,
            track=track or [],
            as_json=as_json,
        )
        return
    with ExitStack() as stack:
        if is_config(data):
            if patience is not None:
                raise ConfigError(f"{data}: a config sets its own patience: --set train_cfg.patience={patience}")
            if any(option is not None for option in (val, model, pretrained, recipe)):
                raise ConfigError(
                    f"{data}: a config names its own clips, model and weights (load_from): --val, --model,"
                    " --pretrained and --recipe go with DATA only"
                )
            config = read_config(data)
            config.setdefault("work_dir", str(Path("work") / data.stem))
            changes: dict[str, Any] = {"train_cfg.max_epochs": epochs, "train_dataloader.batch_size": batch_size}
            loaders = [key for key in ("train_dataloader", "val_dataloader", "test_dataloader") if config.get(key)]
            changes |= {f"{key}.num_workers": workers for key in loaders}
            config.merge_from_dict({key: value for key, value in changes.items() if value is not None})
        else:
            folder = Path(settings.get("work_dir") or work_dir or Path("work") / _run_name(data))
            config = read_config(
                data,
                model=model,
                recipe=recipe,
                val=val,
                pretrained=pretrained,
                epochs=epochs,
                batch_size=batch_size,
                work_dir=folder,
                seed=seed or 0,
                workers=workers,
                columns=parsed_columns(columns),
                patience=read_patience(patience),
                resumed=(read_settings(folder) or {}) if resume else None,
            )
        if work_dir is not None:
            config["work_dir"] = str(work_dir)
        if device is not None or "device" not in config:
            config["device"] = device or "auto"
        if seed is not None or "randomness" not in config:
            config["randomness"] = {**config.get("randomness", {}), "seed": seed or 0}
        if track:
            config["trackers"] = tracker_configs([*tracker_configs(config.get("trackers")), *track])
        config.merge_from_dict(chosen)
        config.merge_from_dict(_known(settings, config))
        if only_try:
            print_dry_run(config, world_size or 1, as_json=as_json)
            return
        config["resume"] = resume or bool(config.get("resume"))
        _hold(stack, Path(config["work_dir"]), is_new=not config["resume"], weights=config.get("load_from"))
        _check_work_dir(Path(config["work_dir"]), config)
        runner = Runner.from_cfg(config)
        try:
            runner.train()
        except KeyboardInterrupt as stop:
            print_note("stopped; the same command with --resume continues where it stopped")
            raise typer.Exit(128 + (stop.args[0] if stop.args else signal.SIGINT)) from None
    if not is_main_process():  # which alone writes the summary
        return
    summary = json.loads((runner.work_dir / "summary.json").read_text(encoding="utf-8"))
    if as_json:
        print_json(summary)
    else:
        _print_summary(summary, runner.work_dir)


def _data_of(argument: Path | None, option: Path | None) -> Path:
    """What the user trains on: the first argument, or `--data`.

    Raises:
        BadParameter: neither is given, or both are.
    """
    if (argument is None) == (option is None):
        what = "it is missing" if argument is None else "it is given twice, as --data too"
        raise typer.BadParameter(what, param_hint="DATA|CONFIG")
    return argument or option or Path()


def read_patience(text: str | None) -> int | Literal["off"] | None:
    """`--patience` as `classification` takes it.

    Raises:
        ConfigError: it is neither a number from 1 nor "off".
    """
    if text is None:
        return None
    if text == "off":
        return "off"
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"--patience: expected a number of epochs from 1, or 'off', got {text!r}")
    return int(text)


def _cross_validate(
    data: Path,
    folds: int,
    folder: Path,
    settings: dict[str, Any],
    overrides: dict[str, Any],
    *,
    device: str,
    resume: bool,
    track: list[str],
    as_json: bool,
) -> None:
    from kinema.distributed import is_main_process
    from kinema.recipes import cross_validate
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
        config.merge_from_dict(_known(overrides, config))

    try:
        results = cross_validate(data, folds=folds, work_dir=folder, change=change, resume=resume, **settings)
    except KeyboardInterrupt as stop:
        print_note("stopped; the same command with --resume continues where it stopped")
        raise typer.Exit(128 + (stop.args[0] if stop.args else signal.SIGINT)) from None
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
    print_line(f"all clips together, last epoch: {_with_interval(last)}")
    print_line(
        "the best epoch was chosen by the clips that it is measured on; the last one was not, so it tells what new"
        " clips will give"
    )


def _with_interval(figure: Mapping[str, Any]) -> str:
    """Such as "87.5 % of 24 clips (95 %: 69.0 to 95.7 %)"."""
    text = f"{100 * figure['value']:.1f} %"
    if "num_clips" in figure:
        text += f" of {figure['num_clips']} clips"
    if figure.get("num_sources", figure.get("num_clips")) != figure.get("num_clips"):
        text += f" of {figure['num_sources']} source videos"
    if figure.get("interval"):
        low, high = figure["interval"]
        text += f", 95 % sure: {100 * low:.1f} to {100 * high:.1f} %"
    return text


def _hold(stack: ExitStack, folder: Path, *, is_new: bool, weights: Any) -> None:
    """Keep other runs out of the work folder until the command ends; a new run sets an earlier one aside."""
    from kinema.runs.work_folder import hold

    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: is a file: the work folder must be a folder, or not be there yet")
    held = stack.enter_context(hold(folder))
    if is_new:
        held.set_aside(weights)


def _known(settings: dict[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """The values of `--set` by key; one whose first part is a key of nothing is a misspelling."""
    from kinema.engine import Runner

    known = {*config, *inspect.signature(Runner).parameters, *needless_keywords(Runner)}
    for key in settings:
        first = key.split(".")[0]
        if first not in known:
            raise ConfigError(f"cannot set {key}: there is no {first!r}; the config has {', '.join(config)}")
    return settings


def _check_work_dir(folder: Path, config: Mapping[str, Any]) -> None:
    """A run can only be resumed with the classes it began with; other changes are logged."""
    from kinema.runs.settings_file import as_data, flat, read_settings

    settings = read_settings(folder) if config["resume"] else None
    if settings is None:
        return
    before, now = flat(settings), flat(as_data(config))
    changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    for key in changed:
        if key.endswith("metainfo.classes"):
            raise ConfigError(
                f"{folder}: the run began with the classes {before.get(key)}, the data now has {now.get(key)}: "
                "resume with the same data, or choose another --work-dir"
            )
    changed = [key for key in changed if not key.endswith(MAY_CHANGE) and not key.startswith("trackers")]
    if changed:
        shown = ", ".join(f"{key} {before.get(key)!r} -> {now.get(key)!r}" for key in changed[:3])
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        logger.warning("going on with other settings than the run began with: %s%s", shown, more)


def _run_name(data: Path) -> str:
    """Name of the work folder: the data's, where `train` says nothing."""
    path = data.resolve()
    return path.parent.name if path.stem == "train" else path.stem


def _figure_row(which: str, figure: Mapping[str, Any]) -> list[str]:
    epoch = f"epoch {figure['epoch']}"
    if "interval" not in figure:
        return [f"{which} {figure['metric']}", f"{figure['value']:.4f} ({epoch})"]
    return [f"{which} {figure['metric']}", f"{_with_interval(figure)} ({epoch})"]


def _print_summary(summary: dict[str, Any], work_dir: Path) -> None:
    rows = [["epochs", str(summary["epochs"])], ["training time", f"{summary['train_seconds']:.0f} s"]]
    best, final = summary["best"], summary.get("final")
    if best:
        rows.insert(0, _figure_row("best", best))
    if final and final["epoch"] != best["epoch"]:
        rows.insert(1, _figure_row("last", final))
    if "top1_acc" in summary.get("train", {}):
        rows.append(["acc/top1 of training clips", f"{summary['train']['top1_acc']:.1%} (epoch {summary['epochs']})"])
    listed = work_dir / "broken.jsonl"
    if listed.is_file():
        rows.append(["broken videos", f"{len(listed.read_text(encoding='utf-8').splitlines())} ({listed})"])
    print_table(f"Trained in {work_dir}", ["", ""], rows)
    print_line(f"try it:  kinema predict {shlex.quote(str(work_dir))} VIDEO...")
