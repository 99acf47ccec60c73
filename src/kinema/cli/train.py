"""`kinema train`: from clips, or from a config, to a trained recognizer."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from kinema.cli.options import Device, Json, Seed, Workers
from kinema.cli.output import print_json, print_table

CONFIG_SUFFIXES = (".py", ".yaml", ".yml", ".json")


def train(
    data: Annotated[
        Path,
        typer.Argument(
            help="A list of 'path label' lines; a folder with train.txt and val.txt; a folder of class folders "
            "(root/class/*.mp4 or root/train/class/*.mp4); or a config file (.py, .yaml, .json).",
            metavar="DATA|CONFIG",
        ),
    ],
    val: Annotated[
        Path | None, typer.Option(help="List or folder of validation clips; default: found beside DATA, else held out.")
    ] = None,
    model: Annotated[str, typer.Option(help="A name from `kinema models`.")] = "compact3d",
    epochs: Annotated[int | None, typer.Option(help="Passes over the training clips.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Clips a step.")] = None,
    work_dir: Annotated[Path | None, typer.Option(help="Folder for all files of the run; default: work/NAME.")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", "--cfg-options", metavar="A.B.C=VALUE", help="Change a value of the config; may repeat."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last finished epoch in the work folder.")
    ] = False,
    seed: Seed = 0,
    device: Device = "auto",
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Train a recognizer and evaluate it on the validation clips after every epoch."""
    from kinema.config import Config, parse_override
    from kinema.engine import Runner, show_on_console
    from kinema.recipes import classification

    show_on_console()
    if data.suffix in CONFIG_SUFFIXES:
        config = Config.fromfile(data)
        config.setdefault("work_dir", str(Path("work") / data.stem))
        changes: dict[str, Any] = {"train_cfg.max_epochs": epochs, "train_dataloader.batch_size": batch_size}
        config.merge_from_dict({key: value for key, value in changes.items() if value is not None})
    else:
        config = classification(
            data,
            val=val,
            model=model,
            epochs=epochs,
            batch_size=batch_size,
            work_dir=work_dir or Path("work") / _run_name(data),
            seed=seed,
            workers=workers,
        )
    if work_dir is not None:
        config["work_dir"] = str(work_dir)
    config.merge_from_dict(dict(parse_override(text) for text in overrides or []))
    config["resume"] = resume or bool(config.get("resume"))
    config.setdefault("device", device)
    config.setdefault("randomness", {"seed": seed})
    runner = Runner.from_cfg(config)
    try:
        runner.train()
    except KeyboardInterrupt:
        typer.echo("stopped; the same command with --resume goes on from the last finished epoch", err=True)
        raise typer.Exit(130) from None
    summary = json.loads((runner.work_dir / "summary.json").read_text(encoding="utf-8"))
    if as_json:
        print_json(summary)
    else:
        _print_summary(summary, runner.work_dir)


def _run_name(data: Path) -> str:
    """Name of the work folder: the data's, where `train` says nothing."""
    path = data.resolve()
    return path.parent.name if path.stem == "train" else path.stem


def _print_summary(summary: dict[str, Any], work_dir: Path) -> None:
    rows = [["epochs", str(summary["epochs"])], ["training time", f"{summary['train_seconds']:.0f} s"]]
    best = summary["best"]
    if best:
        rows.insert(0, [f"best {best['metric']}", f"{best['value']:.4f} (epoch {best['epoch']})"])
    print_table(f"Trained in {work_dir}", ["", ""], rows)
    print(f"try it:  kinema predict {work_dir} VIDEO...")
