"""`kinema report`: everything there is to know of a trained model, as one page."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from kinema.cli.inputs import require_checkpoint_first, require_writable
from kinema.cli.options import Checkpoint, ColumnsOption, Device, ForeignConfig, Json, Workers, parsed_columns
from kinema.cli.output import print_json, print_line
from kinema.memory import collections_paused

USAGE = "kinema report CHECKPOINT [DATA]"
EPILOG = """Examples:

kinema report work/clips

kinema report work/clips other_clips/ --out other.html

kinema report work/new --compare work/old work/older
"""


class SpacedModels(TyperCommand):
    """A command whose `--compare A B` means `--compare A --compare B`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments with the option before each of its values."""
        parsed: list[str] = []
        taking = False
        for word, following in zip(args, [*args[1:], "-"], strict=True):
            if word == "--compare":
                if following.startswith("-"):
                    raise typer.BadParameter("expected one model or more behind it", param_hint="--compare")
                taking = True
                continue
            taking = taking and not word.startswith("-")
            parsed += ["--compare", word] if taking else [word]
        return super().parse_args(ctx, parsed)


def report(
    checkpoint: Checkpoint,
    data: Annotated[
        Path | None,
        typer.Argument(
            help="Labelled clips of any format; of a data set the validation clips.",
            metavar="DATA",
            show_default="the clips that the run validated on",
        ),
    ] = None,
    compare: Annotated[
        list[str] | None,
        typer.Option(help="Further models to set beside it, on the same clips.", metavar="OTHER..."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The page to write.", metavar="HTML", show_default="report.html in the work folder"),
    ] = None,
    clips: Annotated[int, typer.Option(help="Clips to show of each kind: most wrong, least sure.", min=0)] = 12,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out what runs the model again: motion and attention.")
    ] = False,
    batch_size: Annotated[int | None, typer.Option(help="Clips a step.", min=1, show_default="16")] = None,
    columns: ColumnsOption = None,
    config: ForeignConfig = None,
    device: Device = "auto",
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Write one HTML file that shows what a model can do, where it fails, and what it was made of.

    It needs no network and nothing beside it. Clips that cannot be read are in no number; the page lists them.
    """
    require_checkpoint_first(checkpoint, [] if data is None else [str(data)], USAGE)
    require_writable(out, "--out")
    if out is not None and out.suffix.lower() not in (".html", ".htm"):
        raise typer.BadParameter(f"expected an .html file, got {out}", param_hint="--out")
    from kinema.logs import show_on_console

    with collections_paused():
        from kinema.recipes.reporting import report_models

    show_on_console()
    written = report_models(
        checkpoint,
        data,
        compare=compare or (),
        out=out,
        columns=parsed_columns(columns),
        config=config,
        device=device,
        batch_size=batch_size,
        workers=workers,
        shown_clips=clips,
        quick=quick,
    )
    size = written.path.stat().st_size
    if as_json:
        print_json({"report": str(written.path), "bytes": size, **written.figures})
    else:
        print_line(f"{written.path}: {written.figures['clips']} clips ({size / 1e6:.1f} MB)")
