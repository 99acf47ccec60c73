"""`kinema data split`: lists of training, validation and test clips, with all clips of a source video on one side."""

import math
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kinema.cli.options import ColumnsOption, Json, Seed, parsed_columns
from kinema.cli.output import print_json, print_line, print_note, print_table
from kinema.errors import AnnotationError

if TYPE_CHECKING:
    import numpy as np

    from kinema.datasets.annotations import Annotations, Split

PART_NAMES = ("train", "val", "test")
MOST_CLASSES = 40  # rows of the table
MOST_NAMES = 5  # in a warning


def split(
    source: Annotated[
        Path,
        typer.Argument(
            help=(
                "Annotations of any format, or a folder of class folders. Of a folder that is split already (train.txt,"
                " val.txt, ...) "
                "all clips are split anew."
            ),
            metavar="SRC",
        ),
    ],
    target: Annotated[
        Path | None, typer.Argument(help="Folder for train.txt, val.txt, test.txt and classes.txt.", metavar="DST")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The same as DST.")] = None,
    fractions: Annotated[
        str, typer.Option(metavar="A,B[,C]", help="Shares of each class's clips for train, val and test.")
    ] = "0.8,0.2",
    by_source: Annotated[
        bool,
        typer.Option(
            "--by-source/--no-group",
            help=(
                "Keep the clips of one source video on one side, as names such as v_Run_g01_c02, id_000010_000020,"
                " talk_clip3 or "
                "talk_part2 show it; or split all clips one by one."
            ),
        ),
    ] = True,
    pattern: Annotated[
        str | None,
        typer.Option(
            "--group",
            "--by",
            metavar="REGEX",
            help=(
                "What a clip's path has in common with those it must stay with, such as '^([^/]+)/' or 'person(\\d+)'."
            ),
        ),
    ] = None,
    column: Annotated[
        str | None,
        typer.Option("--group-column", metavar="NAME", help="The column of a table that holds it, such as person."),
    ] = None,
    by_time: Annotated[
        bool,
        typer.Option(
            "--by-time",
            help=(
                "Of one long recording (or few) with many labelled parts: hold out stretches of time, with a gap around"
                " them."
            ),
        ),
    ] = False,
    columns: ColumnsOption = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Split clips into training, validation and test lists; no source video lies on two sides."""
    import numpy as np

    from kinema.datasets.annotations import split_by_fractions
    from kinema.datasets.annotations.labels import check_labels
    from kinema.datasets.annotations.merging import read_whole

    folder = _one_folder(target, out)
    shares = parse_fractions(fractions)
    if (not by_source) + (pattern is not None) + (column is not None) + by_time > 1:
        raise typer.BadParameter(
            "choose one of --no-group, --group, --group-column and --by-time", param_hint="--group"
        )
    whole = read_whole(source, parsed_columns(columns))
    clips = whole.annotations
    check_labels(clips, len(clips.class_names) or None)
    group_of = _grouping(clips, by_source, pattern, column)
    what = (
        "stretches of time"
        if by_time
        else "clips"
        if not by_source
        else "groups"
        if pattern or column
        else "source videos"
    )
    split_ = _by_time(clips, shares, seed) if by_time else split_by_fractions(clips, shares, seed, group_of=group_of)
    parts = dict(zip(PART_NAMES, split_, strict=False))
    lists = _write(folder, parts, whole, what)
    names = clips.class_names or tuple(map(str, range(1 + int(clips.labels.values.max(initial=-1)))))
    counts = {name: np.bincount(part.labels.values, minlength=len(names)) for name, part in parts.items()}
    facts = {
        name: {"list": str(lists[name]), "clips": len(part), "groups": _num_groups(part, group_of)}
        for name, part in parts.items()
    }
    for name, number in counts.items():
        _warn_of_absent(name, [names[place] for place in np.flatnonzero(number == 0)], len(names), what)
    if as_json:
        by_class = {
            name: {part: int(number[place]) for part, number in counts.items()} for place, name in enumerate(names)
        }
        print_json({**facts, "classes": by_class, "seed": seed})
        return
    _print_counts(names, counts, facts, _class_groups(clips, group_of, len(names)), what)
    print_line(f"try it:  kinema train {shlex.quote(str(folder))}")


def _by_time(clips: "Annotations", shares: Sequence[float], seed: int) -> list["Annotations"]:
    from kinema.datasets.annotations.time_blocks import MOST_RECORDINGS, split_by_time

    rest, left = clips, float(sum(shares))
    held = []
    for share in shares[1:]:
        time_split = split_by_time(rest, share / left, seed)
        if time_split is None:
            raise AnnotationError(
                f"{clips.source}: cannot be split by time: expected labelled parts of videos, two or more of a class,"
                f" with columns for their start and end, of at most {MOST_RECORDINGS} videos"
            )
        print_note(f"note: {time_split}")
        rest, left = time_split.train, left - share
        held.append(time_split.held)
    return [rest, *held]


def _num_groups(part: "Annotations", group_of: Callable[[str], str] | None) -> int:
    return len(part) if group_of is None else len(set(map(group_of, part.paths)))


def _grouping(
    clips: "Annotations", by_source: bool, pattern: str | None, column: str | None
) -> Callable[[str], str] | None:
    """From a clip's path to its group; None: each clip is a group of its own."""
    from kinema.datasets.annotations import group_by_pattern
    from kinema.datasets.annotations.grouping import group_by_column, source_video_of

    if column is not None:
        return group_by_column(clips, column)
    if pattern is not None:
        try:
            return group_by_pattern(pattern)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--group") from error
    return source_video_of if by_source else None


def _write(folder: Path, parts: dict[str, "Annotations"], whole: "Split", what: str) -> dict[str, Path]:
    """Write the lists of all parts, or nothing; returns their paths."""
    from kinema.datasets.annotations import write_list
    from kinema.datasets.annotations.class_names import write_class_names

    for name, part in parts.items():
        if not len(part):
            cut = whole.annotations.clip_starts is not None
            ways = "--no-group parts all clips one by one" + (
                ", --by-time parts a long recording by time" if cut else ""
            )
            hint = "" if what == "clips" else f" ({ways})"
            raise AnnotationError(
                f"{whole.path}: nothing is left for {name}: no class has clips of {len(parts)} {what}{hint}"
            )
    for file in sorted(file for name in PART_NAMES for file in folder.glob(f"{name}.*")):
        raise AnnotationError(f"{file}: is there already: name another folder, or remove it")
    lists = {name: write_list(folder / f"{name}.txt", part, whole.video_root) for name, part in parts.items()}
    names = whole.annotations.class_names
    if names:
        write_class_names(folder / "classes.txt", names)
    return lists


def parse_fractions(text: str) -> tuple[float, ...]:
    """`"0.8,0.1,0.1"` -> the three numbers.

    Raises:
        BadParameter: they are not two or three numbers above 0.
    """
    try:
        numbers = tuple(map(float, text.split(",")))
    except ValueError:
        numbers = ()
    if not 2 <= len(numbers) <= len(PART_NAMES) or not all(0 < number < math.inf for number in numbers):
        raise typer.BadParameter(
            f"expected two or three numbers above 0, such as 0.8,0.2 or 0.8,0.1,0.1, got {text!r}",
            param_hint="--fractions",
        )
    return numbers


def _one_folder(target: Path | None, out: Path | None) -> Path:
    folder = target if out is None else out
    if folder is None or (target is not None and out is not None):
        raise typer.BadParameter("name one folder for the lists", param_hint="DST")
    return folder


def _class_groups(annotations: "Annotations", group_of: Callable[[str], str] | None, num_classes: int) -> list[int]:
    """How many groups the clips of each class come from."""
    groups: list[set[str]] = [set() for _ in range(num_classes)]
    for place, (path, labels) in enumerate(annotations):
        for label in labels:
            groups[label].add(str(place) if group_of is None else group_of(path))
    return list(map(len, groups))


def _warn_of_absent(part: str, absent: Sequence[str], num_classes: int, what: str) -> None:
    if absent:
        shown = ", ".join(absent[:MOST_NAMES]) + (", ..." if len(absent) > MOST_NAMES else "")
        why = "" if what == "clips" else f": too few {what}, see the last column"
        print_note(f"warning: {len(absent)} of {num_classes} classes have no clip in {part} ({shown}){why}")


def _print_counts(
    names: Sequence[str], counts: "dict[str, np.ndarray]", facts: dict[str, Any], groups: Sequence[int], what: str
) -> None:
    rows = [
        [name, *(str(number[place]) for number in counts.values()), str(groups[place])]
        for place, name in enumerate(names[:MOST_CLASSES])
    ]
    if len(names) > MOST_CLASSES:
        rows.append([f"and {len(names) - MOST_CLASSES} more", *("" for _ in counts), ""])
    print_table("", ["class", *counts, what], rows)
    totals = [[name, str(part["clips"]), str(part["groups"]), part["list"]] for name, part in facts.items()]
    print_table("", ["part", "clips", what, "list"], totals)
