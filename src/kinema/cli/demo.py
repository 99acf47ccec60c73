"""`kinema demo`: the whole main job on made clips."""

from pathlib import Path
from typing import Annotated

import typer

from kinema.cli.options import Json, Seed
from kinema.cli.output import print_json, print_line, print_table


def demo(
    work_dir: Annotated[Path, typer.Option(help="Folder for all files.")] = Path("work/demo"),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Make clips of eight motions, train a small recognizer on them, evaluate it, and write a report."""
    from kinema.logs import show_on_console
    from kinema.recipes.demo import demo as run

    show_on_console()
    result = run(work_dir, seed=seed)
    if as_json:
        print_json(
            {
                "top1": result.top1,
                "top1_static": result.top1_static,
                "chance": result.chance,
                "train_seconds": result.train_seconds,
                "report": str(result.report),
            }
        )
        return
    print_table(
        "Unseen clips",
        ["", "top-1"],
        [
            ["the trained model", f"{result.top1:.1%}"],
            ["the same model, one frame of each clip repeated", f"{result.top1_static:.1%}"],
            ["chance", f"{result.chance:.1%}"],
        ],
    )
    print_table(
        "Predictions",
        ["clip", "is", "predicted", "score"],
        [
            [Path(prediction.path).name, truth, prediction.label, f"{prediction.score:.2f}"]
            for truth, prediction in result.predictions
        ],
    )
    print_line(f"trained in {result.train_seconds:.0f} s; report: {result.report}")
