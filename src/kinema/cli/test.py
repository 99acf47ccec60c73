"""`kinema test`: measure a trained recognizer on labelled clips."""

from pathlib import Path
from typing import Annotated

import typer

from kinema.cli.options import Checkpoint, Device, ForeignConfig, Json, Workers
from kinema.cli.output import print_json, print_line, print_table
from kinema.errors import VideoError


def test(
    checkpoint: Checkpoint,
    data: Annotated[
        Path,
        typer.Argument(
            help="Annotations of any format or a folder of class folders; of a data set the validation clips.",
            metavar="DATA",
        ),
    ],
    batch_size: Annotated[int, typer.Option(help="Clips a step.", min=1)] = 16,
    config: ForeignConfig = None,
    device: Device = "auto",
    workers: Workers = None,
    allow_broken: Annotated[
        bool,
        typer.Option(
            "--allow-broken",
            help="Measure without the clips that cannot be read, and report them as failed. They are in no number, neither "
            "as right nor as wrong, as is usual in published results on sets whose clips vanish. Default: the first one is "
            "an error.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Evaluate a recognizer on labelled clips, sampled and prepared as in its training."""
    from kinema.engine.loops import scalars
    from kinema.inference import load
    from kinema.recipes import evaluate, evaluation_clips

    recognizer = load(checkpoint, config=config, device=device)
    split = evaluation_clips(data, recognizer.classes)
    try:
        evaluation = evaluate(recognizer, split, batch_size=batch_size, workers=workers, allow_broken=allow_broken)
    except VideoError as error:
        if allow_broken:
            raise
        raise VideoError(f"{error} (--allow-broken measures without such clips and reports them)") from error
    metrics = scalars(evaluation.metrics)
    failed = [{"path": one.path, "error": one.error} for one in evaluation.failed]
    if as_json:
        print_json({"clips": evaluation.num_clips, **metrics, "failed": failed})
        return
    if failed:
        print_table("", ["broken clips"], [[one["error"]] for one in failed])
        count = evaluation.num_clips + len(failed)
        print_line(f"{evaluation.num_clips} of {count} clips of {split.path}; {len(failed)} broken, not in the numbers")
    else:
        print_line(f"{evaluation.num_clips} clips of {split.path}")
    print_table("", ["metric", "value"], [[name, f"{value:.4f}"] for name, value in metrics.items()])
