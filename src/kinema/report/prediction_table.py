"""Predictions as rows of a table, and as files that programs read."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kinema.files import write_text
from kinema.inference import FailedInput, Prediction
from kinema.report.clip_table import write_clip_table, write_rows

SUFFIXES = (".csv", ".json", ".jsonl")
Predicted = Prediction | FailedInput


def predictions_table(predictions: Sequence[Predicted]) -> tuple[list[str], list[dict[str, Any]]]:
    """Columns, and one row a video: path, class, score, time range, the next classes, and what went wrong.

    Models of several labels a clip also have a column `present`, separated by semicolons.
    """
    rows = [_row(prediction) for prediction in predictions]
    columns = ["path", "label", "score"]
    columns += [name for name in ("present", "start_seconds", "end_seconds") if any(name in row for row in rows)]
    ranks = max((len(prediction.labels) for prediction in predictions if isinstance(prediction, Prediction)), default=1)
    columns += [f"{name} {rank}" for rank in range(2, ranks + 1) for name in ("label", "score")]
    return [*columns, *(["error"] if any("error" in row for row in rows) else [])], rows


def _row(prediction: Predicted) -> dict[str, Any]:
    value = prediction.to_dict()
    if isinstance(prediction, FailedInput):
        return value
    row = {key: value[key] for key in ("path", "label", "score")}
    if prediction.present is not None:
        row["present"] = ";".join(prediction.present)
    if prediction.end_seconds is not None:
        row |= {key: value[key] for key in ("start_seconds", "end_seconds")}
    for rank, (label, score) in enumerate(zip(value["labels"][1:], value["scores"][1:], strict=True), start=2):
        row |= {f"label {rank}": label, f"score {rank}": score}
    return row


def csv_text(predictions: Sequence[Predicted]) -> str:
    """The table as CSV; texts that look like formulas get an apostrophe before them."""
    stream = io.StringIO(newline="")
    write_rows(stream, *predictions_table(predictions))
    return stream.getvalue()


def write_predictions(path: Path, predictions: Sequence[Predicted]) -> None:
    """Write predictions, complete or not at all; the folder is made.

    Args:
        path: `.csv`: the table; `.json`: a list of `to_dict()`; `.jsonl`: one of them a line.
        predictions: what to write.

    Raises:
        ValueError: the suffix is none of these.
    """
    require_suffix(path)
    if path.suffix.lower() == ".csv":
        write_clip_table(path, *predictions_table(predictions))
        return
    values = [prediction.to_dict() for prediction in predictions]
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".json":
        write_text(path, json.dumps(values, indent=1) + "\n")
    else:
        write_text(path, "".join(json.dumps(value) + "\n" for value in values))


def require_suffix(path: Path) -> None:
    """Require a suffix that `write_predictions` knows.

    Raises:
        ValueError: it is another.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path}: expected a file {', '.join(SUFFIXES)}, got the suffix {path.suffix!r}")
