"""`kinema explain`: what in a video speaks for a class."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kinema.cli.inputs import require_checkpoint_first
from kinema.cli.options import Checkpoint, Device, ForeignConfig, Json, ViewsOption, parsed_views
from kinema.cli.output import print_json, print_note, print_table
from kinema.memory import collections_paused

if TYPE_CHECKING:
    from kinema.report.explanation import Explanation

USAGE = "kinema explain CHECKPOINT VIDEO..."
SUFFIXES = (".mp4", ".webm", ".gif", ".webp")
PICTURES = (".png", ".jpg", ".jpeg", ".apng")  # which show nothing that moves, or that VideoWriter does not write
SHORT_SECONDS = 2.0  # a shorter animation is slowed down, so that people can follow it
LEAST_FPS = 1.0


def explain(
    checkpoint: Checkpoint,
    videos: Annotated[
        list[str],
        typer.Argument(help="Video files; a folder stands for all videos in it.", metavar="VIDEO"),
    ],
    class_name: Annotated[
        str | None, typer.Option("--class", metavar="NAME", help="The class to explain; default: the likeliest.")
    ] = None,
    out: Annotated[
        Path,
        typer.Option(
            help=(
                "Folder for an animation of each video, or the animation of one: .mp4, .webm, .gif or .webp. It shows"
                " the frames as the model saw them, the same with colour where they spoke for the class, and below"
                " them how much each frame mattered."
            )
        ),
    ] = Path("explained"),
    layer: Annotated[
        str | None,
        typer.Option(
            help="The layer to look into, such as backbone.layer3; default: the last one with height and width."
        ),
    ] = None,
    views: ViewsOption = None,
    config: ForeignConfig = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Show what in a video speaks for a class, over place and time, by Grad-CAM.

    Examples:
    kinema explain work/clips new_video.mp4

    kinema explain work/clips new_video.mp4 --class waving --out waving.gif
    """
    views = parsed_views(views)
    require_checkpoint_first(checkpoint, videos, USAGE)
    from kinema.inference.finding import find_videos
    from kinema.video.suffixes import has_video_suffix

    files = find_videos(videos)
    is_file = out.suffix.lower() in SUFFIXES
    if not is_file and not out.is_dir() and (has_video_suffix(out.name) or out.suffix.lower() in PICTURES):
        raise typer.BadParameter(f"{out}: an animation is a {', '.join(SUFFIXES)} file", param_hint="--out")
    if is_file and len(files) > 1:
        raise typer.BadParameter(f"{len(files)} videos do not fit one file: name a folder", param_hint="--out")
    if not is_file and out.is_file():
        raise typer.BadParameter(f"{out} is a file: name a folder, or a {', '.join(SUFFIXES)} file", param_hint="--out")
    from kinema.errors import VideoError

    with collections_paused():
        from kinema.inference import load
    from kinema.logs import show_on_console
    from kinema.progress import track_iter_progress
    from kinema.report.explanation import GradCam, explain_video
    from kinema.report.explanation.video import class_index

    show_on_console()
    recognizer = load(checkpoint, config=config, device=device)
    if class_name is not None:
        class_index(recognizer, class_name)  # before any video is read
    explainer = GradCam(recognizer.model, layer)
    rows: list[list[str]] = []
    values: list[dict[str, Any]] = []
    errors: list[str] = []
    pairs = list(zip(files, _places(files, out, is_file), strict=True))
    for video, place in track_iter_progress(pairs) if len(pairs) > 1 else pairs:
        try:
            explanation = explain_video(recognizer, video, class_name=class_name, views=views, explainer=explainer)
            write_animation(place, explanation)
        except VideoError as error:  # the other videos are not lost
            errors.append(str(error))
            values.append({"path": video, "error": str(error)})
            continue
        rows.append([video, explanation.label, f"{explanation.score:.2f}", _moments(explanation), str(place)])
        values.append(_json_value(explanation, place))
    if as_json:
        print_json(values)
    elif rows:
        print_table("", ["video", "class", "score", "what mattered most", "animation"], rows)
    for text in errors:
        print_note(f"error: {text}")
    if errors:
        raise typer.Exit(1)


def _places(files: list[str], out: Path, is_file: bool) -> list[Path]:
    """Where the animation of each video goes; videos of one name get numbers."""
    if is_file:
        return [out]
    places: list[Path] = []
    for video in files:
        stem = Path(video.rstrip("/")).stem or "video"
        place, number = out / f"{stem}.mp4", 2
        while place in places:
            place, number = out / f"{stem}_{number}.mp4", number + 1
        places.append(place)
    return places


def write_animation(path: Path, explanation: "Explanation") -> None:
    """Write the pictures of an explanation, at the speed of the video, but for at least two seconds a view.

    Args:
        path: its suffix chooses the kind; its folder is made.
        explanation: of a video.

    Raises:
        VideoError: the file cannot be written.
    """
    from kinema.files import written_whole
    from kinema.report.animation import webp
    from kinema.video import write_video

    pictures = explanation.pictures()
    fps = max(LEAST_FPS, min(explanation.fps, explanation.maps.shape[1] / SHORT_SECONDS, 30.0))
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".webp":
        with written_whole(path, "wb") as file:
            file.write(webp(pictures[:, : pictures.shape[1] // 2 * 2, : pictures.shape[2] // 2 * 2], fps, 75))
        return
    write_video(path, pictures, fps)


def _moments(explanation: "Explanation") -> str:
    if not explanation.over_time.any():
        return f"nothing spoke for {explanation.label}"
    return ", ".join(map(str, explanation.moments())) or "times unknown"


def _json_value(explanation: "Explanation", place: Path) -> dict[str, Any]:
    times = explanation.times_seconds
    return {
        "path": explanation.video,
        "label": explanation.label,
        "score": round(explanation.score, 6),
        "layer": explanation.layer,
        "moments": [
            {
                "start_seconds": round(moment.start_seconds, 6),
                "end_seconds": round(moment.end_seconds, 6),
                "share": round(moment.share, 4),
            }
            for moment in explanation.moments()
        ],
        "frames": explanation.frame_numbers.tolist(),
        "seconds": None if times is None else times.round(6).tolist(),
        "over_time": explanation.over_time.round(6).tolist(),
        "animation": str(place),
    }
