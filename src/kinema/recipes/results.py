"""What a finished training reached: classes with intervals, the confusions that matter, thresholds, next steps."""

import json
import logging
import math
import os
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kinema.distributed import is_main_process
from kinema.errors import KinemaError
from kinema.evaluation.class_intervals import class_intervals
from kinema.evaluation.classes import class_results, worst_confusions
from kinema.evaluation.functional import confusion_matrix, mean_average_precision
from kinema.evaluation.intervals import accuracy_interval, precision_interval
from kinema.files import write_text
from kinema.inference import find_checkpoint, load
from kinema.recipes.reporting.run_files import clips_of_run, run_files
from kinema.recipes.tuning import LabelledScores, Tuning, choose, measured_scores, write_tuning
from kinema.runs.settings_file import read_settings

logger = logging.getLogger("kinema")

MOST_CONFUSIONS = 5
LEAST_SHARE = 0.1  # of a class's clips, for a confusion to matter


@dataclass(frozen=True)
class ClassFigures:
    """How well a class is recognized; a figure that is not defined is None.

    Attributes:
        name: of the class.
        clips: validation clips of it.
        right: of these, those recognized; where a clip may have several labels, those above the
            threshold.
        precision: share of what is taken for it that is right.
        recall: share of `clips` that is recognized.
        recall_interval: where the recall on other clips may lie, 95 %; None with several labels a
            clip.
        average_precision: with several labels a clip.
        threshold: from which score on the class is said to be there.
    """

    name: str
    clips: int
    right: int
    precision: float | None
    recall: float | None
    recall_interval: tuple[float, float] | None
    average_precision: float | None
    threshold: float | None


@dataclass(frozen=True)
class ConfusedPair:
    """Clips of a class that are taken for another: `clips` of `of`."""

    label: str
    predicted: str
    clips: int
    of: int


@dataclass(frozen=True)
class Results:
    """What the best checkpoint of a run reaches on its validation clips.

    Attributes:
        checkpoint: its name.
        metric: what `value` is.
        value: over the clips that could be read.
        interval: 95 %, by source video.
        num_clips: clips measured.
        num_sources: source videos among them.
        failed: clips that could not be read.
        classes: in the order of the labels.
        confusions: those that matter, the most frequent first.
        temperature: what the scores are calibrated by; None: nothing.
        calibration_error: before and after; None where nothing was fitted.
        commands: what to do next, as a shell takes it.
    """

    checkpoint: str
    metric: str
    value: float
    interval: tuple[float, float]
    num_clips: int
    num_sources: int
    failed: int
    classes: tuple[ClassFigures, ...]
    confusions: tuple[ConfusedPair, ...]
    temperature: float | None
    calibration_error: tuple[float, float] | None
    commands: tuple[str, ...]


def results_of(work_dir: str | os.PathLike, *, workers: int | None = None, device: str = "auto") -> Results | None:
    """Measure the best checkpoint of a finished run once, and tune it: thresholds and temperature go into it.

    The training is done, so nothing here is an error: what cannot be measured is logged. On several
    processes all of them call it; the main one writes.

    Args:
        work_dir: of the run.
        workers: processes that read clips; default one a core, at most 8.
        device: "auto", "cpu", "cuda", ...

    Returns:
        The results, which are in `summary.json` then; None: the run has no validation clips, or no
        checkpoint that can be measured.
    """
    folder = Path(work_dir)
    if not (read_settings(folder) or {}).get("val_dataloader"):
        return None
    try:
        checkpoint = find_checkpoint(folder)
        recognizer = load(checkpoint, device=device)
        scores = measured_scores(recognizer, checkpoint, None, workers=workers)
    except KinemaError as error:
        logger.warning("the best checkpoint is not measured again: %s", error)
        return None
    tuning: Tuning | None = None
    try:
        tuning = choose(recognizer, checkpoint, scores)
        if is_main_process():
            write_tuning(tuning)
    except KinemaError as error:
        logger.warning("no thresholds: %s", error)
    names = recognizer.classes or tuple(map(str, range(scores.scores.shape[1])))
    results = summarize(scores, names, tuning, checkpoint=checkpoint.name, commands=next_commands(folder))
    if is_main_process():
        _add_to_summary(folder / "summary.json", results)
    return results


