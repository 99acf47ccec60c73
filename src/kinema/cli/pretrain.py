"""`kinema pretrain`: from videos without labels to weights that a training starts from."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from kinema.cli import training_options as options
from kinema.cli.options import Json, Workers
from kinema.cli.output import print_json, print_line, print_table
from kinema.cli.stopping import RESUME, stopped_with
from kinema.cli.training_config import check_choices, check_resumed, hold_folder, known_settings, run_name
from kinema.memory import collections_paused

DEFAULT_MODEL = "videomae_vit_tiny"
EPILOG = """Examples:

kinema pretrain videos

kinema pretrain videos --decoder-mask-ratio 0.5 --epochs 800 --precision bf16

kinema train clips --model videomae_vit_tiny --pretrained work/videos_pretrained
"""


def pretrain(
    data: Annotated[
        Path,
        typer.Argument(
            help="A folder in which videos lie, at any depth; or a list or table of them. Labels are not read.",
            metavar="DATA",
            show_default=False,
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(help="A vision transformer from `kinema models 'videomae*'`.", show_default=DEFAULT_MODEL),
    ] = None,
    pretrained: Annotated[
        str | None,
        typer.Option(
            help="Start from weights: a pretraining file of VideoMAE's authors, or a work folder of this command.",
            metavar="WEIGHTS",
        ),
    ] = None,
    mask_ratio: Annotated[
        float, typer.Option(help="Share of the patches that the network does not see.", metavar="SHARE")
    ] = 0.9,
    decoder_mask_ratio: Annotated[
        float | None,
        typer.Option(
            help="Share that the decoder is not asked for, as in VideoMAE V2: 0.5 takes less time and memory.",
            metavar="SHARE",
            show_default="asked for all",
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the videos.", min=1, show_default="of about 4000 steps")
    ] = None,
    batch_size: options.BatchSize = None,
    work_dir: Annotated[
        Path | None, typer.Option(help="Folder for all files of the run; default: work/NAME_pretrained.")
    ] = None,
    overrides: options.Overrides = None,
    resume: options.Resume = False,
    save_every: options.SaveEvery = None,
    precision: options.Precision = None,
    seed: options.OptionalSeed = None,
    device: options.OptionalDevice = None,
    strategy: options.Strategy = None,
    launcher: options.Launcher = None,
    workers: Workers = None,
    track: options.Track = None,
    as_json: Json = False,
) -> None:
    """Learn from videos without labels: fill in what is hidden of them.

    Then `kinema train CLIPS --model NAME --pretrained WORK_DIR` starts from what was learned.
    """
    from kinema.config import parse_override

    with collections_paused():
        from kinema.distributed import init_from_environment, is_main_process
        from kinema.engine import Every, Runner
    from kinema.logs import show_on_console
    from kinema.recipes.pretraining import pretraining
    from kinema.recipes.reporting.pretraining import report_pretraining
    from kinema.runs.trackers import tracker_configs

    show_on_console()
    init_from_environment(launcher=launcher or "none", device=device or "auto")
    if save_every is not None:
        Every.parse(save_every, "--save-every")
    settings = dict(map(parse_override, overrides or []))
    check_choices(precision, strategy, track or [], settings)
    folder = work_dir or Path("work") / f"{run_name(data)}_pretrained"
    config = pretraining(
        data,
        model=model,
        pretrained=pretrained,
        mask_ratio=mask_ratio,
        decoder_mask_ratio=decoder_mask_ratio,
        epochs=epochs,
        batch_size=batch_size,
        work_dir=folder,
        seed=seed or 0,
        workers=workers,
    )
    chosen = {
        "precision": precision,
        "strategy": strategy,
        "launcher": launcher,
        "device": device or "auto",
        "default_hooks.checkpoint.interval": save_every,
        "trackers": tracker_configs(track) if track else None,
    }
    config.merge_from_dict({key: value for key, value in chosen.items() if value is not None})
    config.merge_from_dict(known_settings(settings, config))
    config["resume"] = resume
    with ExitStack() as stack:
        held = hold_folder(stack, Path(config["work_dir"]))
        if not resume:
            held.set_aside(pretrained)
        check_resumed(Path(config["work_dir"]), config)
        runner = Runner.from_cfg(config)
        with stopped_with(RESUME):
            runner.train()
        if not is_main_process():  # which alone writes
            return
        page = report_pretraining(runner.work_dir)
    summary = json.loads((runner.work_dir / "summary.json").read_text(encoding="utf-8"))
    if as_json:
        print_json({**summary, "report": str(page)})
    else:
        _print_summary(summary, runner.work_dir, page)


def _print_summary(summary: dict[str, Any], work_dir: Path, page: Path) -> None:
    from kinema.runs.records import MetricsFile

    facts = summary["pretraining"]
    rows = [["epochs", str(summary["epochs"])], ["training time", f"{summary['train_seconds']:.0f} s"]]
    losses = [line["loss"] for line in MetricsFile(work_dir / "metrics.jsonl").read() if "loss" in line]
    if losses:
        rows.append(["loss at the end", f"{losses[-1]:.4f}"])
    if summary["best"]:
        best = summary["best"]
        rows.append([f"of {facts['held_out']} videos held out", f"{best['value']:.4f} (best, epoch {best['epoch']})"])
    rows.append(["reconstructions", str(page)])
    print_table(f"Pretrained in {work_dir}", ["", ""], rows)
    print_line("next:")
    print_line(f"  kinema train CLIPS --model {facts['model']} --pretrained {work_dir}")
