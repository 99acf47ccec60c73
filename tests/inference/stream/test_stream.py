"""`Stream`, and a file through it: the same scores and events as a scan."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch

import kinema
from kinema.inference import VideoRecognizer
from kinema.inference.decisions import DecisionSettings
from kinema.inference.stream import Stream, StreamGap, StreamUpdate
from kinema.inference.stream.frame_queue import FrameQueue, StreamFrame
from kinema.inference.stream.live_source import SourceOptions
from kinema.inference.stream.recorder import EventRecorder
from kinema.inference.stream.watching import Watching, frame_rate_of, open_source
from kinema.inference.windows import WindowEngine
from kinema.models import create_model
from kinema.video import VideoReader, VideoWriter, write_video
from small_clips import pipeline_of_small_clips
from waiting import wait_until

CLASSES = ("jump", "run", "sit")
PIPELINE = pipeline_of_small_clips()


@pytest.fixture(scope="module")
def recognizer():
    torch.manual_seed(0)
    model = create_model("compact3d", num_classes=3)
    with torch.no_grad():  # scores that differ from window to window
        for parameter in model.cls_head.parameters():
            parameter.mul_(30)
    return VideoRecognizer(model, CLASSES, PIPELINE)


def frames_of_scenes():
    generator = np.random.default_rng(0)
    scenes = generator.integers(0, 255, (5, 6, 8, 3), np.uint8).repeat(8, 1).repeat(8, 2)
    return [np.roll(scenes[number // 12], 3 * number, 1) for number in range(55)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4", frames_of_scenes(), 10)


@pytest.fixture(scope="module")
def uneven_clip(tmp_path_factory):
    """Of a variable frame rate, with a still picture in it."""
    steps = np.random.default_rng(1).uniform(0.02, 0.2, 55)
    steps[30] = 1.7
    path = tmp_path_factory.mktemp("clip") / "uneven.mp4"
    with VideoWriter(path, 10) as writer:
        for frame, seconds in zip(frames_of_scenes(), 3.0 + np.cumsum(steps), strict=True):
            writer.write(frame, float(seconds))
    return path


def watched(stream, source):
    watching = Watching(stream, source)
    return watching, [*watching, watching.finish()]


@pytest.mark.parametrize(("name", "length"), [("clip", None), ("clip", 1.0), ("uneven_clip", 1.0)])
def test_a_file_has_the_scores_and_events_of_a_scan(recognizer, request, name, length):
    clip = request.getfixturevalue(name)
    expected = list(WindowEngine(recognizer, length_seconds=length).scan(clip))
    medians = np.median([scan.scores for scan in expected], axis=0).tolist()
    settings = DecisionSettings(thresholds=dict(zip(CLASSES, medians, strict=True)), hysteresis=0.01)
    stream = Stream(recognizer, length_seconds=length, decisions=settings, fps=frame_rate_of(str(clip)))
    watching, updates = watched(stream, open_source(str(clip), 1.0))
    windows = [window for update in updates for window in update.windows]
    assert len(windows) == len(expected) > 5
    for window, scan in zip(windows, expected, strict=True):
        assert window.start_seconds == pytest.approx(scan.start_seconds - expected[0].start_seconds, abs=1e-6)
        assert window.end_seconds == pytest.approx(scan.end_seconds - expected[0].start_seconds, abs=1e-6)
        np.testing.assert_allclose(window.scores, scan.scores, atol=1e-6)
        assert (window.label, window.score) == (CLASSES[scan.scores.argmax()], pytest.approx(scan.scores.max()))
        assert window.latency_seconds is None, "a file does not happen now"
    events = [event for update in updates for event in update.events]
    segments = sorted(event.segment for event in events if event.kind == "left")
    timeline = recognizer.timeline(clip, settings, length_seconds=length)
    assert [segment.label for segment in segments] == [segment.label for segment in timeline.segments]
    for segment, other in zip(segments, timeline.segments, strict=True):
        numbers = [(one.start_seconds, one.end_seconds, one.score, one.peak) for one in (segment, other)]
        assert numbers[0] == pytest.approx(numbers[1], abs=1e-6)
    assert {event.label for event in events if event.kind == "entered"} == set(CLASSES)
    assert len(segments) > 5
    figures = watching.figures
    assert (figures.num_frames, figures.num_dropped, figures.num_windows) == (55, 0, len(windows))
    assert figures.num_gaps == 0


def test_frames_of_a_camera_of_your_own(recognizer, clip):
    stream = kinema.Stream(recognizer, length_seconds=1.0, stride_seconds=0.5)
    assert (stream.length_seconds, stream.stride_seconds) == (1.0, 0.5)
    with VideoReader(clip) as reader:
        updates = [stream.push(frame, 100.0 + number / 10) for number, frame in enumerate(reader)]
    assert [bool(update.windows) for update in updates[:16]] == [False] * 10 + [True] + [False] * 4 + [True]
    assert any(update.present for update in updates)
    assert not updates[0]
    cut = stream.cut()
    assert cut.windows[-1].end_seconds == pytest.approx(105.5)
    assert cut.present == ()
    assert cut.events[-1].kind == "left"
    assert not stream.cut()
    last = stream.push(np.zeros((20, 20, 3), np.uint8), 107.0)
    assert not last, "after a cut other sizes may come"
    assert stream.finish().windows[0].start_seconds == 107.0


@pytest.mark.parametrize("seed", range(8))
def test_frames_may_come_at_any_later_time_after_a_cut(recognizer, seed):
    """As the clock on the wall puts them after a camera connects again."""
    random = np.random.default_rng(seed)
    stream = Stream(recognizer, length_seconds=0.5)
    frame, now, segments = np.zeros((20, 20, 3), np.uint8), 0.0, []
    for _ in range(60):
        now += random.choice([1e-9, 0.01, 0.1, 0.4])
        segments += [event.segment for event in stream.push(frame, now).events]
        if random.random() < 0.2:
            segments += [event.segment for event in stream.cut().events]
    segments = [segment for segment in [*segments, *(event.segment for event in stream.finish().events)] if segment]
    assert len(segments) > 3
    for segment, following in pairwise(segments):
        assert segment.end_seconds <= following.start_seconds, "the class that is best is there alone"


def test_the_clock_begins_anew_after_the_end_only(recognizer):
    stream, frame = Stream(recognizer), np.zeros((20, 20, 3), np.uint8)
    with pytest.raises(ValueError, match="times of frames are 0 or more seconds, got -1"):
        stream.push(frame, -1.0)
    stream.push(frame, 5.0)
    stream.cut()
    with pytest.raises(ValueError, match=r"order of their times, got 4 s after 5 s: call finish\(\) where the clock"):
        stream.push(frame, 4.0)
    stream.push(frame, 6.0)
    stream.finish()
    stream.push(frame, 0.0)
    (left,) = [event for event in stream.finish().events if event.kind == "left"]
    assert left.segment.start_seconds == 0.0


def test_a_path_is_loaded_and_classes_without_names_are_numbers(tmp_path, recognizer):
    unnamed = Stream(VideoRecognizer(recognizer.model, (), PIPELINE))
    assert not unnamed.cut()
    unnamed.push(np.zeros((20, 20, 3), np.uint8), 0.0)
    update = unnamed.finish()
    assert update.windows[0].label in {"0", "1", "2"}
    with pytest.raises(kinema.KinemaError, match="absent"):
        Stream(tmp_path / "absent")
    with pytest.raises(ValueError, match="there is no class 'fly'"):
        Stream(recognizer, decisions=DecisionSettings(classes=("fly",)))


class GivenSource:
    """Frames that are there already, as a live source gives them."""

    def __init__(self, frames, *, is_live=True):
        self.frames = FrameQueue(1e9, most_bytes=10**9, drops=False)
        self.is_live, self.is_connected = is_live, True
        self.options = SourceOptions(stall_seconds=0.3)
        self.num_dropped = self.num_skipped = self.num_late = self.num_reconnects = 0
        for frame in frames:
            self.frames.put(frame)

    def start(self):
        pass

    def close(self):
        self.frames.end()


def given(seconds, *, reason="", dropped=0):
    pixels = np.full((36, 36, 3), int(seconds * 10) % 200, np.uint8)
    return StreamFrame(pixels, np.asarray, pixels.nbytes, seconds, seconds + 0.1, 0.0, reason, dropped)


def gaps_and_windows(recognizer, frames, *, is_live=True):
    source = GivenSource(frames, is_live=is_live)
    source.frames.end()
    _, items = watched(Stream(recognizer, length_seconds=1.0), source)
    gaps = [item for item in items if isinstance(item, StreamGap)]
    windows = [window for item in items if isinstance(item, StreamUpdate) for window in item.windows]
    for gap in gaps:
        for window in windows:
            assert window.end_seconds <= gap.start_seconds + 1e-6 or window.start_seconds >= gap.end_seconds - 1e-6
    return gaps, windows


def test_no_window_spans_a_gap(recognizer):
    before, behind = [given(n / 10) for n in range(17)], [given(5 + n / 10) for n in range(17)]
    gaps, windows = gaps_and_windows(recognizer, [*before, given(4.9, reason="the stream ended"), *behind])
    assert gaps == [StreamGap(pytest.approx(1.7), 4.9, "the stream ended")]
    assert windows[-1].end_seconds == pytest.approx(6.7)
    gaps, _ = gaps_and_windows(recognizer, [*before, given(4.9, dropped=30), *behind])
    assert [gap.reason for gap in gaps] == ["frames gave way to newer ones"]
    gaps, _ = gaps_and_windows(recognizer, before + behind)
    assert [gap.reason for gap in gaps] == ["the stream paused"]


def test_single_frames_that_gave_way_and_still_pictures_of_a_file_are_no_gaps(recognizer):
    frames = [given(n / 10, dropped=1) for n in range(0, 40, 2)]
    assert gaps_and_windows(recognizer, frames)[0] == []
    still = [given(n / 10) for n in range(17)] + [given(9.0)]
    assert gaps_and_windows(recognizer, still, is_live=False)[0] == []


def test_a_silent_source_lets_what_waits_be_scored(recognizer):
    source = GivenSource([given(n / 10) for n in range(8)])
    items = []
    watching = Watching(Stream(recognizer, length_seconds=1.0), source)
    for item in watching:
        items.append(item)
        if len(items) == 1:
            source.frames.put(given(9.0))
            source.frames.end()
    assert items[0].windows[0].end_seconds == pytest.approx(0.8)
    assert items[0].events[-1].kind == "left"
    assert items[1] == StreamGap(pytest.approx(0.8), 9.0, "no frame for 0.3 s")
    assert items[0].windows[0].latency_seconds > 0
    assert watching.figures.latency.num_values == 1


def test_an_event_that_is_known_at_a_gap_has_a_clip_of_the_frames_before_it(recognizer, tmp_path):
    behind = [given(9 + n / 10) for n in range(8)]
    source = GivenSource([*(given(n / 10) for n in range(8)), *behind])
    source.frames.end()
    recorder = EventRecorder(tmp_path)
    watching = Watching(Stream(recognizer, length_seconds=1.0), source, recorder=recorder)
    paths = [
        recorder.note(event, "at")
        for item in watching
        if isinstance(item, StreamUpdate)
        for event in item.events
        if event.kind == "entered"
    ]
    recorder.close()
    with VideoReader(paths[0]) as reader:
        assert reader.timestamps_seconds.tolist() == pytest.approx([n / 10 for n in range(8)], abs=1e-3)


def test_it_ends_after_some_seconds_or_when_asked(recognizer, clip):
    stream = Stream(recognizer, length_seconds=1.0)
    watching = Watching(stream, open_source(str(clip), 1.0), most_seconds=2.0)
    list(watching)
    watching.finish()
    assert watching.figures.num_frames == 20
    watching = Watching(stream, open_source(str(clip), 1.0), is_stopped=lambda: watching.figures.num_frames >= 7)
    list(watching)
    assert watching.figures.num_frames == 7
    assert watching.clock_time(1.0) is None, "a file does not happen now"


def test_a_file_at_its_own_pace_lets_frames_give_way(recognizer, make_video):
    class Slow(Stream):
        num_dropped_before = None

        def push(self, frame, time_seconds):
            if self.num_dropped_before is None:
                before = self.num_dropped_before = source.num_dropped
                # A quarter of a second; where a busy machine began that late, the file may end before.
                wait_until(lambda: source.num_dropped >= before + 10 or source.frames._is_ended)
            return super().push(frame, time_seconds)

    source = open_source(str(make_video(num_frames=40, fps=40)), 0.1, is_realtime=True)
    slow = Slow(recognizer, length_seconds=0.1)
    watching, items = watched(slow, source)
    figures = watching.figures
    assert figures.num_dropped >= 10
    assert figures.num_frames + figures.num_dropped == 40
    assert any(isinstance(item, StreamGap) for item in items) or slow.num_dropped_before > 20
    assert figures.latency.num_values == figures.num_windows
    assert watching.clock_time(1.0) is not None


def test_only_files_have_a_pace(recognizer):
    with pytest.raises(ValueError, match="only files have a pace of their own to be read at, standard input is none"):
        open_source("-", 1.0, is_realtime=True)
    assert frame_rate_of("-") == 0.0


def test_a_file_that_breaks_off_is_an_error_after_what_came_before(recognizer, damaged_video):
    watching = Watching(Stream(recognizer, length_seconds=0.5), open_source(str(damaged_video), 1.0))
    with pytest.raises(kinema.KinemaError, match=r"damaged\.mp4: frame 12 cannot be decoded"):
        list(watching)
    assert watching.figures.num_frames == 12


def test_importing_kinema_does_not_import_torch():
    code = "import sys, kinema; assert 'Stream' in dir(kinema); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
