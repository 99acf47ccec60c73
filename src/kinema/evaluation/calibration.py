"""How far the scores of a model are probabilities, and one number that makes them better ones.

Pure numpy, usable alone. Calibration error and temperature scaling follow Guo et al. 2017, "On
calibration of modern neural networks", arXiv:1706.04599, sections 2 and 4.2.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from kinema.evaluation.functional import softmax

NUM_BINS = 15
LOWEST_TEMPERATURE = 0.02
HIGHEST_TEMPERATURE = 100.0  # a contract takes up to 1000
FOLDS = 5
FEW_CLIPS = 20  # of fewer, a temperature would be that of single clips
_HALVINGS = 30  # of an interval of 8.5 in the logarithm of the temperature: exact to 1e-8
_TINY = float(np.finfo(np.float32).tiny)
_BELOW_ONE = 1 - 2.0**-24  # the float32 before 1


def calibrated(
    scores: np.ndarray, temperature: float, *, multi_label: bool = False, from_logits: bool | None = None
) -> np.ndarray:
    """Scores with their logits divided by a temperature.

    Of views that were averaged these are the logits of the average. The order of the classes of a
    clip does not change.

    Args:
        scores: (..., N) probabilities or logits.
        temperature: above 0; 1 leaves probabilities as they are.
        multi_label: each class is there or not by itself: `sigmoid(logit(p) / T)`; else
            `softmax(log(p) / T)`.
        from_logits: are the scores logits? None: unless `are_probabilities`.

    Returns:
        (..., N) float32 probabilities.

    Raises:
        ValueError: `temperature` is not above 0.
    """
    if not temperature > 0:
        raise ValueError(f"the temperature must be above 0, got {temperature}")
    scaled = logits(scores, multi_label=multi_label, from_logits=from_logits) / temperature
    return probabilities(scaled, multi_label=multi_label).astype(np.float32)


def logits(scores: np.ndarray, *, multi_label: bool = False, from_logits: bool | None = None) -> np.ndarray:
    """(..., N) scores -> (..., N) float64 logits; of logits those themselves, see `calibrated`."""
    values = np.asarray(scores, dtype=np.float64)
    if from_logits or (from_logits is None and not are_probabilities(values, multi_label=multi_label)):
        return values
    if multi_label:
        inside = np.clip(values, _TINY, _BELOW_ONE)
        return np.log(inside) - np.log1p(-inside)
    return np.log(np.maximum(values, _TINY))


def are_probabilities(scores: np.ndarray, *, multi_label: bool = False) -> bool:
    """Are (..., N) scores in [0, 1], and, where a clip has one label, do those of a clip add up to 1?"""
    values = np.asarray(scores, dtype=np.float64)
    if not values.size or values.min() < 0 or values.max() > 1:
        return False
    return multi_label or bool(np.abs(values.sum(axis=-1) - 1).max() < 1e-3)


def probabilities(values: np.ndarray, *, multi_label: bool = False) -> np.ndarray:
    """(..., N) logits -> (..., N) probabilities: their softmax, of `multi_label` their sigmoid."""
    if multi_label:
        result: np.ndarray = np.exp(-np.logaddexp(0.0, -values))
        return result
    return softmax(values)


# ---- how far scores are from what happens


@dataclass(frozen=True)
class ReliabilityBin:
    """Scores of one range, and how often they were right.

    Attributes:
        low: scores above it ...
        high: ... and up to it.
        count: scores in the range.
        confidence: their mean; NaN without scores.
        accuracy: the share of them that was right; NaN without scores.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


