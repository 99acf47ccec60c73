"""What `kinema train` prints when it has ended."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kinema.cli.output import print_line, print_table


def with_interval(figure: Mapping[str, Any]) -> str:
    """Such as "87.5 % of 24 clips (95 %: 69.0 to 95.7 %)"."""
    text = f"{100 * figure['value']:.1f} %"
    if "num_clips" in figure:
        text += f" of {figure['num_clips']} clips"
    if figure.get("num_sources", figure.get("num_clips")) != figure.get("num_clips"):
        text += f" of {figure['num_sources']} source videos"
    if figure.get("interval"):
        low, high = figure["interval"]
        text += f", 95 % sure: {100 * low:.1f} to {100 * high:.1f} %"
    return text


def _figure_row(which: str, figure: Mapping[str, Any]) -> list[str]:
    epoch = f"epoch {figure['epoch']}"
    if "interval" not in figure:
        return [f"{which} {figure['metric']}", f"{figure['value']:.4f} ({epoch})"]
    return [f"{which} {figure['metric']}", f"{with_interval(figure)} ({epoch})"]


def print_summary(summary: dict[str, Any], work_dir: Path) -> None:
    """Print the figures of a run, from its `summary.json`."""
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
    print_line(f"try it:  kinema predict {shlex.quote(str(work_dir))} VIDEO...")
