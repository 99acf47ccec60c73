"""`kinema predict`: what do these videos show?"""

from pathlib import Path
from typing import Annotated

import typer

from kinema.cli.options import Checkpoint, Device, Json
from kinema.cli.output import print_json, print_table


def predict(
    checkpoint: Checkpoint,
    videos: Annotated[list[Path], typer.Argument(help="Video files.", metavar="VIDEO...")],
    top_k: Annotated[int, typer.Option(help="How many classes to name.", min=1)] = 3,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Name the likeliest classes of each video."""
    from kinema.inference import load

    recognizer = load(checkpoint, device=device)
    predictions = [recognizer.predict(video, top_k=top_k) for video in videos]
    if as_json:
        print_json(
            [
                {"path": one.path, "labels": list(one.labels), "scores": [round(score, 6) for score in one.scores]}
                for one in predictions
            ]
        )
        return
    rows = []
    for one in predictions:
        others = ", ".join(f"{label} {score:.2f}" for label, score in zip(one.labels[1:], one.scores[1:], strict=True))
        rows.append([one.path, one.label, f"{one.score:.2f}", others])
    print_table("", ["video", "class", "score", "next"], rows)
