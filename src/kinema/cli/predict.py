"""`kinema predict`: what do these videos show?"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kinema.cli.inputs import find_videos, require_checkpoint_first
from kinema.cli.options import Checkpoint, Device, ForeignConfig, Json, TtaOption, ViewsOption, parsed_tta, parsed_views
from kinema.cli.output import print_json, print_note, print_table

if TYPE_CHECKING:
    from kinema.inference import Looked, Prediction

USAGE = "kinema predict CHECKPOINT VIDEO..."
UNSEEN_SECONDS = 1.0  # a video of which more is not looked at, and over a third, is worth a word
SEEN_SHARE = 2 / 3
FRAME_SHARE = 0.6  # of its area; the usual crop of a square picture shows 0.77, of 4:3 0.57, of 16:9 0.43


def predict(
    checkpoint: Checkpoint,
    videos: Annotated[
        list[str],
        typer.Argument(
            help="Video files; a folder stands for all videos in it, or for one video where it holds numbered images.",
            metavar="VIDEO",
        ),
    ],
    top_k: Annotated[int, typer.Option(help="How many classes to name.", min=1)] = 3,
    views: ViewsOption = None,
    tta: TtaOption = None,
    config: ForeignConfig = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Name the likeliest classes of each video; one that cannot be read is named, and the exit status is 1."""
    views, tta = parsed_views(views), parsed_tta(tta)
    require_checkpoint_first(checkpoint, videos, USAGE)
    files = find_videos(videos)
    from kinema.errors import VideoError
    from kinema.inference import load
    from kinema.logs import show_on_console

    show_on_console()
    recognizer = load(checkpoint, config=config, device=device)
    predictions: list[Prediction] = []
    values: list[dict[str, Any]] = []
    errors: list[str] = []
    for video in files:
        try:
            prediction = recognizer.predict(video, top_k=top_k, views=views, tta=tta)
        except VideoError as error:  # the other videos are not lost
            errors.append(str(error))
            values.append({"path": video, "error": str(error)})
            continue
        predictions.append(prediction)
        scores = [round(score, 6) for score in prediction.scores]
        values.append({"path": prediction.path, "labels": list(prediction.labels), "scores": scores})
        if prediction.looked is not None:
            values[-1]["looked"] = _json_value(prediction.looked)
    if as_json:
        print_json(values)
    elif predictions:
        print_table(
            "", ["video", "class", "score", "next", "looked at"], [_row(prediction) for prediction in predictions]
        )
    hint = hint_of(predictions, is_default=views is None)
    if hint:
        print_note(hint)
    for text in errors:
        print_note(f"error: {text}")
    if errors:
        raise typer.Exit(1)


def _row(prediction: "Prediction") -> list[str]:
    nexts = zip(prediction.labels[1:], prediction.scores[1:], strict=True)
    others = ", ".join(f"{label} {score:.2f}" for label, score in nexts)
    looked = "" if prediction.looked is None else str(prediction.looked)
    return [prediction.path, prediction.label, f"{prediction.score:.2f}", others, looked]


def _json_value(looked: "Looked") -> dict[str, Any]:
    return {
        "frames": looked.total_frames,
        "spans": [list(span) for span in looked.spans],
        "fps": round(looked.fps, 6),
        "time_share": round(looked.time_share, 4),
        "frame_share": round(looked.frame_share, 4),
    }


def hint_of(predictions: Sequence["Prediction"], *, is_default: bool) -> str:
    """One line on what the model did not see of the videos; empty where that is little, or was chosen by the user.

    Args:
        predictions: of some videos.
        is_default: the views are those of the checkpoint.
    """
    seen = [(prediction.path, prediction.looked) for prediction in predictions if prediction.looked is not None]
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
