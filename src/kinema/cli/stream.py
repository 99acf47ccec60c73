"""`kinema stream`: what happens in front of this camera, now?"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
from kinema.cli.options import Checkpoint, Device, ForeignConfig, ViewsOption, parsed_views
from kinema.memory import collections_paused

if TYPE_CHECKING:
    from kinema.inference.stream.recorder import EventRecorder
    from kinema.inference.stream.stream import Stream
    from kinema.inference.stream.webhook import Webhook

USAGE = "kinema stream CHECKPOINT SOURCE"
EPILOG = """Examples:

kinema stream work/mine 0

kinema stream work/mine rtsp://user:password@camera/1 --record events/ --webhook https://example.org/hook

kinema stream work/mine clip.mp4 --json

ffmpeg -i ANYTHING -f mpegts - | kinema stream work/mine -
"""
CLIP_MARGIN_SECONDS = 5.0  # of a recorded clip, before and after its event


def stream(
    checkpoint: Checkpoint,
    source: Annotated[
        str,
        typer.Argument(
            help="0 (a camera), rtsp://... or another address, a file, or - (standard input).", metavar="SOURCE"
        ),
    ],
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
    windows: Annotated[bool, typer.Option("--windows", help="Print the scores of every window, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines: one JSON value a line.")] = False,
    webhook: Annotated[
        str | None, typer.Option(help="Post each event to this address, as JSON.", metavar="URL")
    ] = None,
    record: Annotated[Path | None, typer.Option(help="Write a clip around each event here.", metavar="FOLDER")] = None,
    before: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Of a clip, before its class enters.", min=0, show_default="5"),
    ] = None,
    after: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Of a clip, after its class left.", min=0, show_default="5"),
    ] = None,
    duration: Annotated[float | None, typer.Option(metavar="SECONDS", help="Stop after so much of the stream.")] = None,
    max_events: Annotated[int | None, typer.Option(help="Stop when so many classes entered.", min=1)] = None,
    realtime: Annotated[bool, typer.Option("--realtime", help="Read a file at its own pace.")] = False,
    drop: Annotated[
        bool | None,
        typer.Option(
            "--drop/--no-drop",
            help="Let frames that the model has no time for give way; default: of cameras and addresses.",
        ),
    ] = None,
    stall_timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="Without a frame for so long, a connection counts as broken.")
    ] = 10.0,
    max_reconnects: Annotated[
        int | None, typer.Option(help="Give up after so many tries in a row; default: never.", min=0)
    ] = None,
    views: ViewsOption = None,
    config: ForeignConfig = None,
    device: Device = "auto",
) -> None:
    """Watch a camera, an address, a file or standard input; print when an action begins and ends.

    Results are lines on standard output; with --json one JSON value a line. Ctrl-C ends it with a
    summary (exit status 130).
    """
    views = parsed_views(views)
    require_checkpoint_first(checkpoint, [source], USAGE)
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
    for option, seconds in {"--before": before, "--after": after}.items():
        if record is None and seconds is not None:
            raise typer.BadParameter("is of the clips that --record writes", param_hint=option)
    if duration is not None and not 0 < duration < math.inf:
        raise typer.BadParameter(f"expected a positive number of seconds, got {duration}", param_hint="--duration")
    from kinema.cli.stream_report import StreamReporter
    from kinema.inference.stream.live_source import SourceOptions
    from kinema.inference.stream.watching import Watching, frame_rate_of, open_source
    from kinema.logs import show_on_console
    from kinema.training.interrupt import DeferredInterrupt
    from kinema.video.formats import without_secrets

    show_on_console()
    with _as_usage_error("--stall-timeout"):
        options = SourceOptions(drops=drop, stall_seconds=stall_timeout, most_reconnects=max_reconnects)
    fps = frame_rate_of(source)
    model = _loaded(checkpoint, config, device, decisions, window=window, stride=stride, views=views, fps=fps)
    with _as_usage_error("--realtime"):
        opened = open_source(source, model.length_seconds, options, is_realtime=realtime)
    with _as_usage_error("--webhook"):
        poster = None if webhook is None else _webhook_of(webhook)
    recorder = None if record is None else _recorder_of(record, model, before, after)
    with DeferredInterrupt() as interrupt:
        watching = Watching(
            model, opened, recorder=recorder, most_seconds=duration, is_stopped=lambda: interrupt.is_asked
        )
        reporter = StreamReporter(watching, as_json=as_json, windows=windows, webhook=poster, recorder=recorder)
        reporter.start(opened.address.name, without_secrets(checkpoint), model)
        try:
            reporter.report_all(most_events=max_events)
        finally:
            reporter.end()
    if interrupt.number is not None:
        raise typer.Exit(128 + interrupt.number)


def _loaded(
    checkpoint: str,
    config: Path | None,
    device: str,
    decisions: DecisionOptions,
    *,
    window: float | None,
    stride: float | None,
    views: str | None,
    fps: float,
) -> "Stream":
    """The model, with what the options say on windows and decisions."""
    with collections_paused():
        from kinema.inference import load
    from kinema.inference.decisions import DecisionSettings
    from kinema.inference.stream.stream import Stream

    recognizer = load(checkpoint, config=config, device=device)
    settings = DecisionSettings.of_model(thresholds=recognizer.thresholds, is_multi_label=recognizer.is_multi_label)
    settings = decisions.settings(settings, recognizer.classes)
    with _as_usage_error("--window, --stride"):
        return Stream(
            recognizer, length_seconds=window, stride_seconds=stride, views=views, decisions=settings, fps=fps
        )


def _webhook_of(url: str) -> "Webhook":
    from kinema.inference.stream.webhook import Webhook

    return Webhook(url)


def _recorder_of(folder: Path, model: "Stream", before: float | None, after: float | None) -> "EventRecorder":
    from kinema.inference.stream.recorder import EventRecorder

    settings = model.decisions
    delay = model.length_seconds + settings.min_seconds + settings.merge_seconds + settings.smoothing_seconds
    with _as_usage_error("--before, --after"):
        return EventRecorder(
            folder,
            before_seconds=CLIP_MARGIN_SECONDS if before is None else before,
            after_seconds=CLIP_MARGIN_SECONDS if after is None else after,
            delay_seconds=delay,
        )


@contextmanager
def _as_usage_error(options: str) -> Iterator[None]:
    """A value that is out of its range is an error of the options that gave it."""
    try:
        yield
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=options) from error
