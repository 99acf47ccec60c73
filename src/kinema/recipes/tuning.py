"""Thresholds and a temperature from labelled clips, written into the checkpoint: what `kinema tune` runs."""

import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from kinema.checkpoints.contract import CONFIG_FILE, ModelContract
from kinema.checkpoints.saving import rewrite_contract
from kinema.cores import default_readers
from kinema.datasets import ReproducibleLoader, build_dataloader
from kinema.datasets.annotations.grouping import source_video_of
from kinema.distributed import is_main_process
from kinema.errors import CheckpointError, DumpError, KinemaError
from kinema.evaluation import Evaluator, ScoreDump, evaluate_loader
from kinema.evaluation.calibration import FOLDS, Calibration, are_probabilities, calibrate, calibrated, fold_of
from kinema.evaluation.metrics import BaseMetric, DataSample, read_array
from kinema.evaluation.thresholds import ClassThreshold, class_thresholds
from kinema.inference import VideoRecognizer, find_checkpoint, load
from kinema.printable import plural
from kinema.recipes.evaluation import evaluate, evaluation_clips
from kinema.recipes.offline import read_scores
from kinema.runs.settings_file import read_run, read_settings

logger = logging.getLogger("kinema")

GOALS = "f1, or precision=P with P above 0 and at most 1, such as precision=0.9"


@dataclass(frozen=True, eq=False)
class LabelledScores:
    """Scores of labelled clips, B of them, N classes.

    Attributes:
        scores: (B, N) float32, without any temperature.
        labels: (B,) classes; where a clip may have several labels (B, N) of 0 and 1.
        sources: (B,) source video of each.
        data: what they are of, for people.
        failed: clips that could not be read.
    """

    scores: np.ndarray
    labels: np.ndarray
    sources: tuple[str, ...]
    data: str
    failed: int = 0


