"""The options of `kinema train`, of which `kinema validate` has some too."""

from pathlib import Path
from typing import Annotated

import typer

from kinema.cli.config_or_clips import DEFAULT_MODEL

DATA_HELP = (
    "A list of 'path label' lines, a table or an export (CSV, JSON, parquet, ...); a folder with train.txt and val.txt"
    " (.csv, ...); a folder of class folders (root/class/*.mp4 or root/train/class/*.mp4)"
)

DataArgument = Annotated[
    Path | None,
    typer.Argument(
        help=f"{DATA_HELP}; or a config file (.py, .yaml, .json).", metavar="DATA|CONFIG", show_default=False
    ),
]
DataOption = Annotated[
    Path | None, typer.Option("--data", help="The same as DATA, by name.", metavar="DATA", show_default=False)
]
Val = Annotated[
    Path | None, typer.Option(help="List or folder of validation clips; default: found beside DATA, else held out.")
]
Model = Annotated[str | None, typer.Option(help="A name from `kinema models`.", show_default=DEFAULT_MODEL)]
Preset = Annotated[
    str | None,
    typer.Option(
        help=(
            "Model, epochs and batch that suit the clips and this machine: 'fast' trains in minutes; 'balanced' and"
            " 'best' are larger networks."
        ),
        metavar="fast|balanced|best",
        show_default="fast",
    ),
]
Recipe = Annotated[
    str | None,
    typer.Option(
        help=(
            "Train as published, by a name of `kinema recipes`; 'auto': the model's own; FILE.py: as `kinema config"
            " --as-recipe` wrote it, or you. Default: what trains in minutes on few clips."
        ),
        metavar="NAME|auto|FILE.py",
    ),
]
Pretrained = Annotated[
    str | None,
    typer.Option(
        help=(
            "Start from weights: 'published', those of the model; 'recipe', those that the recipe starts from; or"
            " a file, folder or address."
        ),
        metavar="published|recipe|WEIGHTS",
    ),
]
Epochs = Annotated[int | None, typer.Option(help="Passes over the training clips.", min=1)]
BatchSize = Annotated[int | None, typer.Option(help="Clips a step.", min=1)]
ClassWeights = Annotated[
    str | None,
    typer.Option(
        help="'auto': a clip of a small class counts more, so that all classes count alike.",
        metavar="auto|none",
        show_default="none",
    ),
]
LabelSmoothing = Annotated[
    float | None,
    typer.Option(
        help="Share of each label that is spread over all classes, such as 0.1: less certain scores.",
        metavar="SHARE",
        show_default="0",
    ),
]
Mixup = Annotated[
    float | None,
    typer.Option(
        help="Blend pairs of clips and their labels, by a share drawn from Beta(ALPHA, ALPHA); 0.2 is usual.",
        metavar="ALPHA",
        show_default="off",
    ),
]
MultiLabel = Annotated[
    bool | None,
    typer.Option(
        "--multi-label/--single-label",
        help="May a clip have several labels? Then each class is learned by itself, yes or no.",
        show_default="as the labels say",
    ),
]
Prepare = Annotated[
    bool,
    typer.Option(
        "--prepare",
        help=(
            "Re-encode the clips once, into WORK_DIR_prepared, small and quick to read, and train from there; what is"
            " there already is not done again."
        ),
    ),
]
NoTrial = Annotated[
    bool, typer.Option("--no-trial", help="Take no steps before the training to estimate its time and memory.")
]
WorkDir = Annotated[Path | None, typer.Option(help="Folder for all files of the run; default: work/NAME.")]
Patience = Annotated[
    str | None,
    typer.Option(
        help="Stop when the validation clips have not been recognized better for so many epochs; 'off': never.",
        metavar="N|off",
        show_default="a third of the epochs, at least 10",
    ),
]
Folds = Annotated[
    int | None,
    typer.Option(
        help=(
            "Cross-validate: train so many times, into fold_1, fold_2, ..., each time without another part of the"
            " source videos."
        ),
        min=2,
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", "--cfg-options", metavar="A.B.C=VALUE", help="Change a value of the config; may repeat."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue from the last checkpoint in the work folder.")]
SaveEvery = Annotated[
    str | None,
    typer.Option(
        help="Write a checkpoint every so many steps or epochs; a run that is killed resumes there.",
        metavar="500steps|1epochs",
        show_default="1epochs",
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(help="fp32, bf16, fp16, or auto: the best that the device computes in.", show_default="fp32"),
]
HangTimeout = Annotated[
    float | None,
    typer.Option(
        help="End a run that makes no progress for so long, and show where all of its threads and processes are.",
        metavar="SECONDS",
        show_default="wait for ever",
    ),
]
AlsoPth = Annotated[
    bool | None,
    typer.Option(
        "--also-pth",
        help="Write epoch_N.pth, best_FIGURE_epoch_N.pth and last_checkpoint for OpenMMLab's tools, too.",
        show_default="where the config asks",
    ),
]
OptionalSeed = Annotated[
    int | None,
    typer.Option("--seed", help="Of all random numbers; the same seed gives the same run.", min=0, show_default="0"),
]
OptionalDevice = Annotated[
    str | None, typer.Option("--device", help="auto, cpu, cuda, cuda:1, ...", show_default="auto")
]
Strategy = Annotated[
    str | None,
    typer.Option(
        help="How several processes train: ddp (each has the model) or fsdp2 (each has a share of it).",
        metavar="auto|ddp|fsdp2",
        show_default="auto",
    ),
]
Launcher = Annotated[
    str | None,
    typer.Option(help="What started the processes.", metavar="pytorch|slurm|mpi", show_default="torchrun, if any"),
]
OnlyTry = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Build everything, take one step, say what the training would need, and write nothing."
    ),
]
WorldSize = Annotated[
    int | None, typer.Option(help="With --dry-run: processes that would train.", min=1, show_default="1")
]
Track = Annotated[
    list[str] | None,
    typer.Option(help="Send the figures to tensorboard, wandb or mlflow, too; may repeat.", metavar="TRACKER"),
]
