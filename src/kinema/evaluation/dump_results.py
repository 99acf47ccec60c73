"""The metric that writes what a model said of each sample, and gives no number."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from kinema.errors import DumpError
from kinema.evaluation.clip_scores import ClipScores
from kinema.evaluation.dumps import PICKLES, ScoreDump, check_dump, dump_suffix, pickled_samples, write_dump
from kinema.evaluation.metrics import BaseMetric, DataSample, read_array, read_class
from kinema.files import written_whole
from kinema.openmmlab.keywords import accepts_openmmlab_keywords
from kinema.registry import METRICS

logger = logging.getLogger("kinema")

_PATH_KEYS = ("filename", "frame_dir")


@METRICS.register_module()
@accepts_openmmlab_keywords
class DumpResults(BaseMetric):
    """Write labels and scores of all samples into a file, for `kinema eval` and for other programs.

    Reads `pred_score` and `gt_label` of each data sample, a class or a 0 or 1 for each class, and
    what names the clip where the `meta_keys` of `PackActionInputs` carry it: `filename` (or
    `frame_dir`), `start_seconds` and `end_seconds`, or `start_frame` and `end_frame`. Samples
    without a name are known by their places. On several processes the main one writes, without the
    copies that filled the last round up.

    Args:
        out_file_path: `.npz`, `.json` or `.parquet`: one row a sample; `.pkl`: the data samples as
            they are, as OpenMMLab's metric of this name writes them.
        prefix: see `BaseMetric`; there is no number to put it before.

    Raises:
        DumpError: the file has another suffix.
    """

    def __init__(self, out_file_path: str, *, prefix: str | None = None) -> None:
        super().__init__(prefix=prefix)
        self.out_file_path = str(out_file_path)
        self._is_pickle = dump_suffix(self.out_file_path) in PICKLES

    def names(self) -> list[str]:
        return []

    def process(self, data_batch: Any, data_samples: Sequence[DataSample]) -> None:
        if self._is_pickle:
            self.results.extend(map(_without_device, data_samples))
            return
        self.results.extend(map(_row, data_samples))

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        path = Path(self.out_file_path)
        if not results:
            raise DumpError(f"{path}: not written: there are no samples")
        if self._is_pickle:
            path.parent.mkdir(parents=True, exist_ok=True)
            with written_whole(path, "wb") as file:
                file.write(pickled_samples(results))
        else:
            classes = tuple((self.dataset_meta or {}).get("classes", ()))
            dump = ScoreDump(_columns(results, classes), source=str(path))
            check_dump(dump, f"{path}: not written: what was predicted")
            write_dump(path, dump)
        logger.info("scores of %d samples: %s", len(results), path)
        return {}


def _without_device(sample: DataSample | Tensor) -> dict[str, Any] | Tensor:
    """The fields of a sample; features, which a model may give in its place, on the CPU."""
    return sample.detach().cpu() if isinstance(sample, Tensor) else dict(sample.items())


def _row(sample: DataSample) -> dict[str, Any]:
    scores = read_array(sample, "pred_score")
    if scores.ndim != 1:
        raise DumpError(
            f"DumpResults: a sample has scores of shape {scores.shape}: expected one score a class; average its views"
            " (average_clips='prob' of the head), or write a .pkl"
        )
    label = read_array(sample, "gt_label")
    is_multi_hot = label.shape == scores.shape != (1,) and label.dtype.kind == "f"
    row: dict[str, Any] = {"scores": scores}
    row["label"] = label > 0 if is_multi_hot else read_class(sample, "gt_label", "DumpResults (other than .pkl)")
    row["path"] = next((sample.get(key) for key in _PATH_KEYS if sample.get(key) is not None), None)
    for unit, name in (("seconds", "seconds"), ("frame", "frames")):
        for side in ("start", "end"):
            time = sample.get(f"{side}_{unit}")
            if time is not None:
                row |= {side: float(time), "unit": name}
    return row


def _columns(rows: Sequence[Mapping[str, Any]], classes: tuple[str, ...]) -> ClipScores:
    times = {
        side: np.array([row.get(side, np.nan) for row in rows])
        for side in ("start", "end")
        if any(side in row for row in rows)
    }
    return ClipScores(
        tuple(f"clip {place}" if row["path"] is None else str(row["path"]) for place, row in enumerate(rows)),
        np.array([row["label"] for row in rows]),
        np.stack([row["scores"] for row in rows]).astype(np.float32),
        classes,
        starts=times.get("start"),
        ends=times.get("end"),
        unit=next((row["unit"] for row in rows if "unit" in row), "seconds"),
    )
