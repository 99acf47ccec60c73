"""`kinema test`: measure a trained recognizer on labelled clips."""

from pathlib import Path
from typing import Annotated

import typer

from kinema.cli.options import Checkpoint, Device, Json, Workers
from kinema.cli.output import print_json, print_table


def test(
    checkpoint: Checkpoint,
    data: Annotated[
        Path,
        typer.Argument(
            help="A list of 'path label' lines or a folder of class folders; of a data set the validation clips.",
            metavar="DATA",
        ),
    ],
    batch_size: Annotated[int, typer.Option(help="Clips a step.", min=1)] = 16,
    device: Device = "auto",
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Evaluate a recognizer on labelled clips, sampled and prepared as in its training."""
    from kinema.engine.loops import scalars
    from kinema.inference import load
    from kinema.recipes import evaluate, evaluation_clips

    recognizer = load(checkpoint, device=device)
    split = evaluation_clips(data, recognizer.classes)
    metrics = scalars(evaluate(recognizer, split, batch_size=batch_size, workers=workers))
    if as_json:
        print_json({"clips": len(split.annotations), **metrics})
        return
    rows = [[name, f"{value:.4f}"] for name, value in metrics.items()]
    print(f"{len(split.annotations)} clips of {split.path}")
    print_table("", ["metric", "value"], rows)
