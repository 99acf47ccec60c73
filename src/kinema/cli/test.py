"""`kinema test`: measure a trained recognizer on labelled clips."""

from pathlib import Path
from typing import Annotated

import typer

from kinema.cli.evaluation_tables import show_or_write
from kinema.cli.inputs import require_checkpoint_first, require_writable
from kinema.cli.options import (
    Checkpoint,
    ColumnsOption,
    Device,
    ForeignConfig,
    Json,
    TtaOption,
    ViewsOption,
    Workers,
    parsed_columns,
    parsed_tta,
    parsed_views,
)
from kinema.cli.output import print_note
from kinema.errors import VideoError
from kinema.memory import collections_paused

USAGE = "kinema test CHECKPOINT DATA"


def test(
    checkpoint: Checkpoint,
    data: Annotated[
        Path,
        typer.Argument(
            help="Annotations of any format or a folder of class folders; of a data set the validation clips.",
            metavar="DATA",
        ),
    ],
    batch_size: Annotated[
        int | None, typer.Option(help="Clips a step.", min=1, show_default="16, fewer with --views")
    ] = None,
    views: ViewsOption = None,
    tta: TtaOption = None,
    csv: Annotated[
        Path | None,
        typer.Option(
            help=(
                "Write a table of all clips: path, label, predicted class, scores of the classes (of over 50 classes"
                " the best five)."
            ),
            metavar="FILE",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "--dump",
            help=(
                "Write the scores of all clips for `kinema eval`: .npz, .json, .parquet, or .pkl for OpenMMLab's tools."
            ),
            metavar="FILE",
        ),
    ] = None,
    columns: ColumnsOption = None,
    config: ForeignConfig = None,
    device: Device = "auto",
    workers: Workers = None,
    allow_broken: Annotated[
        bool,
        typer.Option(
            "--allow-broken",
            help=(
                "Measure without the clips that cannot be read, and report them as failed. They are in no number,"
                " neither "
                "as right nor as wrong, as is usual in published results on sets whose clips vanish. Default: the first"
                " one is "
                "an error."
            ),
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Evaluate a recognizer on labelled clips, sampled and prepared as in its training.

    Shows numbers, classes, confusions and wrong clips.
    """
    views, tta = parsed_views(views), parsed_tta(tta)
    require_checkpoint_first(checkpoint, [str(data)], USAGE)
    require_writable(csv, "--csv")
    require_writable(out, "--out")
    with collections_paused():
        from kinema.evaluation import dump_suffix, write_dump
        from kinema.inference import load
        from kinema.logs import show_on_console
        from kinema.recipes import evaluate, evaluation_clips

    if out is not None:
        dump_suffix(out)  # a wrong name is said before the clips are read
    show_on_console()
    recognizer = load(checkpoint, config=config, device=device)
    split = evaluation_clips(data, recognizer.classes, parsed_columns(columns), multi_label=recognizer.is_multi_label)
    try:
        evaluation = evaluate(
            recognizer, split, batch_size=batch_size, workers=workers, allow_broken=allow_broken, views=views, tta=tta
        )
    except VideoError as error:
        if allow_broken:
            raise
        raise VideoError(f"{error} (--allow-broken measures without such clips and reports them)") from error
    if out is not None:
        write_dump(out, evaluation.dump())
        print_note(f"scores of all clips: {out}")
    show_or_write(evaluation, csv, as_json=as_json)
