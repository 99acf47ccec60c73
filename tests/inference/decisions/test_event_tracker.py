"""Segments are what a slow, independent computation over the whole video gives, and what events say."""

import itertools

import numpy as np
import pytest

from kinema.inference.decisions import DecisionSettings, EventTracker
from kinema.structures import Segment

CLASSES = ("run", "jump", "nothing")


def tracked(starts, ends, scores, settings, classes=CLASSES):
    """Events of cells in order; where they do not touch, the time between is unknown."""
    tracker = EventTracker(classes, settings)
    events = []
    for place, (start, values) in enumerate(zip(starts, scores, strict=True)):
        if place and ends[place - 1] < start:
            events += tracker.cut(ends[place - 1])
        events += tracker.update(start, values)
    events += tracker.finish(ends[-1])
    assert tracker.present == ()
    return events


def segments_of(events):
    return sorted(event.segment for event in events if event.segment is not None)


def slow_segments(starts, ends, scores, settings, classes=CLASSES):
    """By definition, over the whole video at once; scores of each stretch without a gap for itself."""
    borders = [0, *(i for i in range(1, len(starts)) if ends[i - 1] < starts[i]), len(starts)]
    segments = []
    for first, stop in itertools.pairwise(borders):
        segments += _slow_stretch(starts[first:stop], ends[first:stop], scores[first:stop], settings, classes)
    return sorted(segments)


def _slow_stretch(starts, ends, scores, settings, classes):
    smooth = []
    for start, end in zip(starts, ends, strict=True):
        low, high = (
            (start + end) / 2 - settings.smoothing_seconds / 2,
            (start + end) / 2 + settings.smoothing_seconds / 2,
        )
        shares = np.array([max(0.0, min(e, high) - max(s, low)) for s, e in zip(starts, ends, strict=True)])
        own = scores[len(smooth)]
        smooth.append((shares[:, None] * scores).sum(0) / shares.sum() if settings.smoothing_seconds else own)
    smooth = np.array(smooth)
    default = (0.0 if settings.best_only else 0.5) if settings.threshold is None else settings.threshold
    levels = [settings.thresholds.get(label, default) for label in classes]
    is_on = np.zeros(smooth.shape, bool)
    best = None
    for place, values in enumerate(smooth):
        if settings.best_only:
            stay = 1 - settings.hysteresis
            if best is None or values[best] < stay * levels[best] or values[best] < stay * values.max():
                best = int(np.argmax(values))
                best = best if values[best] >= levels[best] else None
            if best is not None:
                is_on[place, best] = True
        else:
            for index, value in enumerate(values):
                stays = place and is_on[place - 1, index] and value >= (1 - settings.hysteresis) * levels[index]
                is_on[place, index] = value >= levels[index] or stays
    segments = []
    for index, label in enumerate(classes):
        if label in settings.background or (settings.classes is not None and label not in settings.classes):
            continue
        spans = []
        for place in np.flatnonzero(is_on[:, index]):
            gap = starts[place] - spans[-1][1] if spans else float("inf")
            if gap == 0 or gap < settings.merge_seconds - 1e-9:
                spans[-1][1], spans[-1][3] = ends[place], place
            else:
                spans.append([starts[place], ends[place], place, place])
        for start, end, first, last in spans:
            if end - start < settings.min_seconds - 1e-9:
                continue
            inside = smooth[first : last + 1, index]
            lengths = np.array(ends[first : last + 1]) - np.array(starts[first : last + 1])
            segments.append(Segment(start, end, label, float((lengths * inside).sum() / (end - start)), inside.max()))
    return segments


@pytest.mark.parametrize("seed", range(60))
def test_segments_are_those_of_a_slow_computation_over_the_whole_video(seed):
    random = np.random.default_rng(seed)
    count = int(random.integers(1, 40))
    lengths = random.uniform(0.03, 1.5, count)  # a variable rate
    gaps = random.uniform(0.1, 2.0, count) * (random.random(count) < 0.1)
    starts = random.uniform(0, 3) + np.cumsum(gaps) + np.concatenate([[0], np.cumsum(lengths)[:-1]])
    ends = np.where(np.append(gaps[1:], 1) > 0, starts + lengths, np.append(starts[1:], 0))
    ends[-1] = starts[-1] + lengths[-1]
    scores = random.dirichlet([1, 1, 1], count) if seed % 2 else random.random((count, 3))
    settings = DecisionSettings(
        threshold=random.choice([None, 0.4]),
        thresholds={} if seed % 3 else {"run": 0.3, "jump": 0.6},
        best_only=bool(seed % 2),
        hysteresis=random.choice([0.0, 0.3]),
        smoothing_seconds=random.choice([0.0, 0.4, 2.5]),
        merge_seconds=random.choice([0.0, 0.7]),
        min_seconds=random.choice([0.0, 0.9]),
        classes=None if seed % 5 else ("jump", "nothing"),
        background=("nothing",) if seed % 4 else (),
    )
    events = tracked(starts, ends, scores, settings)
    segments, expected = segments_of(events), slow_segments(starts, ends, scores, settings)
    assert [(s.start_seconds, s.end_seconds, s.label) for s in segments] == [
        (s.start_seconds, s.end_seconds, s.label) for s in expected
    ]
    np.testing.assert_allclose([s.score for s in segments], [s.score for s in expected], atol=1e-9)
    np.testing.assert_allclose([s.peak for s in segments], [s.peak for s in expected], atol=1e-9)
    entered = sorted((event.time_seconds, event.label) for event in events if event.kind == "entered")
    assert entered == sorted((s.start_seconds, s.label) for s in segments), "every event of entering has its segment"


