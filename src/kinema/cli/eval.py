"""`kinema eval`: measure files of scores again, without the model, and fuse those of several models."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from kinema.cli.evaluation_tables import show_or_write
from kinema.cli.inputs import require_writable
from kinema.cli.options import Json
from kinema.cli.output import print_note


class SpacedWeights(TyperCommand):
    """A command whose `--weights 1 1 0.5` means `--weights 1,1,0.5`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if "--weights" in args:
            first = args.index("--weights") + 1
            stop = next((place for place in range(first, len(args)) if not _is_number(args[place])), len(args))
            args = [*args[:first], *([",".join(args[first:stop])] if stop > first else []), *args[stop:]]
        return super().parse_args(ctx, args)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def eval_scores(
    files: Annotated[
        list[str],
        typer.Argument(
            help="Files of scores that `kinema test --out` or OpenMMLab's DumpResults wrote; several are fused.",
            metavar="FILE...",
        ),
    ],
    weights: Annotated[
        str | None,
        typer.Option(help="One a file, such as 1 1 0.5; only their ratios count.", show_default="all the same"),
    ] = None,
    fuse: Annotated[
        str,
        typer.Option(
            help=(
                "How to fuse several files: mean, of their scores; softmax-mean, for scores that are no probabilities;"
                " geometric-mean, of probabilities."
            )
        ),
    ] = "mean",
    common: Annotated[
        bool, typer.Option("--common", help="Measure the clips that all files have; else a missing one is an error.")
    ] = False,
    metrics: Annotated[
        str | None,
        typer.Option(
            help="top_k_accuracy, mean_class_accuracy, mean_average_precision, ...; or your own registered ones.",
            metavar="NAME,...",
            show_default="as kinema test",
        ),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="Write a table of all clips, as `kinema test --csv` does.", metavar="FILE")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the scores, also the fused ones.", metavar="FILE")] = None,
    as_json: Json = False,
) -> None:
    """Show numbers, classes, confusions and wrong clips of scores that were written before.

    They are those of `kinema test`, bit for bit. Clips of several files are matched by their paths,
    and parts of videos by their times, not by their order.
    """
    require_writable(csv, "--csv")
    require_writable(out, "--out")
    shares = None if weights is None else _numbers(weights, files)
    from kinema.errors import DumpError
    from kinema.evaluation import dump_suffix, write_dump
    from kinema.evaluation.fusion import WAYS
    from kinema.logs import show_on_console
    from kinema.recipes.offline import evaluate_scores, fuse_dumps, read_scores

    show_on_console()
    if fuse not in WAYS:
        raise typer.BadParameter(f"expected one of {', '.join(WAYS)}, got {fuse!r}", param_hint="--fuse")
    if out is not None:
        dump_suffix(out)
    if len(files) == 1 and (shares is not None or common):
        raise DumpError(f"{files[0]}: --weights and --common fuse several files, but there is one")
    dump = read_scores(files[0]) if len(files) == 1 else fuse_dumps(files, shares, fuse, common=common)
    evaluation = evaluate_scores(dump, None if metrics is None else _metric_configs(metrics))
    if out is not None:
        write_dump(out, dump)
        print_note(f"scores of all clips: {out}")
    show_or_write(evaluation, csv, as_json=as_json)


def _numbers(text: str, files: list[str]) -> list[float]:
    """The value of `--weights`.

    Raises:
        BadParameter: it is no list of numbers of at least 0, one a file.
    """
    try:
        numbers = [float(part) for part in text.replace(",", " ").split()]
    except ValueError:
        numbers = []
    if not numbers or not all(0 <= number < float("inf") for number in numbers) or not any(numbers):
        raise typer.BadParameter(
            f"expected numbers of at least 0, not all 0, such as 1,1,0.5; got {text!r}", param_hint="--weights"
        )
    if len(numbers) != len(files):
        raise typer.BadParameter(
            f"expected one number a file, such as 1,1,0.5: got {len(numbers)} for {len(files)} files",
            param_hint="--weights",
        )
    return numbers


def _metric_configs(text: str) -> list[dict[str, object]]:
    """Configs of the metrics that `--metrics` names: those of `AccMetric`, else names of metrics."""
    from kinema.evaluation.metrics import ACCURACY_METRICS

    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise typer.BadParameter("expected names of metrics", param_hint="--metrics")
    own = [name for name in names if name in ACCURACY_METRICS]
    configs: list[dict[str, object]] = [{"type": name} for name in names if name not in own]
    return [{"type": "AccMetric", "metric_list": own}, *configs] if own else configs
