"""`kinema timeline`: what happens in these videos, and when?"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kinema.cli.decision_options import (
    Background,
    Best,
    Classes,
    DecisionOptions,
    Hysteresis,
    MergeGap,
    MinDuration,
    Smooth,
    Stride,
    Threshold,
    Window,
)
from kinema.cli.inputs import require_checkpoint_first
from kinema.cli.options import Device, ForeignConfig, Json, ViewsOption, parsed_views
from kinema.cli.output import print_json, print_line, print_note
from kinema.cli.timeline_tables import json_of, print_bouts, print_segments
from kinema.errors import DumpError, VideoError
from kinema.memory import collections_paused

if TYPE_CHECKING:
    from kinema.cli.timeline_files import TimelineFiles
    from kinema.inference.timeline import Timeline
    from kinema.inference.windows import WindowScores

USAGE = "kinema timeline CHECKPOINT VIDEO..."
EPILOG = """Examples:

kinema timeline work/mine match.mp4

kinema timeline work/mine videos/ --min-duration 1 --merge-gap 0.5 --to csv,srt --ethogram match.png

kinema timeline --scores timeline/match.npz --threshold fight=0.7 --annotated
"""
FORMATS = ("csv", "json", "srt", "vtt", "elan", "boris", "label-studio", "via")


def timeline(
    checkpoint: Annotated[
        str,
        typer.Argument(
            help=(
                "A work folder of `kinema train`, a checkpoint folder, or a .pth file of MMAction2 or its address. With"
                " --scores: a file of scores that an earlier call wrote, or a folder of them."
            ),
            metavar="CHECKPOINT",
        ),
    ],
    videos: Annotated[
        list[str] | None,
        typer.Argument(
            help="Videos, folders of videos, patterns. With --scores: more files of scores.", metavar="VIDEO"
        ),
    ] = None,
    scores: Annotated[
        bool,
        typer.Option(
            "--scores", help="The arguments are files of scores: decide anew, without model and videos, in a moment."
        ),
    ] = False,
    window: Window = None,
    stride: Stride = None,
    threshold: Threshold = None,
    best: Best = None,
    hysteresis: Hysteresis = None,
    smooth: Smooth = None,
    min_duration: MinDuration = None,
    merge_gap: MergeGap = None,
    classes: Classes = None,
    background: Background = None,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Where the files go; those of an earlier call are replaced.")
    ] = Path("timeline"),
    to: Annotated[
        str | None,
        typer.Option(metavar="FORMAT,...", help=f"Also write the segments as {', '.join(FORMATS)}."),
    ] = None,
    ethogram: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also draw which class is there when, as .png, .svg or .pdf.")
    ] = None,
    annotated: Annotated[
        bool, typer.Option("--annotated", help="Also write each video with classes and scores drawn over its frames.")
    ] = False,
    views: ViewsOption = None,
    batch_size: Annotated[int, typer.Option(help="Windows that go through the model together, at most.", min=1)] = 8,
    config: ForeignConfig = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Say what happens in each video, and when: segments of classes, and their bouts.

    Writes a file of scores for each video, from which --scores decides anew.

    A video that cannot be read is named; the others are not lost, the exit status is 1. Of a video that breaks off
    midway, what comes before is scored.
    """
    decisions = DecisionOptions.parsed(
        threshold,
        best=best,
        hysteresis=hysteresis,
        smooth=smooth,
        min_duration=min_duration,
        merge_gap=merge_gap,
        classes=classes,
        background=background,
    )
    formats = _formats(to)
    _check_ethogram(ethogram)
    if out.exists() and not out.is_dir():
        raise typer.BadParameter(f"expected a folder, got the file {out}", param_hint="--out")
    source: _StoredScores | _ScannedVideos
    if scores:
        _require_unset({"--window": window, "--stride": stride, "--views": views, "--config": config})
        source = _StoredScores([checkpoint, *(videos or [])])
    else:
        source = _ScannedVideos(
            checkpoint, videos or [], window, stride, parsed_views(views), batch_size, config, device
        )
        source.check(decisions)
    from kinema.cli.timeline_files import TimelineFiles

    files = TimelineFiles(out, formats, ethogram, annotates=annotated, keeps_scores=not scores)
    with files.folders():
        values, timelines, errors = _each_video(source, decisions, files, as_json=as_json)
        more = files.write_all(timelines)
    if as_json:
        print_json({"videos": values, "files": [str(path) for path in more]})
    else:
        for path in files.written:
            print_line(f"wrote {path}")
    for text in files.notes:
        print_note(text)
    for text in [*errors, *files.errors]:
        print_note(f"error: {text}")
    if errors or files.errors:
        raise typer.Exit(1)


def _each_video(
    source: "_StoredScores | _ScannedVideos", decisions: DecisionOptions, files: "TimelineFiles", *, as_json: bool
) -> tuple[list[dict[str, Any]], "list[Timeline]", list[str]]:
    """Decide, write and show one video after the other: what JSON says of each, the timelines, and what went wrong."""
    values: list[dict[str, Any]] = []
    timelines: list[Timeline] = []
    errors: list[str] = []
    for name, read in source:
        try:
            scores, broken = _read(read)
            shown = _decided(scores, decisions, name)
        except (VideoError, DumpError) as error:  # the other videos are not lost
            errors.append(str(error))
            values.append({"video": name, "error": str(error)})
            continue
        if broken:
            errors.append(broken)
        timelines.append(shown)
        values.append(json_of(shown, files.write_video(shown)))
        if not as_json:
            print_segments(shown)
            print_bouts(shown)
    return values, timelines, errors


