"""`kinema data shard`: videos into tar files, for sets that lie on object stores or have very many files."""

from pathlib import Path
from typing import Annotated

import typer

from kinema.cli.options import ColumnsOption, Json, parsed_columns
from kinema.cli.output import print_json, print_table


def shard(
    source: Annotated[
        Path, typer.Argument(help="Annotations of any format, or a folder of class folders.", metavar="SRC")
    ],
    target: Annotated[
        Path,
        typer.Argument(help="Folder for the tar files; with a validation part, train/ and val/ in it.", metavar="DST"),
    ],
    val: Annotated[
        Path | None, typer.Option(help="List or folder of validation clips; default: found beside SRC.")
    ] = None,
    megabytes: Annotated[int, typer.Option(help="Size at which a next file is begun.", min=1)] = 1000,
    shuffle_seed: Annotated[
        int | None, typer.Option(help="Mix the clips, for readers that go through the files in order.", min=0)
    ] = None,
    columns: ColumnsOption = None,
    as_json: Json = False,
) -> None:
    """Pack videos and labels into tar files of the WebDataset layout, with an index that finds each clip."""
    from kinema.datasets import VideoDataset, write_shards
    from kinema.datasets.annotations import find_splits

    train, held = find_splits(source, val, parsed_columns(columns))
    parts = {target: train} if held is None else {target / "train": train, target / "val": held}
    summaries = []
    for folder, part in parts.items():
        several = bool((part.annotations.labels.counts() > 1).any())
        names = list(train.annotations.class_names)
        count = len(names) or 1 + int(part.annotations.labels.values.max(initial=0))
        dataset = VideoDataset(
            **part.dataset_config(),
            multi_class=several,
            num_classes=count if several else None,
            metainfo={"classes": names} if names else None,
            test_mode=True,
        )
        summaries.append(write_shards(dataset, folder, shard_bytes=megabytes * 10**6, shuffle_seed=shuffle_seed))
    if as_json:
        keys = ("num_shards", "num_clips", "num_bytes")
        print_json(
            [{"folder": str(summary.folder), **{key: getattr(summary, key) for key in keys}} for summary in summaries]
        )
    else:
        rows = [
            [str(summary.folder), str(summary.num_shards), str(summary.num_clips), f"{summary.num_bytes / 1e6:.1f}"]
            for summary in summaries
        ]
        print_table("", ["folder", "files", "clips", "MB"], rows)
