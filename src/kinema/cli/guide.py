"""How a guide to a training is shown: what the data holds, what was chosen, what it will take, what to mind."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kinema.cli.dry_run import duration_in_words, size_in_words
from kinema.cli.output import print_line, print_note, print_table
from kinema.printable import plural

if TYPE_CHECKING:
    from kinema.datasets.inspection.survey import DatasetSurvey, Spread
    from kinema.recipes.guidance import Guide
    from kinema.recipes.trial import Trial

MOST_CLASSES = 8  # of more, the largest and the smallest are shown


def show_guide(guide: "Guide", *, to_stderr: bool) -> None:
    """Print what is known before a training: its data, its plan, the estimate of a trial, its warnings."""
    rows = [*_rows_of_data(guide), *_rows_of_plan(guide), *_rows_of_trial(guide.trial, guide.plan.get("folds") or 1)]
    print_table("Before training", ["", ""], rows, to_stderr=to_stderr)
    write = print_note if to_stderr else print_line
    for sentence in guide.warnings:
        write(f"* {sentence}")
    if not guide.warnings:
        write("nothing to warn of")


def _rows_of_data(guide: "Guide") -> list[list[str]]:
    survey = guide.survey
    rows = [["data", survey.layout], ["classes", _classes(survey)]]
    parts = survey.parts
    for name, attribute, unit in (
        ("length", "duration_seconds", "s"),
        ("frame rate", "fps", "a second"),
        ("short side", "short_side", "pixels"),
    ):
        spreads = [getattr(part, attribute) for part in parts]
        if all(spread is not None for spread in spreads):
            rows.append([name, f"{_joined(spreads)} {unit}"])
    size = sum(part.num_bytes for part in parts)
    files = sum(part.num_videos for part in parts)
    looked_at = sum(part.num_probed for part in parts)
    rows.append(["files", f"{files:,}, {size_in_words(size)}; {looked_at:,} of them opened"])
    counts = " + ".join(f"{part.num_clips:,} ({part.name})" for part in parts)
    rows.append(["split", f"{counts}: {guide.split}"])
    return rows


def _classes(survey: "DatasetSurvey") -> str:
    """Clips of each class, of many the largest and the smallest."""
    totals = [sum(numbers) for numbers in zip(*survey.counts.values(), strict=True)]
    order = sorted(range(len(totals)), key=lambda index: -totals[index])
    shown = [f"{survey.classes[index]} {totals[index]:,}" for index in order]
    if len(shown) > MOST_CLASSES:
        shown = [*shown[: MOST_CLASSES // 2], "...", *shown[-MOST_CLASSES // 2 :]]
    return f"{len(totals):,}: {', '.join(shown)}"


def _joined(spreads: "Sequence[Spread]") -> str:
    least, greatest = min(spread.least for spread in spreads), max(spread.greatest for spread in spreads)
    if least == greatest:
        return _rounded(least)
    return f"{_rounded(least)} to {_rounded(greatest)}, middle {_rounded(spreads[0].middle)}"


def _rounded(number: float) -> str:
    return f"{round(number, 1):g}"


def _rows_of_plan(guide: "Guide") -> list[list[str]]:
    plan = guide.plan
    rows = [["model", f"{plan['model']}: {plan['sees']}; {plan['frame']}"]]
    rows += [["", reason] for reason in plan.get("why", ())]
    rows.append(["training", _of_training(plan)])
    return rows


def _of_training(plan: dict) -> str:
    from kinema.distributed import get_world_size

    size, processes = plan["batch_size"], get_world_size()
    steps = plural(-(-plan["train_clips"] // (size * processes)), "step")
    clips = plural(size, "clip") if processes == 1 else f"{processes} x {plural(size, 'clip')}"
    text = f"at most {plural(plan['epochs'], 'epoch')} of {steps} of {clips}"
    if plan.get("folds"):
        text = f"{plan['folds']} times, each {text}"
    return "; ".join([text, *plan.get("options", ())])


def _rows_of_trial(trial: "Trial | None", folds: int) -> list[list[str]]:
    if trial is None:
        return []
    step = (
        f"a step computes for {_seconds(trial.step_seconds)} on {trial.device}; its clips are read in"
        f" {_seconds(trial.read_seconds)} by {_processes(trial.workers)}"
    )
    memory = f"{size_in_words(trial.memory_bytes)} for weights, optimizer and activations"
    if trial.available_bytes is not None:
        memory += f", of {size_in_words(trial.available_bytes)}"
    total = duration_in_words(folds * trial.total_seconds)
    return [
        ["estimate", f"{duration_in_words(trial.epoch_seconds)} an epoch, {total} at most"],
        ["", step],
        ["memory", memory],
    ]


def _seconds(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _processes(count: int) -> str:
    return "the same process" if not count else "one process" if count == 1 else f"{count} processes"
