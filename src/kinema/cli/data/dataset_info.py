"""What `kinema data info` says of a whole data set."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from kinema.cli.output import can_show, print_json, print_line, print_table

if TYPE_CHECKING:
    from kinema.datasets.inspection.survey import DatasetSurvey, PartSurvey, Spread

MOST_CLASSES = 40  # of more, the largest and the smallest are shown
BAR_WIDTH = 30


def show_dataset(
    path: Path,
    val: Path | None,
    *,
    plot: Path | None,
    num_probed: int,
    as_json: bool,
    pictures: bool,
    columns: Mapping[str, str] | None = None,
) -> None:
    """Survey a data set, print what was found, and draw its classes into `plot`."""
    from kinema.datasets.inspection.survey import survey_dataset

    survey = survey_dataset(path, val, num_probed=num_probed, columns=columns, pictures=pictures)
    if plot is not None and survey.classes:
        from kinema.report.class_histogram import draw_class_histogram

        plot.parent.mkdir(parents=True, exist_ok=True)
        draw_class_histogram(plot, survey.classes, survey.counts)
    if as_json:
        print_json(asdict(survey))
        return
    print_line(survey.layout)
    for note in survey.notes:
        print_line(note)
    for part in survey.parts:
        print_table(f"{part.name}: {part.source}", ["", ""], _part_rows(part))
    if survey.classes:
        _print_classes(survey)
    if not survey.problems:
        print_line("no problems found")
    for problem in survey.problems:
        print_line(f"* {problem.message}")
        for example in problem.examples:
            print_line(f"    {example}")
        if problem.examples and problem.count > len(problem.examples):
            print_line(f"    ... and {problem.count - len(problem.examples)} more")
    if plot is not None and survey.classes:
        print_line(f"class histogram: {plot}")


def _part_rows(part: "PartSurvey") -> list[list[str]]:
    rows = [["format", part.format], ["videos in", part.video_root], ["clips", f"{part.num_clips:,}"]]
    if part.num_videos != part.num_clips:
        rows.append(["different files", f"{part.num_videos:,}"])
    if part.labels_per_clip not in (0.0, 1.0):
        rows.append(["labels a clip", f"{part.labels_per_clip:.2f} on average"])
    rows.append(["size", f"{part.num_bytes / 1e6:,.1f} MB"])
    for name, spread, unit in (
        ("duration", part.duration_seconds, " s"),
        ("frame rate", part.fps, " a second"),
        ("short side", part.short_side, " pixels"),
    ):
        if spread is not None:
            rows.append([name, _spread_text(spread) + unit])
    if 0 < part.num_probed < part.num_videos:
        rows.append(["", f"(of {part.num_probed} videos, evenly spread)"])
    return rows + [["", note] for note in part.notes]


def _spread_text(spread: "Spread") -> str:
    least, middle, greatest = (f"{figure:.4g}" for figure in (spread.least, spread.middle, spread.greatest))
    return middle if least == greatest else f"{least} to {greatest}, middle {middle}"


def _print_classes(survey: "DatasetSurvey") -> None:
    totals = [sum(numbers) for numbers in zip(*survey.counts.values(), strict=True)]
    order = sorted(range(len(totals)), key=lambda index: -totals[index])
    shown = order if len(order) <= MOST_CLASSES else [*order[: MOST_CLASSES // 2], *order[-MOST_CLASSES // 2 :]]
    longest = max(totals, default=0) or 1
    bar = "█" if can_show("█") else "#"
    rows = [
        [
            survey.classes[index],
            *(str(numbers[index]) for numbers in survey.counts.values()),
            bar * round(BAR_WIDTH * totals[index] / longest),
        ]
        for index in shown
    ]
    title = f"{len(order)} classes" + ("" if len(shown) == len(order) else ", the largest and the smallest")
    print_table(title, ["class", *survey.counts, " "], rows)
