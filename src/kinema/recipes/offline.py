"""Measuring again what a file of scores holds: what `kinema eval` runs."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from kinema.checkpoints.unpickling import load_restricted_pickle
from kinema.errors import CheckpointError, DumpError
from kinema.evaluation import ClipScores, Evaluator, ScoreDump, check_dump, dump_suffix, read_dump
from kinema.evaluation.dumps import PICKLES
from kinema.evaluation.fusion import fuse
from kinema.recipes.evaluation import Evaluation, usual_metrics

UNNAMED = "clip"


def read_scores(path: str | os.PathLike) -> ScoreDump:
    """Read a file of scores: of `kinema test --out`, of `DumpResults`, or of OpenMMLab's tools.

    Args:
        path: `.npz`, `.json`, `.parquet`; or `.pkl`, of which nothing is run. OpenMMLab's pickles
            name neither clips nor classes: their clips are known by their places.

    Raises:
        DumpError: there is no such file, or it is damaged.
        MissingDependencyError: parquet without pyarrow.
    """
    file = Path(path)
    suffix = dump_suffix(file)
    if not file.is_file():
        raise DumpError(f"{file}: there is no such file of scores")
    if suffix not in PICKLES:
        return read_dump(file)
    try:
        content = load_restricted_pickle(file).content
    except CheckpointError as error:
        raise DumpError(str(error).replace("a checkpoint", "a file of scores")) from error
    dump = _of_samples(content, file)
    check_dump(dump, str(file))
    return dump


def _of_samples(content: Any, file: Path) -> ScoreDump:
    """A list of data samples, as dicts, as columns."""
    if not isinstance(content, list) or not content:
        actual = "an empty list" if isinstance(content, list) else f"a {type(content).__name__}"
        raise DumpError(f"{file}: expected a list of data samples, as DumpResults of OpenMMLab writes it, got {actual}")
    labels, scores = [], []
    for place, sample in enumerate(content):
        label, row = (_value(sample, *keys) for keys in (("gt_label", "gt_labels"), ("pred_score", "pred_scores")))
        if label is None or row is None:
            raise DumpError(f"{file}: sample {place} has no gt_label and pred_score: expected those of a recognizer")
        is_multi_hot = label.shape == row.shape != (1,) and label.dtype.kind == "f"
        if row.ndim != 1 or (label.size != 1 and not is_multi_hot):
            raise DumpError(
                f"{file}: sample {place} has {label.dtype} labels of shape {label.shape} and scores of shape"
                f" {row.shape}: expected one label a clip, or a float of 0 or 1 for each class"
            )
        labels.append(label > 0 if is_multi_hot else int(label.item()))
        scores.append(row)
    if len({np.ndim(label) for label in labels}) > 1:
        raise DumpError(f"{file}: some of its samples have one label and some one for each class: it is damaged")
    if len({len(row) for row in scores}) > 1:
        raise DumpError(f"{file}: its samples have scores of different numbers of classes: it is damaged")
    shared = content[0].get("dump")
    shared = shared if isinstance(shared, Mapping) else {}
    times = {
        name: np.array([np.nan if sample.get(name) is None else float(sample[name]) for sample in content])
        for name in ("start", "end")
        if any(sample.get(name) is not None for sample in content)
    }
    clips = ClipScores(
        tuple(str(sample.get("filename") or f"{UNNAMED} {place}") for place, sample in enumerate(content)),
        np.array(labels) if np.ndim(labels[0]) else np.array(labels, np.int64),
        np.stack(scores).astype(np.float32),
        tuple(map(str, shared.get("classes", ()))),
        str(shared.get("root", "")),
        times.get("start"),
        times.get("end"),
        unit="frames" if shared.get("unit") == "frames" else "seconds",
    )
    temperature = shared.get("temperature")
    if temperature is not None and not (isinstance(temperature, float) and temperature > 0):
        raise DumpError(f"{file}: its temperature is {temperature!r}: it is damaged")
    return ScoreDump(clips, source=str(shared.get("source") or file), temperature=temperature)


def _value(sample: Any, key: str, older_key: str) -> np.ndarray | None:
    """A field of a data sample as an array; version 1.0 of MMAction2 kept it under another name, as `item`."""
    if not isinstance(sample, Mapping):
        return None
    value = sample.get(key)
    older = sample.get(older_key)
    if value is None and isinstance(older, Mapping):
        value = older.get("item")
    if isinstance(value, Tensor):
        value = value.float().numpy() if value.is_floating_point() else value.numpy()
    if isinstance(value, int | float):
        value = np.array(value)
    return value if isinstance(value, np.ndarray) and value.dtype.kind in "iuf" else None


def evaluate_scores(dump: ScoreDump, metrics: Sequence[Any] | None = None) -> Evaluation:
    """The metrics of scores, as `evaluate` gives them with the model.

    Args:
        dump: labels and scores.
        metrics: metrics, or their configs; None: as `evaluate`.
    """
    clips = dump.clips
    evaluator = Evaluator(list(usual_metrics(multi_label=clips.is_multi_label) if metrics is None else metrics))
    evaluator.dataset_meta = {"classes": list(clips.classes)} if clips.classes else None
    samples = [
        {"gt_label": label.astype(np.int64), "pred_score": scores, "filename": path}
        for label, scores, path in zip(clips.labels, clips.scores, clips.full_paths, strict=True)
    ]
    numbers = evaluator.offline_evaluate(samples)
    return Evaluation(numbers, len(clips), dump.failed, clips, clips.intervals(), dump.source, dump.temperature)


def fuse_dumps(
    files: Sequence[str | os.PathLike],
    weights: Sequence[float] | None = None,
    how: str = "mean",
    *,
    common: bool = False,
) -> ScoreDump:
    """The scores of several files as those of one; see `kinema.evaluation.fusion.fuse`.

    Clips that could not be read are those of any file that no other has scores for.

    Raises:
        ValueError: see `fuse`.
        DumpError: a file is damaged, or does not go together with another.
    """
    dumps = [read_scores(file) for file in files]
    clips = fuse([dump.clips for dump in dumps], weights, how, common=common, names=[str(file) for file in files])
    failed = {clip.path: clip for dump in dumps for clip in dump.failed}
    return ScoreDump(clips, tuple(failed.values()), f"{dumps[0].source}, {len(files)} files of scores fused")