def top_label(scores: np.ndarray, labels: np.ndarray, *, multi_label: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The statements whose truth calibration is about.

    Args:
        scores: (B, N) probabilities.
        labels: (B,) classes; of `multi_label` (B, N) of 0 and 1.
        multi_label: each class of each clip is a statement; else the likeliest class of each clip
            is the only one.

    Returns:
        (M,) confidences and (M,) bool: were they right?

    Raises:
        ValueError: shapes do not fit, or there are no clips.
    """
    scores, labels = np.asarray(scores), np.asarray(labels)
    expected = scores.shape if multi_label else scores.shape[:1]
    if scores.ndim != 2 or not scores.size or labels.shape != expected:
        what = "a row of 0 and 1" if multi_label else "one class"
        raise ValueError(f"need scores (clips, classes) and {what} a clip, got {scores.shape} and {labels.shape}")
    if multi_label:
        return scores.reshape(-1), labels.reshape(-1).astype(bool)
    return scores.max(axis=1), scores.argmax(axis=1) == labels


def reliability_bins(confidences: np.ndarray, hits: np.ndarray, num_bins: int = NUM_BINS) -> tuple[ReliabilityBin, ...]:
    """Confidences in bins of equal width, as a reliability diagram shows them.

    Args:
        confidences: (M,) in [0, 1].
        hits: (M,) bool: was it right?
        num_bins: bin m of K holds the confidences in ((m - 1) / K, m / K], the first also 0.

    Raises:
        ValueError: a confidence is out of range, or shapes differ, or `num_bins` is below 1.

    Source: Guo et al. 2017, section 2.
    """
    values, right = np.asarray(confidences, dtype=np.float64), np.asarray(hits, dtype=bool)
    if num_bins < 1 or values.ndim != 1 or values.shape != right.shape:
        raise ValueError(f"need as many hits as confidences and at least 1 bin, got {values.shape}, {right.shape}")
    if values.size and not (values.min() >= 0 and values.max() <= 1 + 1e-6):
        raise ValueError(f"confidences must be from 0 to 1, got {values.min():g} to {values.max():g}")
    places = np.clip(np.ceil(values * num_bins).astype(int) - 1, 0, num_bins - 1)
    counts = np.bincount(places, minlength=num_bins)
    sums = np.bincount(places, weights=values, minlength=num_bins)
    rights = np.bincount(places, weights=right, minlength=num_bins)
    return tuple(
        ReliabilityBin(
            place / num_bins,
            (place + 1) / num_bins,
            int(count),
            float(sums[place] / count) if count else math.nan,
            float(rights[place] / count) if count else math.nan,
        )
        for place, count in enumerate(counts.tolist())
    )


def expected_calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Mean distance of confidence and accuracy, weighted by the scores of each bin; NaN without any.

    Source: Guo et al. 2017, equation 3.
    """
    total = sum(part.count for part in bins)
    if not total:
        return math.nan
    return math.fsum(part.count / total * abs(part.accuracy - part.confidence) for part in bins if part.count)


def _loss(values: np.ndarray, labels: np.ndarray, multi_label: bool) -> float:
    if multi_label:
        return float(np.logaddexp(0.0, np.where(labels.astype(bool), -values, values)).mean())
    highest = values.max(axis=1)
    total = highest + np.log(np.exp(values - highest[:, None]).sum(axis=1))
    return float((total - values[np.arange(len(values)), labels]).mean())


# ---- temperature


@dataclass(frozen=True)
class Temperature:
    """A temperature, or why there is none.

    Attributes:
        value: what logits are divided by; None: leave them.
        reason: why there is none; empty where there is.
    """

    value: float | None
    reason: str = ""

    @property
    def factor(self) -> float:
        """`value`, else 1."""
        return 1.0 if self.value is None else self.value


def fit_temperature(scores: np.ndarray, labels: np.ndarray, *, multi_label: bool = False) -> Temperature:
    """The temperature with the lowest negative log-likelihood.

    That is convex in 1 / T, so the sign of its derivative is bisected. There is none where the
    clips cannot show it: fewer than 20, all of one class, all right (the likelihood then grows
    without end as T falls to 0), or scores that say nothing of the labels (T grows without end).

    Args:
        scores: (B, N), see `calibrated`.
        labels: (B,) classes; of `multi_label` (B, N) of 0 and 1.
        multi_label: a clip may have several labels.

    Raises:
        ValueError: shapes do not fit.

    Source: Guo et al. 2017, section 4.2.
    """
    top_label(scores, labels, multi_label=multi_label)  # checks the shapes
    return _fit(logits(scores, multi_label=multi_label), np.asarray(labels), multi_label)


def _fit(values: np.ndarray, truth: np.ndarray, multi_label: bool) -> Temperature:
    reason = _why_untold(values, truth, multi_label)
    if reason:
        return Temperature(None, reason)
    low, high = math.log(LOWEST_TEMPERATURE), math.log(HIGHEST_TEMPERATURE)
    if _slope(values, truth, math.exp(-high), multi_label) >= 0:
        return Temperature(None, "the scores say nothing of the labels: no temperature is too high for them")
    if _slope(values, truth, math.exp(-low), multi_label) <= 0:
        return Temperature(None, "the scores are right as far as these clips show: no temperature is too low for them")
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        # A positive slope in 1 / T: the likelihood grows as T does.
        low, high = (middle, high) if _slope(values, truth, math.exp(-middle), multi_label) > 0 else (low, middle)
    return Temperature(math.exp((low + high) / 2))


def _why_untold(values: np.ndarray, labels: np.ndarray, multi_label: bool) -> str:
    if len(values) < FEW_CLIPS:
        return f"there are only {len(values)} clips, fewer than {FEW_CLIPS}"
    if multi_label:
        positive = labels.astype(bool)
        if positive.all() or not positive.any():
            return "all labels are the same"
        return "every score is on the right side" if bool(((values > 0) == positive).all()) else ""
    if len(np.unique(labels)) < 2:
        return "all clips are of one class"
    return "every clip is right" if bool((values.argmax(axis=1) == labels).all()) else ""


def _slope(values: np.ndarray, labels: np.ndarray, inverse: float, multi_label: bool) -> float:
    """Derivative of the negative log-likelihood by 1 / T."""
    expected = probabilities(values * inverse, multi_label=multi_label)
    if multi_label:
        return float(((expected - labels) * values).mean())
    centred = values - values.max(axis=1, keepdims=True)
    true = centred[np.arange(len(values)), labels]
    return float(((expected * centred).sum(axis=1) - true).mean())


# ---- before and after


@dataclass(frozen=True)
class Calibration:
    """What a temperature does for the scores of some clips.

    Attributes:
        temperature: fitted to all clips; None: scores stay as they are.
        reason: why there is none; empty where there is.
        before: bins of the scores as they were.
        after: bins of the calibrated ones; those of clips that no part of the fit saw, where
            `folds` is not 0.
        ece_before: expected calibration error of the scores as they were.
        ece_after: of the calibrated ones.
        loss_before: negative log-likelihood of the scores as they were.
        loss_after: of the calibrated ones.
        folds: parts that were calibrated by the others to measure "after"; 0: it was measured on
            the clips of the fit, so it is too good.
    """

    temperature: float | None
    reason: str
    before: tuple[ReliabilityBin, ...]
    after: tuple[ReliabilityBin, ...]
    ece_before: float
    ece_after: float
    loss_before: float
    loss_after: float
    folds: int


def calibrate(
    scores: np.ndarray,
    labels: np.ndarray,
    sources: Sequence[Hashable] | None = None,
    *,
    multi_label: bool = False,
    folds: int = FOLDS,
    num_bins: int = NUM_BINS,
) -> Calibration:
    """Fit a temperature to all clips, and measure what it does on clips that it was not fitted to.

    Whole sources are dealt into folds; the scores of each are calibrated by the temperature of the
    others, or stay where these have none.

    Args:
        scores: (B, N), see `calibrated`.
        labels: (B,) classes; of `multi_label` (B, N) of 0 and 1.
        sources: (B,) source video of each clip; None: each clip is its own.
        multi_label: a clip may have several labels.
        folds: at most as many as there are sources; below 2: measure on the clips of the fit.
        num_bins: of the calibration error.

    Raises:
        ValueError: shapes do not fit.
    """
    top_label(scores, labels, multi_label=multi_label)  # checks the shapes
    values, truth = logits(scores, multi_label=multi_label), np.asarray(labels)
    fit = _fit(values, truth, multi_label)
    parts = fold_of(range(len(values)) if sources is None else sources, folds)
    num_folds = int(parts.max()) + 1 if fit.value is not None else 0
    if num_folds < 2:
        num_folds, scaled = 0, values / fit.factor
    else:
        scaled = np.empty_like(values)
        for number in range(num_folds):
            held = parts == number
            scaled[held] = values[held] / _fit(values[~held], truth[~held], multi_label).factor
    figures = []
    for part in (values, scaled):
        confidences, hits = top_label(probabilities(part, multi_label=multi_label), truth, multi_label=multi_label)
        bins = reliability_bins(np.minimum(confidences, 1.0), hits, num_bins)
        figures.append((bins, expected_calibration_error(bins), _loss(part, truth, multi_label)))
    (before, ece_before, loss_before), (after, ece_after, loss_after) = figures
    return Calibration(
        *(fit.value, fit.reason, before, after, ece_before, ece_after, loss_before, loss_after, num_folds)
    )


def fold_of(sources: Sequence[Hashable], folds: int) -> np.ndarray:
    """(B,) number of the fold of each clip: whole sources, the largest first, into the smallest fold.

    There are as many folds as `folds` or as there are sources, whichever is fewer.
    """
    sizes: dict[Hashable, int] = {}
    for source in sources:
        sizes[source] = sizes.get(source, 0) + 1
    filled = [0] * max(1, min(folds, len(sizes)))
    chosen: dict[Hashable, int] = {}
    for source in sorted(sizes, key=lambda key: -sizes[key]):  # stable: the first of equal size first
        chosen[source] = filled.index(min(filled))
        filled[chosen[source]] += sizes[source]
    return np.array([chosen[source] for source in sources], dtype=int)
