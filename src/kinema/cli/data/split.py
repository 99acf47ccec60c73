"""`kinema data split`: lists of training, validation and test clips, with all clips of a source video on one side."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from kinema.cli.options import Json, Seed
from kinema.cli.output import print_json, print_table

if TYPE_CHECKING:
    from kinema.datasets.annotations import Annotations

PART_NAMES = ("train", "val", "test")
MOST_CLASSES = 40  # rows of the table
MOST_NAMES = 5  # in a warning


def split(
    source: Annotated[
        Path,
        typer.Argument(
            help="Annotations of any format, or a folder of class folders. Of a folder that is parted already (train.txt, val.txt, ...) "
            "all clips are parted anew.",
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
            help="Keep the clips of one source video on one side, as names such as v_Run_g01_c02, id_000010_000020, talk_clip3 or "
            "talk_part2 tell it; or part all clips one by one.",
        ),
    ] = True,
    pattern: Annotated[
        str | None,
        typer.Option(
            "--group",
            "--by",
            metavar="REGEX",
            help="What a clip's path has in common with those it must stay with, such as '^([^/]+)/' or 'person(\\d+)'.",
        ),
    ] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Part clips into training, validation and test lists; no source video lies on two sides."""
    from kinema.datasets.annotations import (
        check_labels,
        group_by_pattern,
        read_whole,
        source_video_of,
        split_by_fractions,
        write_list,
    )
    from kinema.errors import AnnotationError

    folder = _one_folder(target, out)
    shares = parse_fractions(fractions)
    try:
        group_of = _itself if not by_source else source_video_of if pattern is None else group_by_pattern(pattern)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--group") from error
    whole = read_whole(source)
    check_labels(whole.annotations, len(whole.annotations.class_names) or None)
    parts = dict(zip(PART_NAMES, split_by_fractions(whole.annotations, shares, seed, group_of=group_of), strict=False))
    for name, clips in parts.items():
        if not len(clips):
            raise AnnotationError(
                f"{source}: nothing is left for {name}: no class has clips of {len(parts)} {_what(by_source, pattern)}"
                f"{' (--no-group parts all clips one by one)' if by_source else ''}"
            )
    for file in sorted(one for name in PART_NAMES for one in folder.glob(f"{name}.*")):
        raise AnnotationError(f"{file}: is there already: name another folder, or remove it")
    lists = {name: write_list(folder / f"{name}.txt", clips, whole.video_root) for name, clips in parts.items()}
    classes = whole.annotations.class_names
    if classes:
        (folder / "classes.txt").write_text("".join(f"{name}\n" for name in classes), encoding="utf-8")
    names = classes or tuple(map(str, range(1 + int(whole.annotations.labels.values.max(initial=-1)))))
    counts = {name: np.bincount(clips.labels.values, minlength=len(names)) for name, clips in parts.items()}
    facts = {
        name: {"list": str(lists[name]), "clips": len(clips), "groups": len(set(map(group_of, clips.paths)))}
        for name, clips in parts.items()
    }
    for name, number in counts.items():
        _warn_of_absent(name, [names[place] for place in np.flatnonzero(number == 0)], len(names), by_source)
    if as_json:
        by_class = {
            one: {part: int(number[place]) for part, number in counts.items()} for place, one in enumerate(names)
        }
        print_json({**facts, "classes": by_class, "seed": seed})
        return
    _print_counts(
        names, counts, facts, _class_groups(whole.annotations, group_of, len(names)), _what(by_source, pattern)
    )
    print(f"try it:  kinema train {folder}")


def parse_fractions(text: str) -> tuple[float, ...]:
    """`"0.8,0.1,0.1"` -> the three numbers.

    Raises:
        BadParameter: they are not two or three numbers above 0.
    """
    try:
        numbers = tuple(map(float, text.split(",")))
    except ValueError:
        numbers = ()
    if not 2 <= len(numbers) <= len(PART_NAMES) or not all(0 < one < np.inf for one in numbers):
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


def _itself(path: str) -> str:
    return path


def _what(by_source: bool, pattern: str | None) -> str:
    if not by_source:
        return "files"
    return "source videos" if pattern is None else "groups"


def _class_groups(annotations: "Annotations", group_of: Callable[[str], str], num_classes: int) -> list[int]:
    """How many groups the clips of each class come from."""
    groups: list[set[str]] = [set() for _ in range(num_classes)]
    for path, labels in annotations:
        for label in labels:
            groups[label].add(group_of(path))
    return list(map(len, groups))


def _warn_of_absent(part: str, absent: Sequence[str], num_classes: int, by_source: bool) -> None:
    if absent:
        shown = ", ".join(absent[:MOST_NAMES]) + (", ..." if len(absent) > MOST_NAMES else "")
        why = ": too few source videos or groups, see the last column" if by_source else ""
        typer.echo(f"warning: {len(absent)} of {num_classes} classes have no clip in {part} ({shown}){why}", err=True)


def _print_counts(
    names: Sequence[str], counts: dict[str, np.ndarray], facts: dict[str, Any], groups: Sequence[int], what: str
) -> None:
    rows = [
        [name, *(str(number[place]) for number in counts.values()), str(groups[place])]
        for place, name in enumerate(names[:MOST_CLASSES])
    ]
    if len(names) > MOST_CLASSES:
        rows.append([f"and {len(names) - MOST_CLASSES} more", *("" for _ in counts), ""])
    print_table("", ["class", *counts, what], rows)
    totals = [[name, str(one["clips"]), str(one["groups"]), one["list"]] for name, one in facts.items()]
    print_table("", ["part", "clips", what, "list"], totals)
