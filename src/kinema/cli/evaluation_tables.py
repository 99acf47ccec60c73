"""What `kinema test` and `kinema eval` show of an evaluation: numbers, classes, confusions, the wrong clips."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kinema.cli.output import print_json, print_line, print_note, print_table, share_text
from kinema.printable import plural

if TYPE_CHECKING:
    import numpy as np

    from kinema.evaluation import ClipScores
    from kinema.recipes import Evaluation

MOST_CLASSES = 30  # rows of the table of classes
MATRIX_CLASSES = 10  # of more, the worst confusions stand in for the matrix
MOST_CONFUSIONS = 15
MOST_WRONG = 20
SCORED_CLASSES = 50  # of more, a row of the file has the best five
BEST = 5
FEW_CLIPS = 100


def rows_of_clips(clips: "ClipScores") -> list[dict[str, Any]]:
    """One row a clip: path, its part of the video, label, predicted class, scores."""
    unit = clips.unit if clips.unit == "seconds" else "frame"
    rows = []
    for place, path in enumerate(clips.full_paths):
        row: dict[str, Any] = {"path": str(Path(path))}
        for key, times in ((f"start_{unit}", clips.starts), (f"end_{unit}", clips.ends)):
            if times is not None:
                row[key] = "" if math.isnan(times[place]) else float(times[place])
        rows.append(row | _labels_of(clips, place))
    return rows


def _labels_of(clips: "ClipScores", place: int) -> dict[str, Any]:
    """The part of a row that says what a clip is, and of one label what it was taken for."""
    names, scores = clips.names, clips.scores[place]
    if clips.is_multi_label:
        return {"labels": "|".join(names[index] for index in clips.labels_of(place))}
    label, predicted = int(clips.labels[place]), int(scores.argmax())
    return {
        "label": names[label],
        "predicted": names[predicted],
        "right": int(label == predicted),
        "score": _rounded(scores[predicted]),
        "score_of_label": _rounded(scores[label]),
    }


def table_of_clips(evaluation: "Evaluation") -> tuple[list[str], list[Any]]:
    """Columns and rows of the file that `--csv` writes.

    Every clip, those that failed too, with the scores of its classes.
    """
    clips = evaluation.clips
    assert clips is not None
    names = clips.names
    rows = rows_of_clips(clips)
    for row, scores in zip(rows, clips.scores, strict=True):
        if len(names) <= SCORED_CLASSES:
            row |= {f"score of {name}": _rounded(score) for name, score in zip(names, scores, strict=True)}
        else:
            for rank, index in enumerate(_best(scores), start=1):
                row |= {f"class {rank}": names[index], f"score {rank}": _rounded(scores[index])}
    columns = list(rows[0]) if rows else ["path"]
    if evaluation.failed:
        columns.append("error")
        for failed in evaluation.failed:
            label = "" if failed.label is None else names[failed.label]
            rows.append({"path": failed.path, "label": label, "error": failed.error})
            if clips.is_multi_label:
                del rows[-1]["label"]  # of which the first is known alone
    return columns, rows


def show_or_write(evaluation: "Evaluation", csv: Path | None, *, as_json: bool) -> None:
    """Print an evaluation, for people or as one JSON value; write its clips into `csv`, where it is given.

    Raises:
        AnnotationError: `csv` for a model that gives several scores a clip.
    """
    if csv is not None:
        from kinema.errors import AnnotationError
        from kinema.report.clip_table import write_clip_table

        if evaluation.clips is None:
            raise AnnotationError(f"{csv}: not written: the model gives several scores a clip, which fit no table")
        write_clip_table(csv, *table_of_clips(evaluation))
        print_note(f"all clips with their scores: {csv}")
    if as_json:
        print_json(json_value(evaluation))
    else:
        show(evaluation)


def json_value(evaluation: "Evaluation") -> dict[str, Any]:
    """All of an evaluation as JSON holds it."""
    failed = [{"path": clip.path, "error": clip.error} for clip in evaluation.failed]
    value: dict[str, Any] = {"clips": evaluation.num_clips, **evaluation.numbers}
    clips = evaluation.clips
    if clips is not None and clips.is_multi_label:
        value |= {"classes": [result._asdict() for result in label_results(clips)], "predictions": _predictions(clips)}
    elif clips is not None:
        from kinema.evaluation import class_results, worst_confusions

        names = clips.names
        matrix = clips.confusion()
        results = [
            {"name": name, **{key: _none_for_nan(number) for key, number in asdict(result).items()}}
            for name, result in zip(names, class_results(matrix), strict=True)
        ]
        value |= {
            "intervals": {f"acc/{name}": asdict(interval) for name, interval in evaluation.intervals.items()},
            "classes": results,
            "confusions": [
                {"label": names[confusion.label], "predicted": names[confusion.predicted], "clips": confusion.clips}
                for confusion in worst_confusions(matrix, matrix.size)
            ],
            "predictions": _predictions(clips),
        }
        if len(names) <= SCORED_CLASSES:
            value["confusion_matrix"] = matrix.tolist()
    return {**value, "failed": failed}


def _predictions(clips: "ClipScores") -> list[dict[str, Any]]:
    """One object a clip, with the scores of its classes."""
    names, rows = clips.names, rows_of_clips(clips)
    for place, (row, scores) in enumerate(zip(rows, clips.scores, strict=True)):
        if clips.is_multi_label:
            row["labels"] = [names[index] for index in clips.labels_of(place)]
        else:
            row["right"] = bool(row["right"])
        shown = range(len(names)) if len(names) <= SCORED_CLASSES else _best(scores)
        row["scores"] = {names[index]: _rounded(scores[index]) for index in shown}
    return rows


class LabelResult(NamedTuple):
    """Of a class that a clip may have beside others: its clips, and how well its scores rank them (None: no clip)."""

    name: str
    clips: int
    average_precision: float | None


def label_results(clips: "ClipScores") -> list[LabelResult]:
    """One row a class."""
    from kinema.evaluation.thresholds import precision_recall_curve

    curves = [precision_recall_curve(*pair) for pair in zip(clips.scores.T, clips.labels.T, strict=True)]
    return [
        LabelResult(name, curve.positives, _none_for_nan(curve.average_precision))
        for name, curve in zip(clips.names, curves, strict=True)
    ]


def show(evaluation: "Evaluation") -> None:
    """Print an evaluation for people."""
    if evaluation.failed:
        print_table("", ["broken clips"], [[clip.error] for clip in evaluation.failed])
    print_line(_what_was_measured(evaluation))
    rows, has_intervals = _rows_of_numbers(evaluation)
    print_table("", ["metric", "value", "95 % interval" if has_intervals else ""], rows)
    if evaluation.clips is None:
        return
    if evaluation.clips.is_multi_label:
        _show_labels(label_results(evaluation.clips))
        return
    names = evaluation.clips.names
    for line in _doubts(evaluation, names):
        print_line(line)
    matrix = evaluation.clips.confusion()
    _show_classes(matrix, names)
    _show_confusions(matrix, names)
    _show_wrong(rows_of_clips(evaluation.clips))


def _rows_of_numbers(evaluation: "Evaluation") -> tuple[list[list[str]], bool]:
    """The rows of the table of numbers, and whether one has an interval, its own or that of NAME_low and NAME_high."""
    numbers = evaluation.numbers
    ends = {
        name: (numbers[f"{name}_low"], numbers[f"{name}_high"])
        for name in numbers
        if f"{name}_low" in numbers and f"{name}_high" in numbers
    }
    ends |= {f"acc/{name}": (interval.low, interval.high) for name, interval in evaluation.intervals.items()}
    shown = {f"{name}{end}" for name in ends for end in ("_low", "_high")} | {"num_clips", "num_sources"}
    rows = [
        [name, f"{value:.4f}", f"{ends[name][0]:.2f} to {ends[name][1]:.2f}" if name in ends else ""]
        for name, value in numbers.items()
        if name not in shown
    ]
    return rows, bool(ends)


def _show_labels(results: Sequence[LabelResult]) -> None:
    title = "Classes"
    if len(results) > MOST_CLASSES:
        measured = [result for result in results if result.average_precision is not None]
        title = f"The {MOST_CLASSES} classes of {len(results)} that are recognized least"
        results = sorted(measured, key=lambda result: result.average_precision or 0.0)[:MOST_CLASSES]
    rows = [[name, str(clips), "-" if precision is None else f"{precision:.2f}"] for name, clips, precision in results]
    print_table(title, ["class", "clips", "average precision"], rows)


def _what_was_measured(evaluation: "Evaluation") -> str:
    where = evaluation.source
    if not evaluation.failed:
        return f"{plural(evaluation.num_clips, 'clip')} of {where}"
    count = evaluation.num_clips + len(evaluation.failed)
    return f"{evaluation.num_clips} of {count} clips of {where}; {len(evaluation.failed)} broken, not in the numbers"


def _doubts(evaluation: "Evaluation", names: Sequence[str]) -> list[str]:
    """What to keep in mind with these numbers."""
    assert evaluation.clips is not None
    matrix = evaluation.clips.confusion()
    sizes, taken = matrix.sum(axis=1), matrix.sum(axis=0)
    common = int(sizes.argmax())
    sentences = [
        f"To say {names[common]!r} of every clip would be right for {sizes[common] / sizes.sum():.4f} of them."
    ]
    if (taken > 0).sum() == 1 and (sizes > 0).sum() > 1:
        sentences.append(
            f"The model takes every clip for {names[int(taken.argmax())]!r}: it has not learned to tell them apart."
        )
    return sentences + _doubts_of_size(evaluation)


def _doubts_of_size(evaluation: "Evaluation") -> list[str]:
    interval = evaluation.intervals["top1"]
    if interval.num_sources < min(interval.num_clips, FEW_CLIPS):
        return [
            f"The {interval.num_clips} clips come from {_videos(interval.num_sources)}, by which the interval is"
            " reckoned: clips of one video are right or wrong together."
        ]
    if interval.num_clips < FEW_CLIPS:
        return [
            f"{interval.num_clips} clips are few: on other clips of this kind the accuracy may be anywhere in the"
            " interval."
        ]
    return []


def _videos(count: int) -> str:
    return "one source video" if count == 1 else f"{count} source videos"


def _show_classes(matrix: "np.ndarray", names: Sequence[str]) -> None:
    from kinema.evaluation import class_results

    results = list(zip(names, class_results(matrix), strict=True))
    title = "Classes"
    if len(results) > MOST_CLASSES:
        measured = [pair for pair in results if pair[1].clips]
        results = sorted(measured, key=lambda pair: (pair[1].recall, -pair[1].clips))[:MOST_CLASSES]
        title = f"The {len(results)} classes of {len(names)} that are recognized least"
    rows = [
        [
            name,
            str(result.clips),
            str(result.right),
            str(result.predicted),
            *map(share_text, (result.precision, result.recall, result.f1)),
        ]
        for name, result in results
    ]
    print_table(title, ["class", "clips", "right", "predicted", "precision", "recall (top-1)", "F1"], rows)


def _show_confusions(matrix: "np.ndarray", names: Sequence[str]) -> None:
    from kinema.evaluation import worst_confusions

    worst = worst_confusions(matrix, MOST_CONFUSIONS)
    if not worst:
        return
    if len(names) <= MATRIX_CLASSES:
        rows = [[name, *map(str, row)] for name, row in zip(names, matrix.tolist(), strict=True)]
        print_table("Confusion: class down, predicted across", ["", *names], rows)
        return
    sizes = matrix.sum(axis=1)
    rows = [
        [
            names[confusion.label],
            names[confusion.predicted],
            str(confusion.clips),
            f"{confusion.clips / sizes[confusion.label]:.0%}",
        ]
        for confusion in worst
    ]
    print_table("Most frequent confusions", ["class", "predicted as", "clips", "of its clips"], rows)


def _show_wrong(rows: list[dict[str, Any]]) -> None:
    wrong = sorted((row for row in rows if not row["right"]), key=lambda row: row["score_of_label"] - row["score"])
    if not wrong:
        print_line("All clips are right.")
        return
    shown = [
        [_name_of(row), row["label"], row["predicted"], f"{row['score']:.2f}", f"{row['score_of_label']:.2f}"]
        for row in wrong[:MOST_WRONG]
    ]
    title = f"{len(wrong)} of {len(rows)} clips are wrong" + (
        f", the {MOST_WRONG} most certain ones (--csv FILE has all)"
        if len(wrong) > MOST_WRONG
        else ", the most certain first"
    )
    print_table(title, ["clip", "is", "predicted", "score", "score of its class"], shown)


def _name_of(row: dict[str, Any]) -> str:
    path, times = Path(row["path"]), [row[key] for key in row if key.startswith(("start_", "end_"))]
    part = f" [{times[0]}-{times[1]}]" if len(times) == 2 and any(time != "" for time in times) else ""
    return f"{Path(path.parent.name) / path.name}{part}"


def _best(scores: "np.ndarray") -> list[int]:
    best: list[int] = (-scores).argsort(kind="stable")[:BEST].tolist()
    return best


def _rounded(score: Any) -> float:
    return round(float(score), 6)


def _none_for_nan(value: float) -> float | None:
    return None if math.isnan(value) else value
