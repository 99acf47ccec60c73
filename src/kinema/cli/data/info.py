"""`kinema data info`: what is this video, what is in this data set?"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kinema.cli.data.dataset_info import show_dataset
from kinema.cli.options import ColumnsOption, Json, parsed_columns
from kinema.cli.output import print_json, print_line, print_table

if TYPE_CHECKING:
    from kinema.video.probe import VideoFacts

PLOT_SUFFIXES = (".png", ".svg", ".pdf")


def info(
    path: Annotated[
        Path,
        typer.Argument(
            help="A video file; or a data set: annotations of any format, or a folder of class folders.", metavar="PATH"
        ),
    ],
    fast: Annotated[
        bool,
        typer.Option(
            "--fast",
            help=(
                "Decode nothing: of a video no look for damage, of a data set none for clips that show the same in"
                " both parts."
            ),
        ),
    ] = False,
    val: Annotated[
        Path | None, typer.Option(help="Of a data set: its validation clips; default: found beside PATH.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Of a data set: draw the clips of each class into this file (.png, .svg, .pdf).")
    ] = None,
    probe: Annotated[
        int, typer.Option(help="Of a data set: how many videos to open for durations and sizes.", min=0)
    ] = 100,
    columns: ColumnsOption = None,
    as_json: Json = False,
) -> None:
    """Show what a video file is and what that means for training; or the classes, sizes and problems of a data set."""
    from kinema.datasets.annotations.layout import LIST_SUFFIXES
    from kinema.video.probe import advice, probe_video

    if plot is not None and plot.suffix.lower() not in PLOT_SUFFIXES:
        raise typer.BadParameter(f"expected a file {', '.join(PLOT_SUFFIXES)}, got {plot}", param_hint="--plot")
    if path.is_dir() or path.suffix.lower() in LIST_SUFFIXES:
        show_dataset(
            path,
            val,
            plot=plot,
            num_probed=probe,
            as_json=as_json,
            pictures=not fast,
            columns=parsed_columns(columns),
        )
        return
    if plot is not None or val is not None:
        option = "--val" if plot is None else "--plot"
        raise typer.BadParameter(f"goes with a data set, and {path} is a video", param_hint=option)
    facts = probe_video(path, decode=not fast)
    sentences = advice(facts)
    if as_json:
        print_json(_json_value(facts) | {"advice": sentences})
        return
    print_table(str(path), ["", ""], _rows(facts))
    for sentence in sentences:
        print_line(f"* {sentence}")


def _json_value(facts: "VideoFacts") -> dict[str, Any]:
    ratio = facts.sample_aspect_ratio
    return asdict(facts) | {"sample_aspect_ratio": None if ratio is None else str(ratio)}


def _rows(facts: "VideoFacts") -> list[list[str]]:
    colour = [facts.pixel_format, f"{facts.bit_depth} bit", facts.color_space, facts.hdr_transfer]
    if facts.color_range is not None:
        colour.append(f"{facts.color_range} range")
    size = [f"{facts.width}x{facts.height}"]
    if facts.rotation_degrees:
        size.append(f"turned by {facts.rotation_degrees} degrees")
    if facts.sample_aspect_ratio is not None:
        size.append(f"pixels {facts.sample_aspect_ratio.numerator}:{facts.sample_aspect_ratio.denominator}")
    rows = [
        ["container", facts.container],
        ["codec", _joined([facts.codec, facts.profile])],
        ["colour", _joined(colour)],
        ["size", _joined(size)],
        ["frame rate", f"{facts.fps:.6g} a second{', variable' if facts.is_variable_rate else ''}"],
        ["frames", _frames(facts)],
        ["duration", f"{facts.duration_seconds:.3f} s"],
    ]
    if facts.first_timestamp_seconds is not None:
        rows.append(["first frame at", f"{facts.first_timestamp_seconds:.3f} s"])
    if facts.bit_rate is not None:
        rows.append(["bit rate", f"{facts.bit_rate / 1000:.0f} kbit/s"])
    rows.append(["key frames", _keyframes(facts)])
    audio = [f"{stream.codec} {stream.sample_rate} Hz {stream.channels} channels" for stream in facts.audio]
    rows.append(["audio", "; ".join(audio) or "none"])
    return rows


def _joined(parts: Sequence[str | None]) -> str:
    return ", ".join(part for part in parts if part)


def _frames(facts: "VideoFacts") -> str:
    if facts.damage is not None:
        return f"{facts.num_frames}, damaged"
    return f"{facts.num_frames}{', all can be decoded' if facts.was_decoded else ''}"


def _keyframes(facts: "VideoFacts") -> str:
    if facts.num_keyframes == 1:
        return "1, the first frame"
    return (
        f"{facts.num_keyframes}, one in {facts.keyframe_spacing_mean:.1f} frames on average, "
        f"at most {facts.keyframe_spacing_max} apart"
    )
