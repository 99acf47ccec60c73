"""`kinema data import`: exports of annotation programs to lists of clips and to other programs."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kinema.cli.options import ColumnsOption, Json, parsed_columns
from kinema.cli.output import print_json, print_line, print_note, print_table
from kinema.errors import AnnotationError
from kinema.printable import plural

if TYPE_CHECKING:
    from kinema.datasets.annotations.importing import ImportedSegments
    from kinema.structures.segment import Segment


def import_annotations(
    export: Annotated[
        Path,
        typer.Argument(
            help="An export of Label Studio, CVAT, ELAN, BORIS or VIA, subtitles, or annotations of any format.",
            metavar="EXPORT",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The file to write, such as list.csv; a folder gets a file for each video. Default: only compare.",
            metavar="FILE|FOLDER",
        ),
    ] = None,
    to: Annotated[
        str,
        typer.Option(
            help="Its format: csv, json, srt, vtt, elan, boris, label-studio or via; auto goes by the suffix.",
            metavar="FORMAT",
        ),
    ] = "auto",
    videos: Annotated[
        Path | None, typer.Option(help="Folder of the videos; default: looked for beside the export.", metavar="FOLDER")
    ] = None,
    frame_rate: Annotated[
        float | None,
        typer.Option(help="At which Label Studio counted frames, where its export does not say; its default is 24."),
    ] = None,
    tier: Annotated[
        list[str] | None,
        typer.Option(
            help="Of ELAN's documents: a tier to read; may be given several times. Default: all.", metavar="NAME"
        ),
    ] = None,
    background: Annotated[
        str | None,
        typer.Option(help="Add a class of this name for all that has no label.", metavar="NAME"),
    ] = None,
    windows: Annotated[
        float | None,
        typer.Option(
            help="Cut the videos into windows of so many seconds, each with the class that fills half of it.",
            metavar="SECONDS",
        ),
    ] = None,
    stride: Annotated[
        float | None,
        typer.Option(help="From one window to the next; default: they touch.", metavar="SECONDS"),
    ] = None,
    columns: ColumnsOption = None,
    as_json: Json = False,
) -> None:
    """Convert annotations between programs, and say what does not agree with the video files.

    Frame counts and rates are compared with the videos; frames that a program counted at another
    rate become exact times. `kinema train` takes the list.

    Examples:
    kinema data import project.json --out list.csv

    kinema data import cage1.eaf --out clips.csv --windows 2 --background nothing

    kinema data import list.csv --out labels/ --to elan
    """
    from kinema.datasets.annotations.importing import import_segments
    from kinema.datasets.annotations.writing import writer_of

    if stride is not None and windows is None:
        raise typer.BadParameter("needs --windows", param_hint="--stride")
    if (to != "auto" or background is not None or windows is not None) and out is None:
        raise typer.BadParameter("say where the result goes", param_hint="--out")
    imported = import_segments(
        export, video_root=videos, columns=parsed_columns(columns), frame_rate=frame_rate, tiers=tier
    )
    segments = _dense(imported, background, windows, stride)
    written = [] if out is None else _write(out, to, segments, imported)
    if out is not None and (note := writer_of(out, to).note):
        print_note(note)
    totals = _totals(segments)
    if as_json:
        print_json(
            {
                "source": str(export),
                "format": imported.format,
                "videos": len(imported.timings),
                "segments": len(segments),
                "classes": {name: {"segments": count, "seconds": seconds} for name, (count, seconds) in totals.items()},
                "notes": list(imported.notes),
                "written": list(map(str, written)),
            }
        )
        return
    print_line(
        f"{export}: read as {imported.format}: {plural(len(segments), 'segment')} of"
        f" {plural(len(imported.timings), 'video')}"
    )
    for note in imported.notes:
        print_line(f"* {note}")
    print_table(
        "",
        ["class", "segments", "seconds"],
        [[name, str(count), f"{seconds:.2f}"] for name, (count, seconds) in totals.items()],
    )
    if written:
        print_line(f"written: {written[0] if len(written) == 1 else f'{len(written)} files in {out}'}")


def _dense(
    imported: "ImportedSegments", background: str | None, windows: float | None, stride: float | None
) -> list["Segment"]:
    """The segments, with a background, or as windows."""
    from kinema.datasets.annotations.dense import fill_background, label_windows

    if windows is not None:
        return label_windows(
            imported.segments, imported.durations, seconds=windows, stride_seconds=stride, background=background
        )
    if background is not None:
        return fill_background(imported.segments, imported.durations, label=background)
    return imported.segments


def _write(out: Path, to: str, segments: Sequence["Segment"], imported: "ImportedSegments") -> list[Path]:
    from kinema.datasets.annotations.writing import write_segments, writer_of

    if out.suffix and not out.is_dir():
        try:
            writer = writer_of(out, to)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--to") from error
        if writer.has_one_video and len(imported.timings) > 1:
            raise typer.BadParameter(
                f"a {writer.suffix} file is of one video, and the export has {len(imported.timings)}: name a folder, as"
                f" {out.with_suffix('')}, with --to",
                param_hint="--out",
            )
        out.parent.mkdir(parents=True, exist_ok=True)
        write_segments(out, segments, to, videos=imported.timings)
        return [out]
    if to == "auto":
        raise typer.BadParameter("a folder gets a file for each video: say their format", param_hint="--to")
    try:
        suffix = writer_of(out, to).suffix
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--to") from error
    by_path: dict[Path, list[str]] = defaultdict(list)
    for video in imported.timings:
        by_path[out / f"{Path(video).stem}{suffix}"].append(video)
    doubled = next((videos for videos in by_path.values() if len(videos) > 1), None)
    if doubled is not None:
        raise AnnotationError(f"{doubled[0]} and {doubled[1]} would be written to files of one name: rename a video")
    out.mkdir(parents=True, exist_ok=True)
    by_video: dict[str, list[Segment]] = defaultdict(list)
    for segment in segments:
        by_video[segment.video].append(segment)
    for path, (video,) in by_path.items():
        write_segments(path, by_video[video], to, videos={video: imported.timings[video]})
    return list(by_path)


def _totals(segments: Sequence["Segment"]) -> dict[str, tuple[int, float]]:
    """Number and seconds of the segments of each class."""
    totals: dict[str, tuple[int, float]] = {}
    for segment in sorted(segments, key=lambda segment: segment.label):
        count, seconds = totals.get(segment.label, (0, 0.0))
        totals[segment.label] = count + 1, round(seconds + segment.seconds, 6)
    return totals
