"""Cross-validation by source video: K runs that each leave out another part, and what they say together."""

import json
import logging
import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from kinema.config import Config
from kinema.datasets import ReproducibleLoader, build_dataloader
from kinema.distributed import is_main_process
from kinema.engine import Runner
from kinema.evaluation import AccuracyInterval, ClipOutcomes, Evaluator, accuracy_interval, evaluate_loader
from kinema.files import write_text
from kinema.inference import load
from kinema.logs import only_to_files
from kinema.recipes.classification import classification
from kinema.runs.settings_file import read_settings
from kinema.runs.work_folder import hold

logger = logging.getLogger("kinema")

SUMMARY = "folds.json"
CHOICES = ("best", "last")  # checkpoints of each run


def cross_validate(
    data: str | os.PathLike,
    *,
    folds: int,
    work_dir: str | os.PathLike,
    change: Callable[[Config], None] = lambda config: None,
    resume: bool = False,
    announce: bool = True,
    **settings: Any,
) -> dict[str, Any]:
    """Train `folds` times, each time validating on another part of the clips, into `work_dir/fold_1`, `fold_2`, ...

    Every clip is validated on once, by a network that saw no clip of its source video.

    Args:
        data: see `classification`, as `settings`; validation clips that it leads to are left alone.
        folds: number of parts, K, 2 or more.
        work_dir: folder for the folders of the runs and `folds.json`.
        change: gets the config of each run, and may change it.
        resume: leave runs that are complete as they are, and resume the one that is not.
        announce: log of each run what it trains on; else only into its own file.
        settings: further keywords of `classification`.

    Returns:
        What `folds.json` holds: `folds`, a list of each run's `fold`, `work_dir`, `clips`,
        `epochs`, `best`, `last`; and for the best and the last checkpoints of the runs, under
        `best` and `last`, `mean` and `std` of their accuracies, and the accuracy over all clips
        together, `value`, with its 95 % `interval`, `num_clips` and `num_sources`.

    Raises:
        ValueError: fewer than 2 folds.
        AnnotationError, ConfigError, VideoError: see `classification`.
    """
    if folds < 2:
        raise ValueError(f"cross-validation needs 2 folds or more, got {folds}")
    root = Path(work_dir)
    rows = []
    outcomes: dict[str, tuple[list[bool], list[Any]]] = {choice: ([], []) for choice in CHOICES}
    for number in range(1, folds + 1):
        folder = root / f"fold_{number}"
        is_complete = resume and _is_finished(folder / "summary.json")
        if not is_complete:
            logger.info("fold %d of %d", number, folds)
            _train(data, folder, (number, folds), settings, change, resume=resume, announce=announce)
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        row: dict[str, Any] = {"fold": number, "work_dir": os.fspath(folder), "epochs": summary["epochs"]}
        for choice in CHOICES:
            hits, sources = _outcomes(folder, choice, settings.get("workers"))
            outcomes[choice][0].extend(hits)
            outcomes[choice][1].extend(sources)
            row |= {"clips": len(hits), choice: float(np.mean(hits))}
        rows.append(row)
    results: dict[str, Any] = {"folds": rows}
    for choice, (hits, sources) in outcomes.items():
        results[choice] = _pooled([row[choice] for row in rows], accuracy_interval(hits, sources))
    if is_main_process():
        write_text(root / SUMMARY, json.dumps(results, indent=2) + "\n")
    return results


def _is_finished(summary: Path) -> bool:
    """Did a run come to its end? Earlier versions wrote a summary only then."""
    return summary.is_file() and json.loads(summary.read_text(encoding="utf-8")).get("state", "finished") == "finished"


def _train(
    data: str | os.PathLike,
    folder: Path,
    fold: tuple[int, int],
    settings: Mapping[str, Any],
    change: Callable[[Config], None],
    *,
    resume: bool,
    announce: bool,
) -> None:
    resume = resume and (folder / "checkpoints").is_dir()
    with hold(folder) as held:
        if not resume:
            held.set_aside()
        resumed = (read_settings(folder) or {}) if resume else None
        with nullcontext() if announce else only_to_files():
            config = classification(data, work_dir=folder, fold=fold, resumed=resumed, **settings)
        change(config)
        config["work_dir"] = os.fspath(folder)
        config["resume"] = resume
        Runner.from_cfg(config).train()


def _outcomes(folder: Path, choice: str, workers: int | None) -> tuple[list[bool], list[Any]]:
    """Is each validation clip of a run right, by the named checkpoint, and its source."""
    checkpoints = folder / "checkpoints"
    recognizer = load(checkpoints / (checkpoints / choice).read_text(encoding="utf-8").strip())
    settings = read_settings(folder)
    assert settings is not None  # a complete run wrote them
    config = {**settings["val_dataloader"], **({} if workers is None else {"num_workers": workers})}
    loader = build_dataloader(config | {"persistent_workers": False}, seed=0)
    assert isinstance(loader, ReproducibleLoader)
    loader = loader.for_evaluation(allow_broken=True)
    evaluator = Evaluator(ClipOutcomes())
    metrics, _ = evaluate_loader(recognizer.test_step, loader, evaluator)
    return metrics["hits"], metrics["sources"]


def _pooled(values: list[float], interval: AccuracyInterval) -> Mapping[str, Any]:
    return {
        "mean": float(np.mean(values)),
        "std": float(np.std(values, ddof=1)),
        "value": interval.value,
        "interval": [interval.low, interval.high],
        "num_clips": interval.num_clips,
        "num_sources": interval.num_sources,
    }
