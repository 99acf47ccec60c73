"""The sections of a report that one model fills."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kinema.datasets.annotations import Split
from kinema.datasets.inspection.problems import Problem, problems_of_splits
from kinema.evaluation.class_intervals import class_intervals, mean_recall_interval
from kinema.evaluation.functional import confusion_matrix, in_top_k
from kinema.evaluation.intervals import AccuracyInterval, accuracy_interval
from kinema.printable import plural
from kinema.progress import format_seconds
from kinema.recipes.reporting import several_labels
from kinema.recipes.reporting.clips import clip_groups
from kinema.recipes.reporting.measuring import Measured
from kinema.recipes.reporting.run_files import RunFiles, settings_with_origins, shown_command
from kinema.report.class_table import class_rows
from kinema.report.confusion import TABLE_CLASSES, confusion_view
from kinema.report.page import Section, Tile
from kinema.report.plots import learning_curves


def accuracies(measured: Measured) -> dict[str, AccuracyInterval]:
    """For `top1`, and `top5` of more than five classes, the 95 % interval, by source video."""
    ks = [k for k in (1, 5) if k == 1 or k < len(measured.classes)]
    return {f"top{k}": accuracy_interval(in_top_k(measured.scores, measured.labels, k), measured.sources) for k in ks}


def baselines(measured: Measured, train: Split | None) -> dict[str, float]:
    """Top-1 of guessing: any class (`chance`), and always the commonest class of the training (`majority`)."""
    count = len(measured.classes)
    clips = np.bincount(measured.labels, minlength=count)
    known = clips if train is None else np.bincount(train.annotations.labels.values, minlength=count)[:count]
    return {"chance": 1 / count, "majority": float(clips[int(known.argmax())] / clips.sum())}


def figures_of(measured: Measured, train: Split | None) -> dict[str, Any]:
    """The figures of a model with one label a clip, as JSON holds them."""
    figures = accuracies(measured)
    mean, low, high = mean_recall_interval(measured.predicted, measured.labels, measured.sources, len(measured.classes))
    return {
        **{f"acc/{name}": interval.value for name, interval in figures.items()},
        "acc/mean1": mean,
        "intervals": {
            **{f"acc/{name}": [interval.low, interval.high] for name, interval in figures.items()},
            "acc/mean1": [low, high],
        },
        **baselines(measured, train),
        "clips": len(measured.places),
        "sources": figures["top1"].num_sources,
        "failed": len(measured.failed),
    }


def tiles_of(measured: Measured, figures: Mapping[str, Any]) -> list[Tile]:
    """The figures on top, for one label a clip."""

    def tile(name: str, key: str) -> Tile:
        low, high = figures["intervals"][key]
        return Tile(name, f"{figures[key]:.1%}", f"95 % interval {low:.0%} to {high:.0%}")

    majority = Tile("always the commonest class", f"{figures['majority']:.1%}", "what guessing so would reach")
    return [
        tile("top-1 accuracy", "acc/top1"),
        *([tile("top-5 accuracy", "acc/top5")] if "acc/top5" in figures else []),
        tile("mean accuracy of the classes", "acc/mean1"),
        *([] if figures["majority"] <= figures["chance"] else [majority]),
        Tile("chance", f"{figures['chance']:.1%}", f"one of {len(measured.classes)} classes"),
    ]


def summary_section(
    measured: Measured, run: RunFiles, figures: Mapping[str, Any], tiles: Sequence[Tile], *, model: str = ""
) -> Section:
    """What the model reaches, in figures and in words."""
    facts = {
        "model": model,
        "clips": f"{len(measured.places)} of {measured.split.path}, from {figures['sources']} source videos",
        "classes": str(len(measured.classes)),
        **training_facts(run),
    }
    right = "" if measured.is_multi_label else f"{int((measured.predicted == measured.labels).sum())} of "
    said = f"{right}{len(measured.places)} clips are {'recognized' if right else 'measured'}."
    values = {"tiles": tiles, "notices": _notices(figures), "facts": facts}
    return Section("summary", "Summary", "summary", values, said)


def _notices(figures: Mapping[str, Any]) -> list[str]:
    """What a reader must know of the figures."""
    notices = []
    low, high = figures["intervals"].get("acc/top1", (1.0, 1.0))
    if figures.get("majority", 0.0) >= low:
        notices.append(
            f"The model is not surely better than always saying the commonest class: that reaches"
            f" {figures['majority']:.0%}, which lies within or above the interval of the accuracy."
        )
    if high - low > 0.2:
        notices.append(
            f"The accuracy is known to {round(50 * (high - low))} points up or down only: {figures['clips']} clips from"
            f" {figures['sources']} source videos are few."
        )
    if figures["failed"]:
        clips = plural(figures["failed"], "clip")
        notices.append(
            f"{clips} cannot be read and {'is' if figures['failed'] == 1 else 'are'} in no number: see Data."
        )
    return notices


def training_facts(run: RunFiles) -> dict[str, str]:
    """How long and on what a run trained, as far as its files say."""
    last = next((line for line in reversed(run.history) if line.get("split") == "train"), None)
    facts = {}
    if isinstance(run.settings.get("num_clips"), Mapping) and run.settings["num_clips"].get("train"):
        facts["trained on"] = f"{run.settings['num_clips']['train']} clips"
    if last is not None:
        seconds = last.get("seconds")
        time = f", {format_seconds(seconds)}" if isinstance(seconds, int | float) else ""
        facts["training"] = f"{plural(last.get('epoch') or 0, 'epoch')}, {plural(last['step'], 'step')}{time}"
    return facts


def curves_section(runs: Mapping[str, RunFiles]) -> Section | None:
    """The course of the training; None where nothing is known of it."""
    plots = learning_curves({name: run.history for name, run in runs.items() if run.history})
    return Section("training", "Training", "plots", {"plots": plots}) if plots else None


def class_section(measured: Measured) -> Section:
    """Precision, recall and F1 of each class."""
    matrix = confusion_matrix(measured.predicted, measured.labels, num_classes=len(measured.classes))
    ends = class_intervals(measured.predicted, measured.labels, measured.sources, len(measured.classes))
    return Section(
        "classes",
        "Classes",
        "classes",
        {
            "rows": class_rows(matrix, measured.classes, ends),
            "columns": ("precision", "recall", "F1"),
            "has_mistakes": True,
            "caption": f"{len(measured.classes)} classes, each figure with its 95 % interval",
        },
        "Precision: of the clips that are taken for the class, those that are of it. Recall: of the clips of the class,"
        " those that are recognized. F1 joins the two. The dark line is the interval.",
    )


def confusion_section(measured: Measured) -> Section:
    """Which classes are taken for which."""
    matrix = confusion_matrix(measured.predicted, measured.labels, num_classes=len(measured.classes))
    note = "Classes that are confused stand beside each other."
    if len(measured.classes) > TABLE_CLASSES:
        note += " Point at a cell, or choose two classes, to read its number."
    return Section("confusion", "Confusions", "confusion", {"view": confusion_view(matrix, measured.classes)}, note)


def clips_section(measured: Measured, count: int) -> Section | None:
    """The clips that say most."""
    choose = several_labels.clip_groups if measured.is_multi_label else clip_groups
    groups = choose(measured, count) if count else []
    if not groups:
        return None
    root, elsewhere = measured.split.video_root, _num_elsewhere(measured)
    shown = {
        "groups": groups,
        "root": "" if elsewhere == len(measured.paths) else str(root),
        "files": "Relative paths" if elsewhere else "Files",
        "wide": False,
    }
    return Section("clips", "Clips", "clips", shown)


def _num_elsewhere(measured: Measured) -> int:
    """How many clips are named by a full path that is not below the folder of the others."""
    root = measured.split.video_root
    return sum(Path(path).is_absolute() and not Path(path).is_relative_to(root) for path in measured.paths)


def data_section(measured: Measured, trains: Mapping[str, Split | None]) -> Section:
    """What is wrong with the clips.

    Args:
        measured: the scores of the model that the page is of.
        trains: by the name of each model the clips that it was trained on, that one's first.
    """
    problems: list[Problem] = []
    if measured.failed:
        examples = tuple(failed.error for failed in measured.failed[:10])
        problems.append(
            Problem("broken", len(measured.failed), f"{plural(len(measured.failed), 'clip')} cannot be read.", examples)
        )
    first = next(iter(trains.values()))
    if first is not None:
        problems += problems_of_splits(first.annotations, measured.split.annotations, measured.classes)
    for name, split in trains.items():
        problems += [] if split is None else _trained_on(name, split, measured)
    known = "the annotations show" if first is not None else "is known without the clips of the training"
    return Section(
        "data",
        "Data",
        "problems",
        {"problems": problems},
        f"What is wrong with the clips, as far as {known}; `kinema data check` decodes every frame of every video.",
    )


def _trained_on(name: str, train: Split, measured: Measured) -> list[Problem]:
    """Measured clips whose videos a model was trained on."""
    seen = {str(train.video_root / path) for path in train.annotations.paths}
    paths = (str(measured.split.video_root / path) for path in measured.paths)
    both = sorted(path for path in paths if path in seen)
    if not both:
        return []
    message = f"{name} was trained on {len(both)} of the measured clips: its figures are too good."
    return [Problem("trained on", len(both), message, tuple(both[:5]))]


def settings_section(run: RunFiles) -> Section | None:
    """Versions, machine, command and config of the training; None where nothing is known."""
    settings = run.settings
    if not settings:
        return None
    versions, host, git = (_mapping(settings.get(key)) for key in ("versions", "host", "git"))
    facts = {
        "started": settings.get("started"),
        "seed": settings.get("seed"),
        "device": settings.get("device"),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items() if version),
        "machine": ", ".join(
            filter(None, [str(host.get("os", "")), str(host.get("cpu", "")), f"{host.get('cores', '?')} cores"])
        ),
        "git": f"{git.get('commit')}{', with changes' if git.get('dirty') else ''}" if git else None,
        "hash of the config": _mapping(settings.get("hashes")).get("config"),
    }
    return Section(
        "settings",
        "Settings",
        "settings",
        {
            "facts": {name: str(value) for name, value in facts.items() if value is not None and value != ""},
            "command": shown_command(run),
            "config": settings_with_origins(run),
        },
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
