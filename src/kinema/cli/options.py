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
        help=(
            "A work folder of `kinema train` (its best checkpoint), one checkpoint folder, or a .pth file of MMAction2"
            " or its address."
        ),
        metavar="CHECKPOINT",
    ),
]
ForeignConfig = Annotated[
    Path | None,
    typer.Option("--config", help="The config of a .pth file of MMAction2 that does not hold its own."),
]
ViewsOption = Annotated[
    str | None,
    typer.Option(
        "--views",
        metavar="CLIPSxCROPS",
        help=(
            "How many clips of a video to look at, and how many crops of each (1 or 3): 1x1, 5x3, 10x3, ...; a model of"
            " segments takes its own protocol for several clips. Default: as the checkpoint says."
        ),
    ),
]


def parsed_views(text: str | None) -> str | None:
    """A checked value of `--views`.

    Raises:
        BadParameter: it is none.
    """
    if text is None:
        return None
    from kinema.inference.views import parse_views

    try:
        return str(parse_views(text))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--views") from error


TtaOption = Annotated[
    str | None,
    typer.Option(
        "--tta",
        metavar="flip",
        help=(
            "Test-time augmentation: look at each view mirrored too, and average the scores. For actions that a mirror"
            " does not change."
        ),
    ),
]


def parsed_tta(text: str | None) -> str | None:
    """A checked value of `--tta`.

    Raises:
        BadParameter: it is none.
    """
    if text is None:
        return None
    from kinema.inference.views import TEST_AUGMENTATIONS

    if text not in TEST_AUGMENTATIONS:
        raise typer.BadParameter(f"expected {' or '.join(TEST_AUGMENTATIONS)}, got {text!r}", param_hint="--tta")
    return text


ColumnsOption = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="ROLE=NAME,...",
        help=(
            "Columns of a table where they are not found by their names: path, label, start, end (seconds),"
            " start_frame, end_frame, split; such as path=clip,label=verb."
        ),
    ),
]


def parsed_columns(text: str | None) -> dict[str, str] | None:
    """The value of `--columns` as a dict.

    Raises:
        BadParameter: it is no list of ROLE=NAME.
    """
    if text is None:
        return None
    from kinema.datasets.annotations.tables import COLUMN_NAMES, ROLE_WORDS

    columns: dict[str, str] = {}
    for part in text.split(","):
        role, equals, name = (piece.strip() for piece in part.partition("="))
        role = ROLE_WORDS.get(role, role)
        if not equals or not name or role not in COLUMN_NAMES:
            expected = ", ".join(
                ["path", "label", "start", "end", *(role for role in COLUMN_NAMES if "_seconds" not in role)][2:]
            )
            raise typer.BadParameter(
                f"expected ROLE=NAME, such as path=clip,label=verb, with the roles {expected}; got {part!r}",
                param_hint="--columns",
            )
        columns[role] = name
    return columns
