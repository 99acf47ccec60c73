"""From models and clips to a report."""

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kinema.datasets.annotations import Split
from kinema.inference import VideoRecognizer, load
from kinema.inference.loading import require_checkpoint
from kinema.recipes.evaluation import evaluation_clips
from kinema.recipes.reporting import scores, sections, several_labels
from kinema.recipes.reporting.clips import SHOWN_CLIPS
from kinema.recipes.reporting.comparing import Rated, comparison_section, paired, with_classes_of
from kinema.recipes.reporting.looking import SHOWN_LOOKS, looked_section
from kinema.recipes.reporting.measuring import Measured, measure
from kinema.recipes.reporting.motion_part import measure_motion, motion_section
from kinema.recipes.reporting.run_files import RunFiles, clips_of_run, run_files, training_clips
from kinema.report.page import Section, Tile, write_report

logger = logging.getLogger("kinema")


@dataclass(frozen=True)
class ModelReport:
    """A report that was written.

    Attributes:
        path: the HTML file.
        figures: what it shows, as JSON holds it.
    """

    path: Path
    figures: Mapping[str, Any]


def report_models(
    model: str | os.PathLike,
    data: str | os.PathLike | None = None,
    *,
    compare: Sequence[str | os.PathLike] = (),
    out: str | os.PathLike | None = None,
    columns: Mapping[str, str] | None = None,
    config: str | os.PathLike | Mapping[str, Any] | None = None,
    device: str = "auto",
    batch_size: int | None = None,
    workers: int | None = None,
    shown_clips: int = SHOWN_CLIPS,
    quick: bool = False,
) -> ModelReport:
    """Measure a model on labelled clips, and write what there is to know of it into one HTML file.

    Args:
        model: what `kinema.load` takes.
        data: labelled clips, as `kinema test` takes them; default: those that the model's run
            validated on.
        compare: further models, which are measured on the same clips and set beside the first.
        out: the file; default: `report.html` in the work folder, or here where there is none.
        columns: names of a table's columns where they cannot be found out.
        config: the config of a checkpoint that has none.
        device: "auto", "cpu", "cuda", ...
        batch_size: clips a step.
        workers: processes that read clips.
        shown_clips: clips of a group of those that are shown.
        quick: leave out what runs the model again: motion and attention.

    Raises:
        AnnotationError: the clips are missing or wrong.
        CheckpointError: there is no such model.
        ConfigError: a model to compare knows other classes.
        VideoError: none of the clips can be read.
    """
    for other in compare:  # a name that is wrong costs no measuring
        require_checkpoint(other)
    recognizer = load(model, config=config, device=device)
    run = run_files(recognizer.name)
    if data is None:
        split = clips_of_run(run, "val")
    else:
        several = recognizer.is_multi_label
        split = evaluation_clips(Path(data), recognizer.classes, columns, multi_label=several)
    path = Path(out) if out is not None else (run.folder or Path()) / "report.html"
    others = (load(other, device=device) for other in compare)
    return write_model_report(
        path,
        recognizer,
        split,
        run,
        others=others,
        shown_clips=shown_clips,
        quick=quick,
        batch_size=batch_size,
        workers=workers,
    )


def write_model_report(
    path: Path,
    recognizer: VideoRecognizer,
    split: Split,
    run: RunFiles,
    *,
    others: Iterable[VideoRecognizer] = (),
    title: str = "",
    shown_clips: int = SHOWN_CLIPS,
    quick: bool = False,
    **settings: Any,
) -> ModelReport:
    """Measure a model that is loaded, and write its report.

    Args:
        path: the HTML file.
        recognizer: the model.
        split: labelled clips.
        run: the files of its run.
        others: models to compare; one at a time is taken.
        title: heading; default: the name of the work folder.
        shown_clips: see `report_models`.
        quick: see there.
        settings: `batch_size` and `workers` of `evaluate`.
    """
    train = training_clips(run)
    first, reliability = _rated(recognizer, split, run, train, (), settings)
    rated = [first]
    for other in others:
        its_run = run_files(other.name)
        names = [model.name for model in rated]
        rated.append(_rated(other, split, its_run, training_clips(its_run), names, settings, like=first.measured)[0])
    measured, figures, several = first.measured, first.figures, first.measured.is_multi_label
    shown = several_labels.tiles_of(measured, figures) if several else sections.tiles_of(measured, figures)
    motion = None
    if not (quick or several):
        logger.info("measuring how much of it is motion")
        motion = measure_motion(recognizer, measured, **settings)
        shown.insert(1, Tile("with one frame repeated", f"{motion.one_frame.value:.1%}", "the same clips, no motion"))
    logger.info("writing %s", path)
    thresholds = recognizer.thresholds
    parts = [
        sections.summary_section(measured, run, figures, shown, model=_described(recognizer)),
        comparison_section(rated, shown_clips) if len(rated) > 1 else None,
        sections.curves_section({model.name: model.run for model in rated}),
        several_labels.class_section(measured, thresholds) if several else sections.class_section(measured),
        None if several else sections.confusion_section(measured),
        scores.calibration_section(measured, reliability),
        scores.threshold_section(measured, thresholds),
        sections.clips_section(measured, shown_clips),
        None if quick else looked_section(recognizer, measured, min(shown_clips, SHOWN_LOOKS)),
        None if motion is None else motion_section(motion),
        sections.data_section(measured, {model.name: training_clips(model.run) for model in rated}),
        sections.settings_section(run),
    ]
    write_report(
        path,
        title=title or f"{first.name}: {shown[0].name} {shown[0].value}",
        note=f"{recognizer.name}, measured on {split.path}",
        sections=[part for part in parts if isinstance(part, Section)],
    )
    value = {"model": recognizer.name, "data": str(split.path), **figures}
    if motion is not None:
        value["motion"] = motion.to_dict()
    if len(rated) > 1:
        value["compared"] = [
            {"model": model.name, **model.figures, **({} if several else {"paired": asdict(paired(first, model))})}
            for model in rated[1:]
        ]
    return ModelReport(path, value)


def _rated(
    recognizer: VideoRecognizer,
    split: Split,
    run: RunFiles,
    train: Split | None,
    taken: Sequence[str],
    settings: Mapping[str, Any],
    like: Measured | None = None,
) -> tuple[Rated, scores.Reliability]:
    """Measure a model; `taken` are names of others, `like` is the model whose classes it is to have."""
    name = run.folder.resolve().name if run.folder is not None else Path(recognizer.name).name
    if name in taken:
        name = f"{name} ({len(taken) + 1})"
    logger.info("measuring %s on %d clips of %s", name, len(split.annotations), split.path)
    measured = measure(recognizer, split, name=name, **settings)
    if like is not None:
        measured = with_classes_of(like, measured)
    reliability = scores.reliability(measured, recognizer.temperature)
    several = measured.is_multi_label
    figures = several_labels.figures_of(measured) if several else sections.figures_of(measured, train)
    size = sum(parameter.numel() for parameter in recognizer.model.parameters())
    return Rated(name, measured, {**figures, **scores.calibration_figures(reliability)}, run, size), reliability


def _described(recognizer: VideoRecognizer) -> str:
    """Name and size of a model."""
    count = sum(parameter.numel() for parameter in recognizer.model.parameters())
    name = recognizer.contract.zoo_name if recognizer.contract is not None else None
    backbone = type(getattr(recognizer.model, "backbone", recognizer.model)).__name__
    return f"{name or backbone}, {count:,} parameters"