def test_events_come_as_soon_as_they_are_certain():
    tracker = EventTracker(["a"], DecisionSettings())
    (event,) = tracker.update(1.0, [0.9])
    assert (event.kind, event.label, event.time_seconds, event.segment) == ("entered", "a", 1.0, None)
    assert event.score == pytest.approx(0.9)
    assert tracker.present == ("a",)
    (event,) = tracker.update(2.0, [0.1])
    assert (event.kind, event.time_seconds) == ("left", 2.0)
    assert event.segment == Segment(1.0, 2.0, "a", 0.9, 0.9)
    patient = EventTracker(["a"], DecisionSettings(min_seconds=1, merge_seconds=2))
    kinds = [
        [event.kind for event in patient.update(time, [score])]
        for time, score in [(0, 0.9), (0.5, 0.9), (1, 0.1), (2, 0.9), (3, 0.1), (4, 0.1), (5, 0.1)]
    ]
    assert kinds == [[], [], ["entered"], [], [], [], ["left"]]
    smoothed = EventTracker(["a"], DecisionSettings(smoothing_seconds=2))
    kinds = [[event.kind for event in smoothed.update(time, [0.9])] for time in range(4)]
    assert kinds == [[], [], ["entered"], []], "the mean around the middle of the first second needs a second more"


def test_a_class_leaves_where_the_scores_are_cut_and_nothing_spans_the_gap():
    tracker = EventTracker(["a"], DecisionSettings(merge_seconds=10, smoothing_seconds=3))
    assert tracker.cut(5.0) == []
    tracker.update(0.0, [0.8])
    cut = tracker.cut(4.0)
    assert [event.kind for event in cut] == ["entered", "left"]
    tracker.update(4.5, [0.6])
    (segment,) = segments_of(tracker.finish(5.0))
    assert (segment.start_seconds, segment.end_seconds, segment.score) == (4.5, 5.0, pytest.approx(0.6))
    assert tracker.finish() == []


def test_the_best_class_stays_until_another_is_clearly_better():
    scores = [[0.6, 0.4], [0.49, 0.51], [0.51, 0.49], [0.3, 0.7]]
    for hysteresis, expected in ((0.0, 4), (0.1, 2)):
        settings = DecisionSettings(best_only=True, hysteresis=hysteresis)
        events = tracked(range(4), range(1, 5), scores, settings, ("a", "b"))
        assert len(segments_of(events)) == expected
    nobody = DecisionSettings(best_only=True, threshold=0.8)
    assert tracked(range(4), range(1, 5), scores, nobody, ("a", "b")) == []


def test_what_suits_a_model_follows_from_its_thresholds_and_labels():
    assert DecisionSettings.of_model() == DecisionSettings(best_only=True)
    assert DecisionSettings.of_model(is_multi_label=True) == DecisionSettings()
    tuned = DecisionSettings.of_model(thresholds={"run": 0.25})
    assert (tuned.best_only, tuned.levels(CLASSES).tolist()) == (True, [0.25, 0.0, 0.0])
    several = DecisionSettings.of_model(thresholds={"run": 0.25}, is_multi_label=True)
    assert (several.best_only, several.levels(CLASSES).tolist()) == (False, [0.25, 0.5, 0.5])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(threshold=1.5), "threshold must be a score from 0 to 1, got 1.5"),
        (dict(thresholds={"run": -1}), "the threshold of run must be a score from 0 to 1, got -1"),
        (dict(hysteresis=1), "hysteresis must be a share of the threshold, from 0 to below 1, got 1"),
        (dict(min_seconds=-1), "min_seconds must be 0 or more seconds, got -1"),
        (dict(smoothing_seconds=float("nan")), "smoothing_seconds must be 0 or more seconds, got nan"),
        (dict(smoothing="mode"), "smoothing must be one of mean, median, gaussian, got 'mode'"),
        (dict(thresholds={"rum": 0.5}), "thresholds: there is no class 'rum', but run"),
        (dict(classes=("walk",)), "classes: there is no class 'walk', but run, jump, nothing"),
        (dict(background=("notihng",)), "background: there is no class 'notihng', but nothing"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        EventTracker(CLASSES, DecisionSettings(**settings))


def test_wrong_scores_and_times_are_named():
    tracker = EventTracker(["a"])
    with pytest.raises(ValueError, match=r"expected 1 scores, one a class, got an array of shape \(2,\)"):
        tracker.update(0, [0.1, 0.2])
    with pytest.raises(ValueError, match="the scores at 0 s are not all finite numbers"):
        tracker.update(0, [float("nan")])
    with pytest.raises(ValueError, match="times are 0 or more seconds, got -1"):
        tracker.update(-1, [0.5])
    tracker.update(1, [0.5])
    with pytest.raises(ValueError, match="times must ascend: got 1 s after 1 s"):
        tracker.update(1, [0.5])
    with pytest.raises(ValueError, match="say until when the scores of 1 s hold"):
        tracker.finish()
    tracker.cut(2)
    with pytest.raises(ValueError, match="times must ascend: got 1.5 s after 2 s"):
        tracker.update(1.5, [0.5])
