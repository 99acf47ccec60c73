"""`kinema predict`: what do these videos show?"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kinema.cli.inputs import require_checkpoint_first, require_writable
from kinema.cli.options import Checkpoint, Device, ForeignConfig, Json, TtaOption, ViewsOption, parsed_tta, parsed_views
from kinema.cli.output import print_json, print_lines, print_note, print_table
from kinema.memory import collections_paused

if TYPE_CHECKING:
    from kinema.inference import FailedInput, Prediction, VideoRecognizer

USAGE = "kinema predict CHECKPOINT VIDEO..."
UNSEEN_SECONDS = 1.0  # a video of which more is not looked at, and over a third, is worth a word
SEEN_SHARE = 2 / 3
FRAME_SHARE = 0.6  # of its area; the usual crop of a square picture shows 0.77, of 4:3 0.57, of 16:9 0.43
EPILOG = """Examples:

kinema predict work/clips new.mp4 --top-k 5

kinema predict work/clips folder/ 'more/*.mp4' --views 10x3 --out predictions.csv
"""


def predict(
    checkpoint: Checkpoint,
    videos: Annotated[
        list[str],
        typer.Argument(
            help=(
                "Video files, addresses, patterns, lists; a folder stands for all videos in it, or for one video where"
                " it holds numbered images."
            ),
            metavar="VIDEO",
        ),
    ],
    top_k: Annotated[int, typer.Option(help="How many classes to name.", min=1)] = 3,
    views: ViewsOption = None,
    tta: TtaOption = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(
            help=(
                "Of a model of several labels a clip: from which score on a class is there, for all classes or for one;"
                " may be given again. Default: as the checkpoint says (`kinema tune`), else 0.5."
            ),
            metavar="NUMBER|CLASS=NUMBER",
        ),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Videos a step.", min=1, show_default="8, fewer with --views")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Also write the predictions: .csv, .json, or .jsonl (an object a line).", metavar="FILE"),
    ] = None,
    config: ForeignConfig = None,
    device: Device = "auto",
    as_csv: Annotated[bool, typer.Option("--csv", help="Print a table that programs read.")] = False,
    as_json: Json = False,
) -> None:
    """Name the likeliest classes of each video; one that cannot be read is named, and the exit status is 1."""
    views, tta = parsed_views(views), parsed_tta(tta)
    if as_csv and as_json:
        raise typer.BadParameter("give one of --csv and --json", param_hint="--csv")
    _require_no_output(videos, "--csv" if as_csv else "--json" if as_json else None)
    require_checkpoint_first(checkpoint, videos, USAGE)
    require_writable(out, "--out")
    with collections_paused():
        from kinema.inference import FailedInput, Prediction, load
    from kinema.logs import show_on_console
    from kinema.progress import track_iter_progress
    from kinema.report.prediction_table import csv_text, require_suffix, write_predictions

    if out is not None:
        try:
            require_suffix(out)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--out") from error
    files, missing = _find(videos)
    show_on_console()
    recognizer = load(checkpoint, config=config, device=device)
    limits = _thresholds(threshold, recognizer)
    results: Iterable[Prediction | FailedInput] = recognizer.predict_many(
        files, top_k, on_error="report", batch_size=batch_size, views=views, tta=tta, thresholds=limits
    )
    if len(files) > 1:
        results = track_iter_progress((results, len(files)))
    everything = [*results, *missing]
    if out is not None:
        write_predictions(out, everything)
        print_note(f"predictions: {out}")
    predictions = [result for result in everything if isinstance(result, Prediction)]
    if as_json:
        print_json([result.to_dict() for result in everything])
    elif as_csv:
        print_lines(csv_text(everything).replace("\r\n", "\n").rstrip("\n"))
    elif predictions:
        _show(predictions)
    hint = hint_of(predictions, is_default=views is None)
    if hint:
        print_note(hint)
    failed = [result for result in everything if isinstance(result, FailedInput)]
    for failure in failed:
        print_note(f"error: {failure.error}")
    if failed:
        raise typer.Exit(1)


def _require_no_output(names: Sequence[str], option: str | None) -> None:
    """Name a file to write that is given where videos are.

    Raises:
        BadParameter: `option` prints, and a name is that of a file of its kind that is not there.
    """
    for name in names:
        if option is not None and Path(name).suffix.lower() == option.replace("--", ".") and not Path(name).exists():
            raise typer.BadParameter(f"prints, and takes no file; --out {name} writes one", param_hint=option)


def _find(names: Sequence[str]) -> "tuple[list[str], list[FailedInput]]":
    """The videos that names stand for, and the names that stand for none.

    Raises:
        VideoError: no name stands for a video.
    """
    from kinema.errors import AnnotationError, VideoError
    from kinema.inference import FailedInput
    from kinema.inference.finding import find_videos

    files: list[str] = []
    missing: list[FailedInput] = []
    for name in names:
        try:
            files += find_videos([name])
        except (VideoError, AnnotationError) as error:  # the other videos are not lost
            missing.append(FailedInput(name, str(error)))
    if not files:
        raise VideoError(missing[0].error)
    return files, missing


def _thresholds(texts: list[str] | None, recognizer: "VideoRecognizer") -> dict[str, float] | float | None:
    """The values of `--threshold`.

    Raises:
        BadParameter: one is none, names no class, or the model has one label a clip.
    """
    hint = "--threshold"
    by_name: dict[str, float] = {}
    for text in texts or ():
        name, _, number = text.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            value = -1.0
        if not 0 <= value <= 1:
            raise typer.BadParameter(
                f"expected a number from 0 to 1, or CLASS=NUMBER, such as 0.4 or waving=0.4; got {text!r}",
                param_hint=hint,
            )
        if name and name not in recognizer.classes:
            raise typer.BadParameter(f"there is no class {name!r}: {', '.join(recognizer.classes)}", param_hint=hint)
        by_name |= {name: value} if name else dict.fromkeys(recognizer.classes, value)
    if texts and not recognizer.is_multi_label:
        raise typer.BadParameter(
            "is for models of several labels a clip; of this one the likeliest class is named", param_hint=hint
        )
    if texts and not any("=" in text for text in texts):
        return value  # also of a model whose classes have no names
    return by_name or None


def _show(predictions: "Sequence[Prediction]") -> None:
    """Print predictions for people."""
    if predictions[0].present is None:
        print_table("", ["video", "class", "score", "next", "looked at"], list(map(_row, predictions)))
    else:
        print_table("", ["video", "present", "likeliest", "looked at"], list(map(_row, predictions)))


def _row(prediction: "Prediction") -> list[str]:
    looked = "" if prediction.looked is None else str(prediction.looked)
    ranked = [f"{label} {score:.2f}" for label, score in zip(prediction.labels, prediction.scores, strict=True)]
    if prediction.present is None:
        return [prediction.source, prediction.label, f"{prediction.score:.2f}", ", ".join(ranked[1:]), looked]
    present = [f"{label} {prediction.probability_of(label):.2f}" for label in prediction.present]
    return [prediction.source, ", ".join(present) or "-", ", ".join(ranked), looked]


def hint_of(predictions: Sequence["Prediction"], *, is_default: bool) -> str:
    """One line on what the model did not see of the videos; empty where that is little, or was chosen by the user.

    Args:
        predictions: of some videos.
        is_default: the views are those of the checkpoint.
    """
    seen = [(prediction.source, prediction.looked) for prediction in predictions if prediction.looked is not None]
    short = [pair for pair in seen if pair[1].time_share < SEEN_SHARE and pair[1].unseen_seconds > UNSEEN_SECONDS]
    narrow = [pair for pair in seen if pair[1].frame_share < FRAME_SHARE]
    parts = []
    if short:
        path, looked = min(short, key=lambda pair: pair[1].time_share)
        parts.append(f"the model looked at {looked} of {Path(path).name}{_and_more(len(short))}")
    if narrow:
        path, looked = min(narrow, key=lambda pair: pair[1].frame_share)
        name = "" if short and short[0][0] == path and len(seen) == 1 else f" of {Path(path).name}"
        parts.append(f"the crop shows {looked.frame_share:.0%} of the picture{name}{_and_more(len(narrow))}")
    if not parts or not is_default:
        return ""
    views = f"{10 if short else 1}x{3 if narrow else 1}"
    shown = [
        *(["ten clips over the whole video"] if short else []),
        *(["three crops that show all of the picture"] if narrow else []),
    ]
    return f"note: {'; '.join(parts)} (--views {views} looks at {' and at '.join(shown)})"


def _and_more(count: int) -> str:
    if count == 1:
        return ""
    return f", and not all of {count - 1} other video{'s' if count > 2 else ''}"
