"""The whole main job on made clips: write them, train, evaluate, predict, report.

What `kinema demo` runs.
"""

import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kinema.datasets.annotations import Split, read_split
from kinema.datasets.synthetic import make_motion_dataset
from kinema.engine import Runner
from kinema.inference import Prediction, VideoRecognizer, load
from kinema.recipes.classification import classification
from kinema.recipes.reporting.run_files import run_files
from kinema.recipes.reporting.writing import write_model_report
from kinema.runs.work_folder import hold

logger = logging.getLogger("kinema")

SHOWN_CLIPS = 8


@dataclass(frozen=True)
class DemoResult:
    """What the demo measured.

    Attributes:
        top1: accuracy of the trained model on unseen clips.
        top1_static: accuracy of the same model when it sees one frame of each clip, repeated: near
            chance unless single frames show the class.
        chance: accuracy of guessing.
        train_seconds: time of the training, validation included.
        report: the HTML file.
        predictions: some unseen clips: true class, and what was predicted.
    """

    top1: float
    top1_static: float
    chance: float
    train_seconds: float
    report: Path
    predictions: tuple[tuple[str, Prediction], ...]


def demo(work_dir: str | os.PathLike = "work/demo", *, seed: int = 0) -> DemoResult:
    """Make the motion data set, train, evaluate and report, all in `work_dir`.

    Args:
        work_dir: folder for all files.
        seed: of the clips and of the training.

    Returns:
        The figures; the report is `work_dir/report.html`.
    """
    folder = Path(work_dir)
    with hold(folder) as held:
        held.set_aside()
        return _demo(folder, seed)


def _demo(folder: Path, seed: int) -> DemoResult:
    logger.info("writing the clips into %s", folder / "data")
    dataset = make_motion_dataset(folder / "data", seed=seed)
    config = classification(dataset.root, work_dir=folder, seed=seed)
    Runner.from_cfg(config).train()

    recognizer = load(folder)
    split = read_split(dataset.val_list)
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    seconds = summary["train_seconds"]
    report = write_model_report(
        folder / "report.html",
        recognizer,
        split,
        run_files(recognizer.name),
        title=f"Kinema demo: {len(dataset.class_names)} kinds of motion",
        shown_clips=SHOWN_CLIPS,
    )
    figures = report.figures
    static = figures["motion"]["one_frame"]["accuracy"]
    predictions = tuple(_predict_some(recognizer, split, seed))
    return DemoResult(figures["acc/top1"], static, figures["chance"], seconds, report.path, predictions)


def _predict_some(recognizer: VideoRecognizer, split: Split, seed: int) -> list[tuple[str, Prediction]]:
    """True class and prediction of one clip a class, chosen by `seed`."""
    order = np.random.default_rng(seed).permutation(len(split.annotations))
    chosen: dict[int, str] = {}
    for index in order:
        record = split.annotations[index]
        chosen.setdefault(record.labels[0], record.path)
    some = sorted(chosen.items())[:SHOWN_CLIPS]
    return [(recognizer.classes[label], recognizer.predict(split.video_root / path)) for label, path in some]
