"""`kinema predict`: what do these videos show?"""

from pathlib import Path
from typing import Annotated, Any

import typer

from kinema.cli.options import Checkpoint, Device, ForeignConfig, Json
from kinema.cli.output import print_json, print_note, print_table


def predict(
    checkpoint: Checkpoint,
    videos: Annotated[list[Path], typer.Argument(help="Video files.", metavar="VIDEO")],
    top_k: Annotated[int, typer.Option(help="How many classes to name.", min=1)] = 3,
    config: ForeignConfig = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Name the likeliest classes of each video; one that cannot be read is named, and the exit status is 1."""
    from kinema.errors import VideoError
    from kinema.inference import load

    recognizer = load(checkpoint, config=config, device=device)
    rows: list[list[str]] = []
    values: list[dict[str, Any]] = []
    errors: list[str] = []
    for video in videos:
        try:
            one = recognizer.predict(video, top_k=top_k)
        except VideoError as error:  # the other videos are not lost
            errors.append(str(error))
            values.append({"path": str(video), "error": str(error)})
            continue
        scores = [round(score, 6) for score in one.scores]
        values.append({"path": one.path, "labels": list(one.labels), "scores": scores})
        others = ", ".join(f"{label} {score:.2f}" for label, score in zip(one.labels[1:], one.scores[1:], strict=True))
        rows.append([one.path, one.label, f"{one.score:.2f}", others])
    if as_json:
        print_json(values)
    elif rows:
        print_table("", ["video", "class", "score", "next"], rows)
    for text in errors:
        print_note(f"error: {text}")
    if errors:
        raise typer.Exit(1)