def _read(read: Callable[[], "WindowScores"]) -> tuple["WindowScores", str]:
    """The scores of a video, and why they end before it does; empty: they do not.

    Raises:
        VideoError: there are no scores.
        DumpError: likewise, of a file of scores.
    """
    from kinema.inference.windows import PartialScoresError

    try:
        return read(), ""
    except PartialScoresError as error:
        return error.scores, str(error)


def _decided(scores: "WindowScores", decisions: DecisionOptions, name: str) -> "Timeline":
    """The timeline of some scores.

    Raises:
        DumpError: a file holds scores that no scan gives.
        BadParameter: an option names a class that is not there.
    """
    from kinema.inference.timeline import Timeline, default_settings

    try:
        suited = default_settings(scores)
        suited.check(scores.classes)
        shown = Timeline.of(scores, decisions.settings(suited, scores.classes))
        _ = shown.segments
    except ValueError as error:
        raise DumpError(f"{name}: its scores give no timeline: {error}") from error
    return shown


@dataclass(frozen=True)
class _Scan:
    """The scores of one video, once they are asked for."""

    recognizer: Any
    video: str
    options: dict[str, Any]

    def __call__(self) -> "WindowScores":
        scores: WindowScores = self.recognizer.windows(self.video, **self.options, progress=True)
        return scores


@dataclass(frozen=True)
class _Missing:
    """A name that stands for no video."""

    error: VideoError

    def __call__(self) -> "WindowScores":
        raise self.error


class _ScannedVideos:
    """Videos that a model is to look at."""

    def __init__(
        self,
        checkpoint: str,
        videos: Sequence[str],
        window: float | None,
        stride: float | None,
        views: str | None,
        batch_size: int,
        config: Path | None,
        device: str,
    ) -> None:
        if not videos:
            raise typer.BadParameter(f"expected at least one video, as in {USAGE}", param_hint="VIDEO...")
        require_checkpoint_first(checkpoint, videos, USAGE)
        if "-" in videos:
            raise typer.BadParameter(
                f"a timeline is of files: for standard input use kinema stream {checkpoint} -", param_hint="VIDEO..."
            )
        with collections_paused():
            from kinema.inference import load
        from kinema.inference.finding import find_videos
        from kinema.inference.windows import WindowEngine
        from kinema.logs import show_on_console

        self._reads: list[tuple[str, _Missing | None]] = []
        for name in videos:
            try:
                self._reads += [(video, None) for video in find_videos([name])]
            except VideoError as error:  # the other videos are not lost
                self._reads.append((name, _Missing(error)))
        show_on_console()
        self._recognizer = load(checkpoint, config=config, device=device)
        self._options = {
            "length_seconds": window,
            "stride_seconds": stride,
            "views": views,
            "batch_size": batch_size,
        }
        try:
            WindowEngine(self._recognizer, length_seconds=window, stride_seconds=stride, views=views)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--window, --stride") from error

    def check(self, decisions: DecisionOptions) -> None:
        """Raises BadParameter: an option names a class that the model does not have."""
        from kinema.inference.decisions import DecisionSettings

        if self._recognizer.classes:
            decisions.settings(DecisionSettings(), self._recognizer.classes)

    def __iter__(self) -> Iterator[tuple[str, _Scan | _Missing]]:
        for number, (video, missing) in enumerate(self._reads, start=1):
            print_note(f"{video} ({number} of {len(self._reads)})" if len(self._reads) > 1 else video)
            yield video, missing or _Scan(self._recognizer, video, self._options)


@dataclass(frozen=True)
class _Load:
    """The scores of one file."""

    path: str

    def __call__(self) -> "WindowScores":
        from kinema.inference.windows import WindowScores

        return WindowScores.load(self.path)


class _StoredScores:
    """Files of scores."""

    def __init__(self, inputs: Sequence[str]) -> None:
        self._paths: list[str] = []
        for name in inputs:
            path = Path(name)
            files = sorted(map(str, path.glob("*.npz"))) if path.is_dir() else [name]
            if not files:
                raise typer.BadParameter(f"{name}: no file of scores (.npz) in this folder", param_hint="--scores")
            self._paths += files

    def __iter__(self) -> Iterator[tuple[str, _Load]]:
        return ((path, _Load(path)) for path in self._paths)


def _formats(text: str | None) -> tuple[str, ...]:
    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    for name in names:
        if name not in FORMATS:
            raise typer.BadParameter(f"expected {', '.join(FORMATS)}, got {name!r}", param_hint="--to")
    return tuple(dict.fromkeys(names))


def _check_ethogram(file: Path | None) -> None:
    suffixes = (".png", ".svg", ".pdf")
    if file is not None and (file.suffix.lower() not in suffixes or file.is_dir()):
        raise typer.BadParameter(f"expected a file {', '.join(suffixes)}, got {file}", param_hint="--ethogram")


def _require_unset(options: dict[str, Any]) -> None:
    """Raises BadParameter: an option has a value that only a scan would use."""
    for name, value in options.items():
        if value is not None:
            raise typer.BadParameter("has no effect on stored scores: leave it out", param_hint=name)
