"""Fusing what several models said of the same clips: matched by what names a clip, not by their order."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from kinema.errors import DumpError
from kinema.evaluation.clip_scores import ClipId, ClipScores
from kinema.evaluation.functional import softmax

SHOWN = 3  # clips that a message names


def _mean(scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.tensordot(weights, scores, axes=1)


def _softmax_mean(scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return _mean(softmax(scores), weights)


def _geometric_mean(scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return softmax(_mean(np.log(np.maximum(scores, np.finfo(np.float32).tiny)), weights))


# From (M, B, N) scores of M models and (M,) weights that add up to 1 to (B, N) scores.
WAYS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "mean": _mean,
    "softmax-mean": _softmax_mean,
    "geometric-mean": _geometric_mean,
}


def fuse(
    models: Sequence[ClipScores],
    weights: Sequence[float] | None = None,
    how: str = "mean",
    *,
    common: bool = False,
    names: Sequence[str] | None = None,
) -> ClipScores:
    """The scores of several models as those of one.

    Args:
        models: what each said of the clips, in any order of these.
        weights: one a model, of at least 0; only their ratios count. Default: all the same.
        how: "mean" of the scores; "softmax-mean", of their softmax, for scores that are no
            probabilities; "geometric-mean" of probabilities, scaled to add up to 1.
        common: leave out clips that not all models have scores for; without it they are an error.
        names: what messages call the models.

    Returns:
        The clips in the order of the first model, with its paths.

    Raises:
        ValueError: no model, no such `how`, or weights that do not fit.
        DumpError: a clip is there twice or not everywhere, has another label, or classes differ.
    """
    called = list(names or (f"model {number}" for number in range(1, len(models) + 1)))
    shares = _shares(weights, len(models))
    if how not in WAYS:
        raise ValueError(f"how to fuse must be one of {', '.join(WAYS)}, got {how!r}")
    first, rows = models[0], matched_rows(models, called, common=common)
    if first.is_multi_label and how != "mean":
        raise DumpError(f"{called[0]}: its clips may have several labels, whose scores are fused by 'mean' alone")
    stacked = np.stack([model.scores[own].astype(np.float64) for model, own in zip(models, rows, strict=True)])
    own = rows[0]
    return replace(
        first,
        paths=tuple(first.paths[place] for place in own.tolist()),
        labels=first.labels[own],
        scores=WAYS[how](stacked, shares).astype(np.float32),
        classes=next((model.classes for model in models if model.classes), ()),
        starts=None if first.starts is None else first.starts[own],
        ends=None if first.ends is None else first.ends[own],
    )


def matched_rows(models: Sequence[ClipScores], called: Sequence[str], *, common: bool = False) -> list[np.ndarray]:
    """Which rows of each model are of the same clips, by what names a clip, whatever the order.

    Args:
        models: what each said of the clips.
        called: what messages call the models.
        common: leave out clips that not all models have; without it they are an error.

    Returns:
        For each model (M,) int64, in the order of the first.

    Raises:
        DumpError: a clip is there twice or not everywhere, has another label, or classes differ.
    """
    first = models[0]
    for other, name in zip(models[1:], called[1:], strict=True):
        _require_same_classes(first, other, called[0], name)
    places = [_places(model, _are_below_roots(models), name) for model, name in zip(models, called, strict=True)]
    kept = [clip for clip in places[0] if all(clip in others for others in places)]
    if not common:
        _require_same_clips(places, called)
    if not kept:
        raise DumpError(f"{', '.join(called)}: have no clip in common: are they of the same annotations?")
    rows = [np.array([own[clip] for clip in kept]) for own in places]
    for model, own, name in zip(models, rows, called, strict=True):
        if model.is_multi_label != first.is_multi_label:
            single, several = (called[0], name) if model.is_multi_label else (name, called[0])
            raise DumpError(f"{single}: has one label a clip, but {several} may have several: they cannot be fused")
        differ = (model.labels[own] != first.labels[rows[0]]).reshape(len(kept), -1).any(axis=1)
        if differ.any():
            place = int(differ.argmax())
            expected, actual = _label(first, int(rows[0][place])), _label(model, int(own[place]))
            raise DumpError(
                f"{name}: {kept[place]} has the label {actual}, but {expected} in {called[0]}: they were measured with"
                " other annotations"
            )
    return rows


def _label(model: ClipScores, place: int) -> str:
    """Such as "2 (waving)"."""
    return ", ".join(f"{index} ({model.names[index]})" for index in model.labels_of(place)) or "none"


def _shares(weights: Sequence[float] | None, count: int) -> np.ndarray:
    """Weights that add up to 1."""
    given = [1.0] * count if weights is None else [float(weight) for weight in weights]
    if not count or len(given) != count:
        raise ValueError(f"need one weight a model, and a model: got {len(given)} weights for {count} models")
    if not all(math.isfinite(weight) and weight >= 0 for weight in given) or not sum(given):
        raise ValueError(f"weights must be numbers of at least 0, not all 0, got {', '.join(map(str, given))}")
    return np.array(given) / sum(given)


def _are_below_roots(models: Sequence[ClipScores]) -> bool:
    """Are all paths relative to a folder, which may be another one for each model?"""
    return all(model.root for model in models)


def _places(model: ClipScores, below_roots: bool, name: str) -> dict[ClipId, int]:
    """Place of each clip by what names it."""
    paths = model.paths if below_roots else model.full_paths
    ids = [clip._replace(path=path) for clip, path in zip(model.ids, paths, strict=True)]
    places = {clip: place for place, clip in enumerate(ids)}
    if len(places) < len(ids):
        twice = [clip for clip, count in Counter(ids).items() if count > 1]
        raise DumpError(
            f"{name}: {_clips(twice)} there more than once, so it is not clear which scores belong together"
        )
    return places


def _require_same_classes(first: ClipScores, other: ClipScores, first_name: str, name: str) -> None:
    if first.num_classes != other.num_classes:
        raise DumpError(f"{name}: has {other.num_classes} classes, but {first_name} has {first.num_classes}")
    if not first.classes or not other.classes or first.classes == other.classes:
        return
    place = next(i for i, pair in enumerate(zip(first.classes, other.classes, strict=True)) if pair[0] != pair[1])
    raise DumpError(
        f"{name}: class {place} is {other.classes[place]!r}, but {first.classes[place]!r} in {first_name}: scores of"
        " other classes cannot be fused"
    )


def _require_same_clips(places: Sequence[dict[ClipId, int]], names: Sequence[str]) -> None:
    for others, name in zip(places[1:], names[1:], strict=True):
        for own, other, has, lacks in ((places[0], others, names[0], name), (others, places[0], name, names[0])):
            missing = [clip for clip in own if clip not in other]
            if missing:
                raise DumpError(
                    f"{lacks}: {_clips(missing)} in {has} alone; --common measures without clips that are not in all"
                    " (common=True)"
                )


def _clips(clips: Sequence[ClipId]) -> str:
    """Such as "2 clips are (a.mp4, b.mp4)"."""
    shown = ", ".join(map(str, clips[:SHOWN])) + (", ..." if len(clips) > SHOWN else "")
    return f"1 clip is ({shown})" if len(clips) == 1 else f"{len(clips)} clips are ({shown})"
