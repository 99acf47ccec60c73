"""What `kinema train` prints when it has ended."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinema.cli.output import print_line, print_table
from kinema.printable import plural

if TYPE_CHECKING:
    from kinema.recipes.results import ClassFigures, Results

MOST_CLASSES = 20  # of more, the least recognized are shown


def with_interval(figure: Mapping[str, Any]) -> str:
    """Such as "87.5 % of 24 clips (95 %: 69.0 to 95.7 %)"."""
    text = f"{100 * figure['value']:.1f} %"
    if "num_clips" in figure:
        text += f" of {plural(figure['num_clips'], 'clip')}"
    if figure.get("num_sources", figure.get("num_clips")) != figure.get("num_clips"):
        text += f" of {plural(figure['num_sources'], 'source video')}"
    if figure.get("interval"):
        low, high = figure["interval"]
        text += f", 95 % sure: {100 * low:.1f} to {100 * high:.1f} %"
    return text


def print_summary(summary: Mapping[str, Any], work_dir: Path, results: "Results | None") -> None:
    """Print the figures of a run, from its `summary.json`, and what its best checkpoint reaches."""
    rows = [["epochs", str(summary["epochs"])], ["training time", f"{summary['train_seconds']:.0f} s"]]
    best, final = summary["best"], summary.get("final")
    if best:
        rows.insert(0, _figure_row("best", best))
    if final and final["epoch"] != best["epoch"]:
        rows.insert(1, _figure_row("last", final))
    if "top1_acc" in summary.get("train", {}):
        rows.append(["acc/top1 of training clips", f"{summary['train']['top1_acc']:.1%} (epoch {summary['epochs']})"])
    listed = work_dir / "broken.jsonl"
    if listed.is_file():
        rows.append(["broken videos", f"{len(listed.read_text(encoding='utf-8').splitlines())} ({listed})"])
    print_table(f"Trained in {work_dir}", ["", ""], rows)
    if results is None:
        return
    _print_classes(results)
    for pair in results.confusions:
        print_line(f"{pair.label} taken for {pair.predicted}: {pair.clips} of {pair.of}")
    if results.calibration_error is not None:
        before, after = results.calibration_error
        print_line(
            f"calibrated: the scores are off by {before:.1%} on average before, {after:.1%} after (temperature"
            f" {results.temperature:.2f}, in the checkpoint)"
        )
    print_line("next:")
    for command in results.commands:
        print_line(f"  {command}")


def _figure_row(which: str, figure: Mapping[str, Any]) -> list[str]:
    epoch = f"epoch {figure['epoch']}"
    if figure["metric"] == "acc/mean_average_precision" and "interval" in figure:
        low, high = figure["interval"]
        on = f"on {plural(figure['num_clips'], 'clip')}, 95 % sure: {low:.2f} to {high:.2f}"
        return [f"{which} {figure['metric']}", f"{figure['value']:.3f} {on} ({epoch})"]
    if "interval" not in figure:
        return [f"{which} {figure['metric']}", f"{figure['value']:.4f} ({epoch})"]
    return [f"{which} {figure['metric']}", f"{with_interval(figure)} ({epoch})"]


def _print_classes(results: "Results") -> None:
    classes = list(results.classes)
    title = f"Classes on the validation clips, by the best checkpoint, {results.checkpoint}"
    if len(classes) > MOST_CLASSES:
        classes = sorted((figures for figures in classes if figures.clips), key=_how_well)[:MOST_CLASSES]
        title += f": the {MOST_CLASSES} least recognized of {len(results.classes)}"
    several = results.metric != "acc/top1"
    rows = [
        [
            figures.name,
            str(figures.clips),
            str(figures.right),
            _share(figures.recall),
            *([_share(figures.average_precision)] if several else [_ends(figures.recall_interval)]),
            _share(figures.precision),
            "-" if figures.threshold is None else f"{figures.threshold:.2f}",
        ]
        for figures in classes
    ]
    third = "average precision" if several else "95 % sure"
    print_table(title, ["class", "clips", "right", "recall", third, "precision", "threshold"], rows)


def _how_well(figures: "ClassFigures") -> float:
    return figures.average_precision if figures.average_precision is not None else figures.recall or 0.0


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f} %"


def _ends(ends: tuple[float, float] | None) -> str:
    return "-" if ends is None else f"{100 * ends[0]:.0f} to {100 * ends[1]:.0f} %"
