"""`kinema data split`: training and validation lists, with all clips of a source video on one side."""

from pathlib import Path
from typing import Annotated

import typer

from kinema.cli.options import Json, Seed
from kinema.cli.output import print_json, print_table


def split(
    source: Annotated[Path, typer.Argument(help="Annotations of any format, or a folder of class folders.")],
    out: Annotated[Path, typer.Argument(help="Folder for train.txt, val.txt and classes.txt.", metavar="FOLDER")],
    share: Annotated[float, typer.Option(help="Share of each class's clips for validation.", min=0.001, max=0.9)] = 0.2,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="What a clip's path has in common with those it must stay with, such as '^([^/]+)/'; default: the source video, as "
            "names in the style of UCF101 and Kinetics tell it.",
        ),
    ] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Part clips into training and validation; no source video lies on both sides."""
    from kinema.datasets.annotations import group_by_pattern, read_split, source_video_of, split_by_group, write_list
    from kinema.errors import AnnotationError

    whole = read_split(source)
    group_of = source_video_of if by is None else group_by_pattern(by)
    train, val = split_by_group(whole.annotations, share, seed, group_of=group_of)
    if not len(val):
        raise AnnotationError(f"{source}: no class has clips of two groups, so none can be held out")
    for name in ("train", "val"):
        for file in out.glob(f"{name}.*"):
            raise AnnotationError(f"{file}: is there already: name another folder, or remove it")
    written = [
        write_list(out / f"{name}.txt", clips, whole.video_root) for name, clips in (("train", train), ("val", val))
    ]
    names = whole.annotations.class_names
    if names:
        (out / "classes.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    facts = [
        {"list": str(file), "clips": len(clips), "groups": len(set(map(group_of, clips.paths)))}
        for file, clips in zip(written, (train, val), strict=True)
    ]
    if as_json:
        print_json({"train": facts[0], "val": facts[1], "seed": seed})
    else:
        print_table(
            "",
            ["list", "clips", "source videos" if by is None else "groups"],
            [[str(v) for v in one.values()] for one in facts],
        )
