import math

import numpy as np
import pytest

from kinema.evaluation.calibration import (
    Temperature,
    are_probabilities,
    calibrate,
    calibrated,
    expected_calibration_error,
    fit_temperature,
    fold_of,
    probabilities,
    reliability_bins,
    top_label,
)


def negative_log_likelihood(scores, labels, *, multi_label):
    """Mean of -log of the probability of what is true, over the clips, or over clips and classes."""
    p = scores.astype(np.float64)
    right = np.where(labels == 1, p, 1 - p) if multi_label else p[np.arange(len(p)), labels]
    return -np.log(np.maximum(right, 1e-7)).mean()  # float32 has none nearer to 1


def drawn(count, temperature, *, classes=5, seed=0, multi_label=False):
    """Labels drawn from softmax(z), and the scores of a model that says softmax(z * temperature)."""
    generator = np.random.default_rng(seed)
    z = generator.normal(size=(count, classes)) * 2
    truth = probabilities(z, multi_label=multi_label)
    if multi_label:
        labels = (generator.random(z.shape) < truth).astype(int)
    else:
        labels = np.array([generator.choice(classes, p=row) for row in truth])
    return probabilities(z * temperature, multi_label=multi_label).astype(np.float32), labels


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_spoilt_scores_is_found_and_mends_them(temperature, multi_label):
    scores, labels = drawn(3000, temperature, multi_label=multi_label)
    report = calibrate(scores, labels, multi_label=multi_label)
    assert report.temperature == pytest.approx(temperature, rel=0.1)
    assert report.folds == 5
    assert report.ece_after < 0.02
    if temperature != 1:
        assert report.ece_before > 0.05
        assert report.loss_after < report.loss_before
    assert sum(one.count for one in report.before) == sum(one.count for one in report.after)
    # No temperature beside it has a higher likelihood.
    best = negative_log_likelihood(
        calibrated(scores, report.temperature, multi_label=multi_label), labels, multi_label=multi_label
    )
    for other in np.geomspace(0.3, 5, 5):
        changed = calibrated(scores, other, multi_label=multi_label)
        assert negative_log_likelihood(changed, labels, multi_label=multi_label) >= best - 1e-6


def test_calibrated_scores_are_those_of_divided_logits():
    z = np.random.default_rng(0).normal(size=(6, 4)) * 3
    np.testing.assert_allclose(calibrated(probabilities(z), 2.5), probabilities(z / 2.5), atol=1e-6)
    np.testing.assert_allclose(calibrated(z, 2.5), probabilities(z / 2.5), atol=1e-6)
    np.testing.assert_allclose(calibrated(np.full(3, 1 / 3), 7, from_logits=True), np.full(3, 1 / 3), atol=1e-6)
    sigmoid = 1 / (1 + np.exp(-z))
    np.testing.assert_allclose(calibrated(sigmoid, 0.5, multi_label=True), 1 / (1 + np.exp(-2 * z)), atol=1e-6)
    np.testing.assert_allclose(calibrated(probabilities(z), 1), probabilities(z), atol=1e-6)
    twice = calibrated(calibrated(probabilities(z), 2), 1.5)
    np.testing.assert_allclose(twice, calibrated(probabilities(z), 3), atol=1e-6)
    assert calibrated(probabilities(z)[0], 2).dtype == np.float32


@pytest.mark.parametrize("multi_label", [False, True])
def test_scores_of_exactly_0_and_1_stay_numbers(multi_label):
    scores = np.array([[1, 0, 0], [0, 1, 0]], dtype=np.float32)
    for temperature in (0.02, 1, 100):
        result = calibrated(scores, temperature, multi_label=multi_label)
        assert np.isfinite(result).all()
        assert (result.argmax(axis=1) == [0, 1]).all()
    with pytest.raises(ValueError, match="the temperature must be above 0, got 0"):
        calibrated(scores, 0)


