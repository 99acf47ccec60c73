"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON value.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")]
Seed = Annotated[int, typer.Option(help="Of all random numbers; the same seed gives the same run.", min=0)]
Workers = Annotated[int | None, typer.Option(help="Processes that read clips; default: one a core, at most 8.", min=0)]
Checkpoint = Annotated[
    str,
    typer.Argument(
        help="A work folder of `kinema train` (its best checkpoint), one checkpoint folder, or a .pth file of MMAction2 or "
        "its address.",
        metavar="CHECKPOINT",
    ),
]
ForeignConfig = Annotated[
    Path | None,
    typer.Option("--config", help="The config of a .pth file of MMAction2 that does not tell its own."),
]