@dataclass(frozen=True, eq=False)
class Tuning:
    """What was chosen for a checkpoint.

    Attributes:
        checkpoint: its folder.
        goal: of the thresholds, "f1" or "precision=P".
        classes: one threshold a class, in the order of the classes, and what it does on the clips
            that it was chosen on.
        temperature: of the checkpoint from now on; None: scores stay as the head gives them.
        calibration: what a temperature does; None where none was asked for.
        note: why the temperature is not that of `calibration`; empty where it is.
        data: what the clips are of, for people.
        num_clips: clips that were measured.
        num_sources: source videos among them.
        failed: clips that could not be read.
    """

    checkpoint: Path
    goal: str
    classes: tuple[ClassThreshold, ...]
    temperature: float | None
    calibration: Calibration | None
    note: str
    data: str
    num_clips: int
    num_sources: int
    failed: int = 0

    @property
    def thresholds(self) -> dict[str, float]:
        """From which score on a class is there, by its name; without those that no clip has."""
        return {tuned.name: tuned.threshold for tuned in self.classes if tuned.threshold is not None}

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON holds it; a number that there is none of is null."""
        value = asdict(self) | {"checkpoint": os.fspath(self.checkpoint)}
        return {name: _plain(entry) for name, entry in value.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return None if isinstance(value, float) and value != value else value


def parse_goal(text: str) -> float | None:
    """`"f1"` -> None; `"precision=0.9"` -> 0.9.

    Raises:
        ValueError: it is neither.
    """
    if text == "f1":
        return None
    match = re.fullmatch(r"precision=([0-9]*\.?[0-9]+)", text)
    least = float(match[1]) if match else 0.0
    if not 0 < least <= 1:
        raise ValueError(f"the goal must be {GOALS}; got {text!r}")
    return least


def tune(
    checkpoint: str | os.PathLike,
    data: str | os.PathLike | None = None,
    *,
    goal: str = "f1",
    calibration: bool = True,
    columns: Mapping[str, str] | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    device: str = "auto",
) -> Tuning:
    """Choose a threshold for each class and a temperature, and write them into the checkpoint.

    The model sees each clip once. A tuned checkpoint still resumes its training.

    Args:
        checkpoint: what `kinema.inference.find_checkpoint` takes: a folder that Kinema wrote.
        data: labelled clips, as `kinema test` takes them; or a file of scores of this checkpoint
            that `kinema test --out` wrote. None: the validation clips of the run whose work folder
            holds the checkpoint.
        goal: "f1", or "precision=P": the lowest threshold with at least this precision.
        calibration: fit a temperature too; it is taken where it helps clips that it was not fitted
            to. Without it that of the checkpoint stays, if it has one.
        columns: names of a table's columns, see `kinema.recipes.classification`.
        batch_size: clips a step.
        workers: processes that read clips; default one a core, at most 8.
        device: "auto", "cpu", "cuda", ...

    Raises:
        ValueError: `goal` is none.
        CheckpointError: there is no such checkpoint, or its scores are no probabilities.
        AnnotationError, DumpError, VideoError: the clips or scores are missing or wrong.
    """
    parse_goal(goal)
    folder = find_checkpoint(checkpoint)
    recognizer = load(folder, device=device)
    if data is not None and is_score_file(Path(data)):
        scores = scores_of_dump(read_scores(data), recognizer)
    else:
        scores = measured_scores(recognizer, folder, data, columns, batch_size, workers)
    tuning = choose(recognizer, folder, scores, goal=goal, calibration=calibration)
    if is_main_process():
        write_tuning(tuning)
    return tuning


def tune_after_training(
    work_dir: str | os.PathLike,
    *,
    goal: str = "f1",
    calibration: bool = True,
    workers: int | None = None,
    device: str = "auto",
) -> Tuning | None:
    """Tune the best checkpoint of a finished run on the run's validation clips; what `kinema train` ends with.

    The training is done, so nothing here is an error: what cannot be tuned is logged. On several
    processes all of them call it; the main one writes.

    Args:
        work_dir: of the run.
        goal: see `tune`.
        calibration: see `tune`.
        workers: see `tune`.
        device: see `tune`.

    Returns:
        What was chosen and written; None where nothing was: the run has no validation clips or no
        checkpoint that can be loaded.
    """
    settings = read_settings(Path(work_dir)) or {}
    if not settings.get("val_dataloader"):
        logger.info("no thresholds: the run has no validation clips")
        return None
    try:
        return tune(work_dir, goal=goal, calibration=calibration, workers=workers, device=device)
    except KinemaError as error:
        logger.warning("no thresholds: %s", error)
        return None


def write_tuning(tuning: Tuning) -> None:
    """Write thresholds and temperature into the checkpoint's `config.json`; the folder is always whole.

    Raises:
        CheckpointError: the folder is no checkpoint that Kinema wrote.
    """
    contract = ModelContract.read(tuning.checkpoint)
    changed = replace(contract, thresholds=tuning.thresholds or None, temperature=tuning.temperature)
    rewrite_contract(tuning.checkpoint, changed)
    logger.info("thresholds of %s: %s", plural(len(tuning.thresholds), "class"), tuning.checkpoint / CONFIG_FILE)


def choose(
    recognizer: VideoRecognizer, folder: Path, scores: LabelledScores, *, goal: str = "f1", calibration: bool = True
) -> Tuning:
    """Choose thresholds and a temperature by scores that are there already; nothing is written.

    Args:
        recognizer: what the scores are of.
        folder: of its checkpoint.
        scores: of labelled clips.
        goal: see `tune`.
        calibration: see `tune`.

    Raises:
        ValueError: `goal` is none.
        CheckpointError: the scores are no probabilities, or two classes have one name.
    """
    names = recognizer.classes or tuple(str(index) for index in range(scores.scores.shape[1]))
    if len(set(names)) < len(names):
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise CheckpointError(f"{folder}: two of its classes are called {twice!r}: thresholds need one name a class")
    multi_label = recognizer.is_multi_label
    temperature, note, fit = recognizer.temperature, "", None
    if calibration:
        fit = calibrate(scores.scores, scores.labels, scores.sources, multi_label=multi_label, folds=FOLDS)
        note = _why_not(fit)
        temperature = temperature if note else fit.temperature
    used = scores.scores
    if temperature is not None:
        used = calibrated(used, temperature, multi_label=multi_label)
    elif not are_probabilities(used, multi_label=multi_label):
        raise CheckpointError(
            f"{folder}: gives scores that are no probabilities, which have no thresholds: set average_clips='prob' in"
            " the cls_head of its config.json" + (f"; no temperature either: {note}" if note else "")
        )
    return Tuning(
        folder,
        goal,
        class_thresholds(
            used, scores.labels, names, least_precision=parse_goal(goal), folds=fold_of(scores.sources, FOLDS)
        ),
        temperature,
        fit,
        note,
        scores.data,
        len(used),
        len(set(scores.sources)),
        scores.failed,
    )


def _why_not(fit: Calibration) -> str:
    if fit.temperature is None:
        return fit.reason
    if fit.folds and fit.loss_after >= fit.loss_before:
        return (
            f"it does not help clips that it was not fitted to: their loss is {fit.loss_after:.4f} with it and"
            f" {fit.loss_before:.4f} without"
        )
    return ""


# ---- scores of labelled clips


class _KeptScores(BaseMetric):
    """Keeps scores, labels and source of every clip, also where a clip has several labels."""

    def __init__(self, *, multi_label: bool) -> None:
        super().__init__()
        self.multi_label = multi_label

    def process(self, data_batch: Any, data_samples: Sequence[DataSample]) -> None:
        for sample in data_samples:
            scores, label = read_array(sample, "pred_score").astype(np.float32), read_array(sample, "gt_label")
            name = sample.get("filename")
            self.results.append((scores, self._label(label, scores.size), None if name is None else str(name)))

    def _label(self, label: np.ndarray, num_classes: int) -> Any:
        if not self.multi_label:
            return int(label.item())
        if label.size == num_classes != 1 and label.dtype.kind == "f":
            return label.reshape(-1) > 0
        row = np.zeros(num_classes, dtype=bool)
        row[label.astype(int)] = True
        return row

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        scores, labels, names = zip(*results, strict=True)
        sources = tuple(f"clip {place}" if name is None else source_video_of(name) for place, name in enumerate(names))
        return {"scores": np.stack(scores), "labels": np.stack(labels), "sources": sources}


def measured_scores(
    recognizer: VideoRecognizer,
    folder: Path,
    data: str | os.PathLike | None,
    columns: Mapping[str, str] | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
) -> LabelledScores:
    """Run the model on labelled clips once, without its temperature; clips that cannot be read are counted.

    Args:
        recognizer: the model.
        folder: of its checkpoint.
        data: see `tune`, as the rest.
        columns: see there.
        batch_size: see there.
        workers: see there.

    Raises:
        AnnotationError, CheckpointError, VideoError: see `tune`.
    """
    metric = _KeptScores(multi_label=recognizer.is_multi_label)
    with recognizer.uncalibrated():
        if data is not None:
            split = evaluation_clips(Path(data), recognizer.classes, columns, multi_label=recognizer.is_multi_label)
            result = evaluate(
                recognizer, split, metrics=[metric], batch_size=batch_size, workers=workers, allow_broken=True
            )
            kept, failed, source = result.metrics, len(result.failed), result.source
        else:
            loader = _validation_loader(recognizer, folder, batch_size, workers)
            kept, broken = evaluate_loader(recognizer.test_step, loader, Evaluator(metric))
            failed, source = len(broken), f"the validation clips of {_work_dir(folder)}"
    return LabelledScores(kept["scores"], kept["labels"], kept["sources"], source, failed)


def _work_dir(folder: Path) -> Path:
    return folder.resolve().parent.parent


def _validation_loader(
    recognizer: VideoRecognizer, folder: Path, batch_size: int | None, workers: int | None
) -> ReproducibleLoader:
    """The validation clips of the run that wrote a checkpoint, prepared as the checkpoint says."""
    run = read_run(_work_dir(folder)) or {}
    config = (read_settings(_work_dir(folder)) or {}).get("val_dataloader")
    dataset = config.get("dataset") if isinstance(config, Mapping) else None
    if not isinstance(config, Mapping) or not isinstance(dataset, Mapping):
        raise CheckpointError(
            f"{folder}: there is no run with validation clips around it: name labelled clips (DATA), other than those"
            " it was trained on"
        )
    started_in = str(run.get("folder") or "")
    if started_in and started_in != os.fspath(Path.cwd()):  # to which its paths are relative
        dataset = {**dataset, "data_root": str(Path(started_in, str(dataset.get("data_root") or "")))}
    chosen = {
        "dataset": {**dataset, "pipeline": recognizer.pipeline, "test_mode": True},
        "batch_size": batch_size or config.get("batch_size", 1),
        "num_workers": default_readers() if workers is None else workers,
        "sampler": {"type": "DefaultSampler", "shuffle": False},
        "allow_broken": True,
    }
    loader = build_dataloader(chosen, seed=0)
    assert isinstance(loader, ReproducibleLoader)
    return loader.for_evaluation(allow_broken=True)


def scores_of_dump(dump: ScoreDump, recognizer: VideoRecognizer) -> LabelledScores:
    """The scores of a file that `kinema test --out` wrote, without the temperature that they were made with.

    Raises:
        DumpError: they are of other classes than the recognizer's, or of several labels a clip.
    """
    clips, names = dump.clips, recognizer.classes
    if names and (clips.num_classes != len(names) or (clips.classes and clips.classes != names)):
        raise DumpError(f"{dump.source}: these scores are of other classes than those of {recognizer.name}")
    multi_label, scores, labels = recognizer.is_multi_label, clips.scores, clips.labels
    if dump.temperature is not None:
        scores = calibrated(scores, 1 / dump.temperature, multi_label=multi_label)
    if multi_label and not clips.is_multi_label:
        labels = labels[:, None] == np.arange(clips.num_classes)
    elif clips.is_multi_label and not multi_label:
        raise DumpError(f"{dump.source}: its clips have several labels, but {recognizer.name} gives one a clip")
    sources = tuple(source_video_of(path) for path in clips.paths)
    return LabelledScores(scores, labels, sources, dump.source, len(dump.failed))


def is_score_file(path: Path) -> bool:
    """Is it a file of scores, by its suffix and what it holds? `.json` and `.parquet` may be annotations too."""
    marks = {".npz": b"", ".json": b"kinema scores", ".parquet": b"kinema scores", ".pkl": b"pred_score"}
    mark = marks.get(path.suffix.lower())
    if mark is None or not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(1 << 16)
        file.seek(max(0, path.stat().st_size - (1 << 20)))
        return mark in head or mark in file.read()
