"""`kinema tune`: thresholds and calibrated scores from labelled clips, written into the checkpoint."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kinema.cli.inputs import require_checkpoint_first
from kinema.cli.options import ColumnsOption, Device, Json, Workers, parsed_columns
from kinema.cli.output import print_json, print_line, print_note, print_table, share_text
from kinema.printable import plural

if TYPE_CHECKING:
    from kinema.evaluation import Calibration
    from kinema.recipes import Tuning

USAGE = "kinema tune CHECKPOINT [DATA]"
FEW_CLIPS = 10
EPILOG = """Examples:

kinema tune work/fight

kinema tune work/fight clips/val --for precision=0.9

kinema test work/fight clips --out scores.npz; kinema tune work/fight scores.npz
"""


def tune(
    checkpoint: Annotated[
        str,
        typer.Argument(
            help="A work folder of `kinema train` (its best checkpoint), or one checkpoint folder.",
            metavar="CHECKPOINT",
        ),
    ],
    data: Annotated[
        Path | None,
        typer.Argument(
            help=(
                "Labelled clips that the model was not trained on, as `kinema test` takes them; or a file of scores"
                " that `kinema test --out` wrote. Default: the validation clips of the run."
            ),
            metavar="[DATA]",
        ),
    ] = None,
    goal: Annotated[
        str,
        typer.Option(
            "--for",
            help=(
                "What the threshold of a class is best for: f1, or precision=P, the lowest threshold with at least this"
                " precision."
            ),
            metavar="f1|precision=P",
        ),
    ] = "f1",
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate/--no-calibrate",
            help="Fit a temperature that makes scores calibrated probabilities; else that of the checkpoint stays.",
        ),
    ] = True,
    columns: ColumnsOption = None,
    batch_size: Annotated[int | None, typer.Option(help="Clips a step.", min=1, show_default="16")] = None,
    device: Device = "auto",
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Choose from which score on each class is there, and calibrate the scores; both go into the checkpoint.

    `kinema predict`, `timeline` and `stream` use them. The training can still be resumed.
    """
    require_checkpoint_first(checkpoint, [] if data is None else [str(data)], USAGE)
    from kinema.logs import show_on_console
    from kinema.recipes.tuning import parse_goal
    from kinema.recipes.tuning import tune as tuned

    try:
        parse_goal(goal)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--for") from error
    show_on_console()
    tuning = tuned(
        checkpoint,
        data,
        goal=goal,
        calibration=calibrate,
        columns=parsed_columns(columns),
        batch_size=batch_size,
        workers=workers,
        device=device,
    )
    if as_json:
        print_json(tuning.to_dict())
    else:
        show(tuning)
    if tuning.failed:
        print_note(f"warning: {tuning.failed} clips could not be read, and are in no number")


def show(tuning: "Tuning") -> None:
    """Print what was chosen, for people."""
    print_line(f"{tuning.num_clips} clips of {tuning.data}, from {plural(tuning.num_sources, 'source video')}")
    rows = [
        [
            tuned.name,
            str(tuned.clips),
            "-" if tuned.threshold is None else f"{tuned.threshold:.3f}",
            str(tuned.taken),
            *map(share_text, (tuned.precision, tuned.recall, tuned.f1)),
            "-" if tuned.held_out is None else share_text(tuned.held_out.f1),
            share_text(tuned.average_precision),
            tuned.note,
        ]
        for tuned in tuning.classes
    ]
    columns = ["class", "clips", "threshold", "taken", "precision", "recall", "F1", "F1 held out", "average precision"]
    if any(tuned.note for tuned in tuning.classes):
        columns.append("note")
    print_table(f"Thresholds for {tuning.goal}", columns, [row[: len(columns)] for row in rows])
    print_line(
        "Precision, recall and F1 are of the clips that the thresholds were chosen on, so too good; 'held out' is of"
        " thresholds that were chosen without a clip's source video."
    )
    few = [tuned.name for tuned in tuning.classes if 0 < tuned.clips < FEW_CLIPS]
    if few:
        shown = ", ".join(few[:5]) + (", ..." if len(few) > 5 else "")
        print_line(f"Fewer than {FEW_CLIPS} clips, so of little weight: {shown}")
    if tuning.calibration is not None:
        print_line(_calibration(tuning, tuning.calibration))
    print_line(f"Written into {tuning.checkpoint / 'config.json'}")


def _calibration(tuning: "Tuning", fit: "Calibration") -> str:
    if tuning.note:
        stays = "none" if tuning.temperature is None else f"still {tuning.temperature:.3f}"
        return f"Temperature: {stays}: {tuning.note}. Calibration error {fit.ece_before:.3f}."
    where = (
        f"on clips whose sources the fit did not see, {fit.folds} folds"
        if fit.folds
        else "on the clips of the fit, so too good: there is only one source video to hold out"
    )
    return (
        f"Temperature: {fit.temperature:.3f}. Calibration error {fit.ece_before:.3f} before, {fit.ece_after:.3f} after"
        f" ({where})."
    )
