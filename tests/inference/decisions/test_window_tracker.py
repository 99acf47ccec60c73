import numpy as np
import pytest

from kinema.inference.decisions import DecisionSettings, EventTracker, OverlapMean, WindowTracker
from kinema.inference.windows import WindowScore, overlap_mean


def windows_of(random, length, stride, duration, frame_seconds):
    """Windows over frames of a variable rate: each starts with a frame, the last ends with the last frame."""
    times = np.cumsum(random.uniform(0.5, 1.5, int(duration / frame_seconds)) * frame_seconds)
    times -= times[0]
    windows, end = [], float(times[-1] + frame_seconds)
    starts = [*np.arange(0, max(end - length, 0) + 1e-9, stride), max(end - length, 0)]
    for start in starts:
        inside = times[(times >= start) & (times < start + length)]
        stop = min(float(start + length), end)
        if len(inside) and (not windows or windows[-1].start_seconds < inside[0]):
            windows.append(WindowScore(float(inside[0]), stop, 0, 1, random.dirichlet([1, 1]).astype(np.float32)))
    return windows


def updates_of(windows, stride):
    mean = OverlapMean(stride)
    updates = [update for window in windows for update in mean.push(window)]
    end = mean.end_seconds
    return updates + mean.finish(), end


@pytest.mark.parametrize("seed", range(20))
def test_scores_between_windows_are_their_weighted_mean_and_cover_every_moment(seed):
    random = np.random.default_rng(seed)
    stride = random.choice([0.2, 0.5, 1.0])
    length = stride * random.choice([1, 1.5, 2, 5])
    windows = windows_of(random, length, stride, random.uniform(0.5, 12), 0.04)
    updates, end = updates_of(windows, stride)
    times = np.array([time for time, _ in updates])
    assert times[0] == windows[0].start_seconds
    assert (np.diff(times) > 0).all()
    assert np.diff([*times, end]).max() <= stride / 2 + 0.08  # up to where the first frame of the next window is
    assert np.allclose(np.sum([scores for _, scores in updates], axis=1), 1, atol=1e-6)
    starts, ends = (np.array([getattr(one, name) for one in windows]) for name in ("start_seconds", "end_seconds"))
    rows = np.stack([one.scores for one in windows])
    middles = (times + np.array([*times[1:], end])) / 2
    actual = np.array([scores for _, scores in updates])
    # What is known before the last window came, which may lie between two others, does not change.
    known = min(starts[-2] + stride, ends[-2]) if len(windows) > 1 else 0.0
    is_before = times < known - 1e-6
    for count, which in ((max(len(windows) - 1, 1), is_before), (len(windows), ~is_before)):
        expected = overlap_mean(starts[:count], ends[:count], rows[:count], middles[which])
        np.testing.assert_allclose(actual[which], expected, atol=1e-5)


def test_on_a_constant_rate_the_means_are_exact():
    random = np.random.default_rng(0)
    rows = random.dirichlet([1, 1, 1], 9).astype(np.float32)
    windows = [WindowScore(float(k), k + 2.0, 0, 1, row) for k, row in enumerate(rows)]
    updates, end = updates_of(windows, 1.0)
    assert [time for time, _ in updates] == [k / 2 for k in range(20)]
    assert end == 10
    starts = np.arange(9.0)
    expected = overlap_mean(starts, starts + 2, rows, np.arange(20) / 2 + 0.25)
    np.testing.assert_allclose([scores for _, scores in updates], expected, atol=1e-6)


def test_a_window_gives_its_scores_at_once_and_a_pause_keeps_them():
    mean = OverlapMean(1.0)
    assert [time for time, _ in mean.push(WindowScore(0.0, 2.0, 0, 1, np.array([0.25])))] == [0.0, 0.5]
    after = mean.push(WindowScore(7.0, 9.0, 0, 1, np.array([0.75])))
    assert [(time, scores[0]) for time, scores in after] == [(1.0, 0.25), (1.5, 0.25), (7.0, 0.75), (7.5, 0.75)]
    assert [time for time, _ in mean.finish()] == [8.0, 8.5]
    assert mean.finish() == []


@pytest.mark.parametrize("seed", range(10))
def test_windows_give_the_events_of_their_scores_over_time(seed):
    random = np.random.default_rng(seed)
    windows = windows_of(random, 1.0, 0.4, 30, 0.04)
    settings = DecisionSettings(best_only=True, merge_seconds=0.5, min_seconds=0.3, smoothing_seconds=0.7 * (seed % 2))
    updates, end = updates_of(windows, 0.4)
    plain, tracker = EventTracker(["a", "b"], settings), WindowTracker(["a", "b"], 0.4, settings)
    expected = [event for time, scores in updates for event in plain.update(time, scores)] + plain.finish(end)
    assert [event for window in windows for event in tracker.push(window)] + tracker.finish() == expected
    assert len(expected) > 4


def test_after_a_cut_another_recording_begins():
    tracker = WindowTracker(["a"], 1.0)
    assert tracker.cut() == []
    (entered,) = tracker.push(WindowScore(0.0, 2.0, 0, 1, np.array([0.9])))
    assert (entered.kind, tracker.present) == ("entered", ("a",))
    (left,) = tracker.cut()
    assert (left.kind, left.time_seconds) == ("left", 2.0)
    (entered,) = tracker.push(WindowScore(2.5, 4.5, 0, 1, np.array([0.9])))
    assert entered.time_seconds == 2.5
    assert [event.time_seconds for event in tracker.finish()] == [4.5]
    assert tracker.finish() == []


@pytest.mark.parametrize("start", [np.nextafter(2.0, 0), 1.7, 1.2])
def test_a_recording_may_begin_before_the_last_frame_of_the_one_before_was_expected_to_end(start):
    tracker = WindowTracker(["a"], 1.0)
    tracker.push(WindowScore(0.0, 2.0, 0, 1, np.array([0.9])))
    tracker.cut()
    events = tracker.push(WindowScore(start, start + 0.7, 0, 1, np.array([0.9])))
    events += tracker.push(WindowScore(start + 0.5, start + 2.5, 0, 1, np.array([0.9])))
    assert [event.time_seconds for event in events] == [2.0]
    (left,) = tracker.finish()
    assert (left.segment.start_seconds, left.segment.end_seconds) == (2.0, start + 2.5)
    tracker = WindowTracker(["a"], 1.0)
    tracker.push(WindowScore(0.0, 2.0, 0, 1, np.array([0.9])))
    tracker.cut()
    assert tracker.push(WindowScore(1.9, 2.0, 0, 1, np.array([0.9]))) == tracker.cut() == []


def test_strides_and_windows_that_would_take_for_ever_are_refused():
    with pytest.raises(ValueError, match=r"stride_seconds must be at least 0\.001, got 0"):
        OverlapMean(0)
    with pytest.raises(ValueError, match=r"a window from 0 to 1e\+09 s is longer than 100000 strides of 1 s"):
        OverlapMean(1).push(WindowScore(0, 1e9, 0, 1, np.array([0.9])))
