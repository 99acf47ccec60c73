"""`kinema data`: look at a data set's videos, and make them ready for training."""

import typer

from kinema.cli.data.browse import browse
from kinema.cli.data.check import check
from kinema.cli.data.import_annotations import import_annotations
from kinema.cli.data.info import info
from kinema.cli.data.prepare import prepare
from kinema.cli.data.shard import shard
from kinema.cli.data.split import split

data = typer.Typer(
    name="data",
    help="Check, describe, show, prepare, split, pack and import the videos and labels of a data set.",
    no_args_is_help=True,
)
for command in (check, info, browse, prepare, split, shard):
    data.command()(command)
data.command("import")(import_annotations)

__all__ = ["data"]