def summarize(
    scores: LabelledScores,
    names: tuple[str, ...],
    tuning: Tuning | None = None,
    *,
    checkpoint: str = "",
    commands: tuple[str, ...] = (),
) -> Results:
    """The figures of labelled scores.

    Args:
        scores: of the validation clips.
        names: of the classes.
        tuning: thresholds and temperature; None: there are none.
        checkpoint: name of what gave the scores.
        commands: what to do next.
    """
    fit = None if tuning is None or tuning.note else tuning.calibration
    several = scores.labels.ndim == 2
    figures = _several(scores, names, tuning) if several else _single(scores, names, tuning)
    return Results(
        checkpoint=checkpoint,
        **figures,
        num_clips=len(scores.scores),
        num_sources=len(set(scores.sources)),
        failed=scores.failed,
        temperature=None if tuning is None else tuning.temperature,
        calibration_error=None if fit is None else (fit.ece_before, fit.ece_after),
        commands=commands,
    )


def _single(scores: LabelledScores, names: tuple[str, ...], tuning: Tuning | None) -> dict[str, Any]:
    predicted = scores.scores.argmax(axis=1)
    whole = accuracy_interval(predicted == scores.labels, scores.sources)
    matrix = confusion_matrix(predicted, scores.labels, num_classes=len(names))
    intervals = class_intervals(predicted, scores.labels, scores.sources, len(names))
    thresholds = {} if tuning is None else tuning.thresholds
    classes = tuple(
        ClassFigures(
            *(name, result.clips, result.right, _defined(result.precision), _defined(result.recall)),
            recall_interval=interval.recall,
            average_precision=None,
            threshold=thresholds.get(name),
        )
        for name, result, interval in zip(names, class_results(matrix), intervals, strict=True)
    )
    sizes = matrix.sum(axis=1)
    confusions = tuple(
        ConfusedPair(names[pair.label], names[pair.predicted], pair.clips, int(sizes[pair.label]))
        for pair in worst_confusions(matrix, MOST_CONFUSIONS)
        if pair.clips >= LEAST_SHARE * sizes[pair.label]
    )
    return {
        "metric": "acc/top1",
        "value": whole.value,
        "interval": (whole.low, whole.high),
        "classes": classes,
        "confusions": confusions,
    }


def _several(scores: LabelledScores, names: tuple[str, ...], tuning: Tuning | None) -> dict[str, Any]:
    by_name = {} if tuning is None else {tuned.name: tuned for tuned in tuning.classes}
    classes = []
    for place, name in enumerate(names):
        tuned, count = by_name.get(name), int(scores.labels[:, place].sum())
        recall = None if tuned is None else _defined(tuned.recall)
        precision = mean_average_precision(scores.scores[:, [place]], scores.labels[:, [place]])
        classes.append(
            ClassFigures(
                *(name, count, round((recall or 0.0) * count)),
                *(None if tuned is None else _defined(tuned.precision), recall),
                recall_interval=None,
                average_precision=_defined(precision),
                threshold=None if tuned is None else tuned.threshold,
            )
        )
    return {
        "metric": "acc/mean_average_precision",
        "value": mean_average_precision(scores.scores, scores.labels),
        "interval": precision_interval(scores.scores, scores.labels, scores.sources),
        "classes": tuple(classes),
        "confusions": (),
    }


def _defined(figure: float) -> float | None:
    return None if math.isnan(figure) else float(figure)


def next_commands(work_dir: Path) -> tuple[str, ...]:
    """What to do with a trained model, with the path of a clip that is there."""
    video = "VIDEO"
    try:
        split = clips_of_run(run_files(os.fspath(find_checkpoint(work_dir))), "val")
        if split.shards is None:
            path = (split.video_root / split.annotations.paths[0]).absolute()
            here = Path.cwd()
            video = shlex.quote(os.fspath(path.relative_to(here) if path.is_relative_to(here) else path))
    except (KinemaError, OSError) as error:
        logger.debug("no clip for the next commands: %s", error)
    folder = shlex.quote(os.fspath(work_dir))
    return (
        f"kinema predict {folder} {video}",
        f"kinema timeline {folder} LONG_VIDEO",
        f"kinema report {folder}",
    )


def _add_to_summary(file: Path, results: Results) -> None:
    try:
        summary = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        logger.warning("%s: the results are not added: %s", file, error)
        return
    write_text(file, json.dumps({**summary, "results": asdict(results)}, indent=2) + "\n")
