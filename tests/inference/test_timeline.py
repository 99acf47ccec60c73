"""Timelines of videos and of stored scores."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from kinema.checkpoints.contract import ModelContract
from kinema.inference.decisions import DecisionSettings, WindowTracker
from kinema.inference.timeline import Timeline, default_settings, save_segments
from kinema.inference.windows import VideoFacts, WindowEngine, WindowScore, WindowScores
from kinema.video import VideoReader, VideoWriter

FACTS = VideoFacts(
    video="game.mp4", model="work/run", classes=("jump", "run", "sit"), length_seconds=1.0, stride_seconds=1.0
)


def scores_of(rows, *, start=0.0, **facts):
    """Windows of a second each, without overlap."""
    windows = [
        WindowScore(start + k, start + k + 1.0, 25 * k, 25 * k + 25, np.float32(row)) for k, row in enumerate(rows)
    ]
    return WindowScores.of(windows, replace(FACTS, **facts))


ROWS = [[0.7, 0.2, 0.1]] * 3 + [[0.1, 0.6, 0.3]] * 2 + [[0.3, 0.3, 0.4]]


def test_the_best_class_of_each_moment_makes_the_segments_of_a_model_that_chooses_one():
    timeline = Timeline.of(scores_of(ROWS, start=7.5))
    shown = [(s.start_seconds, s.end_seconds, s.label, round(s.score, 3), s.video) for s in timeline.segments]
    assert shown == [
        (0, 3, "jump", 0.7, "game.mp4"),
        (3, 5, "run", 0.6, "game.mp4"),
        (5, 6, "sit", 0.4, "game.mp4"),
    ], "seconds from the first frame, whatever the clock of the file says"
    assert repr(timeline) == "Timeline('game.mp4', 6.0 s, 3 segments: jump 1 (3.0 s), run 1 (2.0 s), sit 1 (1.0 s))"
    assert [bout.total_seconds for bout in timeline.bouts()] == [3, 2, 1]


def test_other_settings_need_no_network():
    timeline = Timeline.of(scores_of(ROWS))
    assert [s.label for s in timeline.decide(threshold=0.5).segments] == ["jump", "run"]
    several = timeline.decide(best_only=False, thresholds={"sit": 0.3}, threshold=0.25)
    assert [(s.start_seconds, s.label) for s in several.segments] == [(0, "jump"), (3, "run"), (3, "sit"), (5, "jump")]
    only = timeline.decide(background=("run",), classes=("run", "sit"))
    assert [s.label for s in only.segments] == ["sit"]
    assert [bout.label for bout in only.bouts()] == ["sit"]
    assert only.decide(min_seconds=2).segments == ()
    assert repr(only.decide(min_seconds=2)) == "Timeline('game.mp4', 6.0 s, 0 segments)"
    with pytest.raises(TypeError, match="min_second"):
        timeline.decide(min_second=2)
    with pytest.raises(ValueError, match="classes: there is no class 'runs', but run"):
        timeline.decide(classes=("runs",))


def test_scores_over_time_are_those_that_decisions_see():
    times, scores = Timeline.of(scores_of(ROWS)).over_time()
    np.testing.assert_allclose(times, np.arange(12) / 2)
    np.testing.assert_allclose(scores, np.repeat(ROWS, 2, axis=0), atol=1e-7)


def test_tuned_thresholds_are_used_and_classes_that_exclude_each_other_stay_apart():
    assert default_settings(scores_of(ROWS)) == DecisionSettings(best_only=True)
    assert default_settings(scores_of(ROWS, is_multi_label=True)) == DecisionSettings()
    tuned = Timeline.of(scores_of(ROWS, thresholds={"run": 0.65, "jump": 0.2}))
    assert [s.label for s in tuned.segments] == ["jump", "sit"], "0.6 is not enough for run, and nothing else is best"
    several = Timeline.of(scores_of(ROWS, thresholds={"sit": 0.25}, is_multi_label=True))
    assert [(s.start_seconds, s.label) for s in several.segments] == [(0, "jump"), (3, "run"), (3, "sit")]


def test_segments_are_written_in_other_programs_formats(tmp_path):
    timeline = Timeline.of(scores_of(ROWS))
    timeline.save(tmp_path / "game.srt")
    assert "00:00:03,000 --> 00:00:05,000" in (tmp_path / "game.srt").read_text()
    other = Timeline.of(scores_of(ROWS[:1], video="b.mp4"))
    save_segments(tmp_path / "all.csv", [timeline, other])
    with (tmp_path / "all.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 4
    save_segments(tmp_path / "all.boris", [timeline, other])
    assert '"length": {}' in (tmp_path / "all.boris").read_text(), "the videos are not there any more"
    with pytest.raises(ValueError, match=r"game\.xyz: no format has the suffix"):
        timeline.save(tmp_path / "game.xyz")


def test_a_recognizer_gives_the_timeline_of_a_video(make_recognizer, make_video, tmp_path):
    recognizer = make_recognizer(contract=ModelContract(clip_seconds=1.0))
    video = make_video(num_frames=60)
    timeline = recognizer.timeline(video, stride_seconds=0.5)
    assert (timeline.duration_seconds, timeline.scores.facts.length_seconds) == (6, 1)
    assert {s.label for s in timeline.segments} <= set(recognizer.classes)
    assert sum(s.seconds for s in timeline.segments) == pytest.approx(6), "at every moment a class is the best"
    assert timeline.segments[0].video == str(video)
    timeline.save(tmp_path / "tasks.json", "label-studio")
    assert '"jump"' in (tmp_path / "tasks.json").read_text() or '"run"' in (tmp_path / "tasks.json").read_text()
    timeline.save(tmp_path / "project.boris")
    (observation,) = json.loads((tmp_path / "project.boris").read_text())["observations"].values()
    assert list(observation["media_info"]["length"].values()) == [6.0]
    timeline.scores.save(tmp_path / "video.npz")
    assert Timeline.of(WindowScores.load(tmp_path / "video.npz")).segments == timeline.segments
    with pytest.raises(ValueError, match="classes: there is no class 'walk'"):
        recognizer.timeline("absent.mp4", DecisionSettings(classes=("walk",)))


def test_of_a_variable_rate_the_times_are_those_of_the_frames(make_recognizer, tmp_path):
    times = np.concatenate([np.arange(0, 2, 0.05), np.arange(2, 4, 0.2)])  # 20 frames a second, then 5
    with VideoWriter(tmp_path / "video.mp4", 10) as writer:
        for place, time in enumerate(times):
            writer.write(np.full((48, 64, 3), 10 + 4 * place, np.uint8), time)
    timeline = make_recognizer(contract=ModelContract(clip_seconds=1.0)).timeline(tmp_path / "video.mp4")
    assert 3.8 < timeline.duration_seconds <= 4.0, "the last frame is shown at 3.8 s"
    assert timeline.segments[-1].end_seconds == timeline.duration_seconds
    begins, _ = timeline.over_time()
    for begin in np.arange(0, 3.0, 0.5):  # windows start with the first frame in them
        first = times[np.searchsorted(times, begin - 1e-6)]
        assert np.abs(begins - first).min() < 1e-3


def test_a_stream_of_the_same_frames_gives_the_same_segments(make_recognizer, tmp_path):
    """At a variable rate, pushed frame by frame as a camera would."""
    random = np.random.default_rng(3)
    times = np.cumsum(random.uniform(0.02, 0.2, 90)) - 0.02
    times -= times[0]
    greys = 120 + 110 * np.sin(np.arange(90) / 9)
    with VideoWriter(tmp_path / "video.mkv", 10) as writer:
        for time, grey in zip(times, greys, strict=True):
            writer.write(np.full((48, 64, 3), round(grey), np.uint8), time)
    recognizer = make_recognizer(contract=ModelContract(clip_seconds=1.0))
    timeline = recognizer.timeline(tmp_path / "video.mkv", stride_seconds=0.4)
    levels = dict(zip(recognizer.classes, np.median(timeline.scores.scores, axis=0).tolist(), strict=True))
    timeline = timeline.decide(
        best_only=False, thresholds=levels, smoothing_seconds=0.6, merge_seconds=0.5, min_seconds=0.3
    )
    expected = timeline.segments
    engine = WindowEngine(recognizer, stride_seconds=0.4)
    tracker = WindowTracker(recognizer.classes, engine.stride_seconds, timeline.settings)
    with VideoReader(tmp_path / "video.mkv") as reader:
        windows = [
            window
            for frame, time in zip(reader, reader.timestamps_seconds, strict=True)
            for window in engine.push(frame, time)
        ]
    events = [event for window in [*windows, *engine.finish()] for event in tracker.push(window)] + tracker.finish()
    segments = sorted(event.segment for event in events if event.segment is not None)
    assert len(segments) >= 3
    assert [(s.start_seconds, s.end_seconds, s.label) for s in segments] == [
        (s.start_seconds, s.end_seconds, s.label) for s in expected
    ]
    np.testing.assert_allclose([s.score for s in segments], [s.score for s in expected], atol=1e-5)
