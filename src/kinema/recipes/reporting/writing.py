"""From models and clips to a report."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinema.datasets.annotations import Split
from kinema.inference import VideoRecognizer, load
from kinema.recipes.evaluation import evaluation_clips
from kinema.recipes.reporting import scores, sections, several_labels
from kinema.recipes.reporting.clips import SHOWN_CLIPS
from kinema.recipes.reporting.measuring import measure
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
    out: str | os.PathLike | None = None,
    columns: Mapping[str, str] | None = None,
    config: str | os.PathLike | Mapping[str, Any] | None = None,
    device: str = "auto",
    batch_size: int | None = None,
    workers: int | None = None,
    shown_clips: int = SHOWN_CLIPS,
) -> ModelReport:
    """Measure a model on labelled clips, and write what there is to know of it into one HTML file.

    Args:
        model: what `kinema.load` takes.
        data: labelled clips, as `kinema test` takes them; default: those that the model's run
            validated on.
        out: the file; default: `report.html` in the work folder, or here where there is none.
        columns: names of a table's columns where they cannot be found out.
        config: the config of a checkpoint that does not tell its own.
        device: "auto", "cpu", "cuda", ...
        batch_size: clips a step.
        workers: processes that read clips.
        shown_clips: clips of a group of those that are shown.

    Raises:
        AnnotationError: the clips are missing or wrong.
        CheckpointError: there is no such model.
        VideoError: none of the clips can be read.
    """
    recognizer = load(model, config=config, device=device)
    run = run_files(recognizer.name)
    split = clips_of_run(run, "val") if data is None else evaluation_clips(Path(data), recognizer.classes, columns)
    path = Path(out) if out is not None else (run.folder or Path()) / "report.html"
    return write_model_report(
        path, recognizer, split, run, batch_size=batch_size, workers=workers, shown_clips=shown_clips
    )


def write_model_report(
    path: Path,
    recognizer: VideoRecognizer,
    split: Split,
    run: RunFiles,
    *,
    title: str = "",
    tiles: Sequence[Tile] = (),
    shown_clips: int = SHOWN_CLIPS,
    **settings: Any,
) -> ModelReport:
    """Measure a model that is loaded, and write its report.

    Args:
        path: the HTML file.
        recognizer: the model.
        split: labelled clips.
        run: the files of its run.
        title: heading; default: the name of the work folder.
        tiles: further figures for the top of the page.
        shown_clips: see `report_models`.
        settings: of `measure`.
    """
    name = run.folder.resolve().name if run.folder is not None else Path(recognizer.name).name
    logger.info("measuring %s on %d clips of %s", name, len(split.annotations), split.path)
    measured = measure(recognizer, split, name=name, **settings)
    train = training_clips(run)
    several = measured.is_multi_label
    figures = several_labels.figures_of(measured) if several else sections.figures_of(measured, train)
    shown = several_labels.tiles_of(measured, figures) if several else sections.tiles_of(measured, figures)
    found = scores.reliability(measured, recognizer.temperature)
    figures |= scores.calibration_figures(found)
    logger.info("writing %s", path)
    thresholds = recognizer.thresholds
    parts = [
        sections.summary_section(measured, run, figures, [shown[0], *tiles, *shown[1:]], model=_described(recognizer)),
        sections.curves_section({name: run}),
        several_labels.class_section(measured, thresholds) if several else sections.class_section(measured),
        None if several else sections.confusion_section(measured),
        scores.calibration_section(measured, found),
        scores.threshold_section(measured, thresholds),
        sections.clips_section(measured, shown_clips),
        sections.data_section(measured, train),
        sections.settings_section(run),
    ]
    write_report(
        path,
        title=title or f"{name}: {shown[0].name} {shown[0].value}",
        note=f"{recognizer.name}, measured on {split.path}",
        sections=[part for part in parts if isinstance(part, Section)],
    )
    return ModelReport(path, {"model": recognizer.name, "data": str(split.path), **figures})


def _described(recognizer: VideoRecognizer) -> str:
    """Name and size of a model."""
    count = sum(parameter.numel() for parameter in recognizer.model.parameters())
    name = recognizer.contract.zoo_name if recognizer.contract is not None else None
    backbone = type(getattr(recognizer.model, "backbone", recognizer.model)).__name__
    return f"{name or backbone}, {count:,} parameters"