def test_the_calibration_error_is_its_definition():
    generator = np.random.default_rng(1)
    confidences = np.append(generator.random(300), [0.0, 0.1, 0.2, 1.0])
    hits = generator.random(304) < confidences**2
    expected = 0.0
    for number in range(10):
        low, high = number / 10, (number + 1) / 10
        inside = [place for place, one in enumerate(confidences) if low < one <= high or (number == 0 and one == 0.0)]
        right = sum(bool(hits[place]) for place in inside) / len(inside)
        mean = sum(confidences[place] for place in inside) / len(inside)
        expected += len(inside) / 304 * abs(right - mean)
    bins = reliability_bins(confidences, hits, 10)
    assert expected_calibration_error(bins) == pytest.approx(expected, abs=1e-12)
    assert bins[0].count == sum(confidences <= 0.1)
    empty = reliability_bins(np.array([0.95]), np.array([True]), 10)
    assert math.isnan(empty[0].accuracy)
    assert expected_calibration_error(empty) == pytest.approx(0.05)
    assert math.isnan(expected_calibration_error(reliability_bins(np.array([]), np.array([]))))


def test_what_clips_cannot_tell_gives_no_temperature_and_says_why():
    scores, labels = drawn(400, 1.0)
    right = scores.argmax(axis=1)
    assert fit_temperature(scores[:5], labels[:5]) == Temperature(None, "there are only 5 clips, fewer than 20")
    assert fit_temperature(scores, right).reason == "every clip is right"
    assert fit_temperature(scores, np.zeros(400, int)).reason == "all clips are of one class"
    random = np.random.default_rng(0).permutation(labels)
    assert "the scores say nothing of the labels" in fit_temperature(1 / (scores + 0.01), random).reason
    assert "no temperature is too high" in fit_temperature(np.full((40, 2), 0.5), np.arange(40) % 2).reason
    sharp = np.tile([1.0, 0.0], (999, 1)), np.zeros(999, int)
    assert fit_temperature(np.vstack([sharp[0], [[0.5, 0.5]]]), np.append(sharp[1], 1)).reason.startswith(
        "the scores are right as far"
    )
    many, truth = drawn(400, 1.0, multi_label=True)
    assert fit_temperature(many, many > 0.5, multi_label=True).reason == "every score is on the right side"
    assert fit_temperature(many, np.zeros_like(truth), multi_label=True).reason == "all labels are the same"
    report = calibrate(scores, right)
    assert (report.temperature, report.folds, report.ece_after) == (None, 0, report.ece_before)


def test_after_is_measured_on_sources_that_no_fit_saw():
    scores, labels = drawn(200, 2.0)
    sources = [number // 25 for number in range(200)]
    folds = fold_of(sources, 5)
    assert all(len({folds[place] for place in range(200) if sources[place] == one}) == 1 for one in range(8))
    assert sorted(np.bincount(folds)) == [25, 25, 50, 50, 50]
    report = calibrate(scores, labels, sources, folds=5)
    slow = np.empty_like(scores)
    for number in range(5):
        held = folds == number
        slow[held] = calibrated(scores[held], fit_temperature(scores[~held], labels[~held]).factor)
    expected = expected_calibration_error(reliability_bins(*top_label(slow, labels)))
    assert report.ece_after == pytest.approx(expected, abs=1e-6)
    assert calibrate(scores, labels, [0] * 200).folds == 0, "one source cannot be held out"
    own = calibrate(scores, labels, folds=0)
    assert own.ece_after == pytest.approx(
        expected_calibration_error(reliability_bins(*top_label(calibrated(scores, own.temperature), labels))), abs=1e-6
    )


def test_what_is_no_probability_is_known():
    assert are_probabilities(np.array([[0.25, 0.75]]))
    assert not are_probabilities(np.array([[0.5, 0.75]]))
    assert are_probabilities(np.array([[0.5, 0.75]]), multi_label=True)
    assert not are_probabilities(np.array([[-0.5, 1.5]]))


def test_wrong_shapes_and_values_are_named():
    with pytest.raises(ValueError, match=r"one class a clip, got \(4, 2\) and \(3,\)"):
        calibrate(np.zeros((4, 2)), np.zeros(3, int))
    with pytest.raises(ValueError, match=r"a row of 0 and 1 a clip, got \(4, 2\) and \(4,\)"):
        fit_temperature(np.zeros((4, 2)), np.zeros(4, int), multi_label=True)
    with pytest.raises(ValueError, match=r"as many hits as confidences and at least 1 bin, got \(2,\), \(1,\)"):
        reliability_bins(np.zeros(2), np.zeros(1))
    with pytest.raises(ValueError, match="confidences must be from 0 to 1, got 0 to 2"):
        reliability_bins(np.array([0.0, 2.0]), np.zeros(2))
