"""`kinema test`: measure a trained recognizer on labelled clips."""

from pathlib import Path
from typing import Annotated

import typer

from kinema.cli.evaluation_tables import json_value, show, table_of_clips
from kinema.cli.inputs import require_checkpoint_first
from kinema.cli.options import (
    Checkpoint,
    ColumnsOption,
    Device,
    ForeignConfig,
    Json,
    ViewsOption,
    Workers,
    parsed_columns,
    parsed_views,
)
from kinema.cli.output import print_json, print_note
from kinema.errors import VideoError

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
    views = parsed_views(views)
    require_checkpoint_first(checkpoint, [str(data)], USAGE)
    if csv is not None and csv.is_dir():
        raise typer.BadParameter(f"{csv} is a folder: name a file", param_hint="--csv")
    from kinema.errors import AnnotationError
    from kinema.evaluation.scalars import scalars
    from kinema.inference import load
    from kinema.logs import show_on_console
    from kinema.recipes import evaluate, evaluation_clips
    from kinema.report.clip_table import write_clip_table

    show_on_console()
    recognizer = load(checkpoint, config=config, device=device)
    split = evaluation_clips(data, recognizer.classes, parsed_columns(columns))
    try:
        evaluation = evaluate(
            recognizer, split, batch_size=batch_size, workers=workers, allow_broken=allow_broken, views=views
        )
    except VideoError as error:
        if allow_broken:
            raise
        raise VideoError(f"{error} (--allow-broken measures without such clips and reports them)") from error
    metrics = scalars(evaluation.metrics)
    num_classes = 0 if evaluation.clips is None else evaluation.clips.scores.shape[1]
    names = list(recognizer.classes) or [str(index) for index in range(num_classes)]
    if csv is not None:
        if evaluation.clips is None:
            raise AnnotationError(
                f"{csv}: not written: the clips have several labels or scores, for which there is no table"
            )
        write_clip_table(csv, *table_of_clips(evaluation, split, names))
        print_note(f"all clips with their scores: {csv}")
    if as_json:
        print_json(json_value(evaluation, split, names, metrics))
    else:
        show(evaluation, split, names, metrics)
