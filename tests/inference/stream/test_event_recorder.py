"""Clips around events: which frames they hold, by the numbers drawn into them."""

import numpy as np
import pytest

from kinema.inference.decisions import Event
from kinema.inference.stream.recorder import EventRecorder
from kinema.video import VideoReader


def numbered(number):
    """Eight stripes, white for each bit that is set."""
    stripes = (number >> np.arange(8) & 1).astype(np.uint8).repeat(8) * 200
    return np.ascontiguousarray(np.broadcast_to(stripes[None, :, None], (48, 64, 3)))


def numbers_in(path):
    with VideoReader(path) as reader:
        bits = [frame[24, 4::8, 1] > 100 for frame in reader]
        return [int((stripes << np.arange(8)).sum()) for stripes in bits], reader.timestamps_seconds.tolist()


def entered(seconds, label="run"):
    return Event("entered", label, seconds, 0.9)


def left(seconds, label="run"):
    return Event("left", label, seconds, 0.9)


def test_a_clip_begins_before_its_event_and_ends_after_it(tmp_path):
    recorder = EventRecorder(tmp_path / "events", before_seconds=1.0, after_seconds=0.5, delay_seconds=2.0)
    for number in range(100):
        recorder.push(numbered(number), number / 10)
        if number == 40:  # what happened at 3 s is known at 4 s
            path = recorder.note(entered(3.0), "at")
            assert recorder.note(entered(3.5, "a/../b\x1b"), "at").name == "at_a_.._b.mp4"
        if number == 60:
            assert recorder.note(left(5.0), "later") is None
    recorder.close()
    assert path == tmp_path / "events" / "at_run.mp4"
    numbers, times = numbers_in(path)
    assert times == pytest.approx([place / 10 for place in range(41)], abs=1e-3)
    # The clip was still open when the class was known to have left, at 6 s.
    assert numbers == list(range(20, 61))
    numbers, _ = numbers_in(tmp_path / "events" / "at_a_.._b.mp4")
    assert numbers == list(range(25, 100)), "it did not leave before the end"
    assert sorted(file.name for file in (tmp_path / "events").iterdir()) == ["at_a_.._b.mp4", "at_run.mp4"]
    assert (recorder.num_clips, recorder.num_missed, recorder.num_dropped) == (2, 0, 0)


def test_events_that_follow_each_other_have_clips_of_their_own_length(tmp_path):
    recorder = EventRecorder(tmp_path, before_seconds=0.5, after_seconds=1.0)
    events = {10: entered(1.0), 12: left(1.2), 15: entered(1.5), 19: left(1.9)}
    paths = []
    for number in range(40):
        recorder.push(numbered(number), number / 10)
        if number in events:
            paths.append(recorder.note(events[number], f"at {number}"))
    recorder.close()
    assert [numbers_in(path)[0] for path in paths if path] == [list(range(5, 23)), list(range(10, 30))]


def test_clips_end_at_a_gap_and_names_are_not_taken_twice(tmp_path):
    recorder = EventRecorder(tmp_path, before_seconds=1.0)
    for number in range(20):
        recorder.push(numbered(number), number / 10)
    first = recorder.note(entered(1.9), "at")
    recorder.cut()
    recorder.push(numbered(50), 9.0)
    second = recorder.note(entered(9.0), "at")
    recorder.close()
    assert [first.name, second.name] == ["at_run.mp4", "at_run-2.mp4"]
    assert numbers_in(first)[0] == list(range(9, 20))
    assert numbers_in(second)[0] == [50]


def test_frames_of_any_pace_are_shown_at_their_times(tmp_path):
    recorder = EventRecorder(tmp_path, before_seconds=5.0)
    seconds = [0.0, 0.1, 0.2, 0.3, 0.6, 0.60001, 0.7]
    for number, time_seconds in enumerate(seconds):
        recorder.push(numbered(number), 10 + time_seconds)
    path = recorder.note(entered(10.7), "at")
    recorder.close()
    numbers, times = numbers_in(path)
    assert numbers == [0, 1, 2, 3, 4, 6], "of two at once the first stays"
    assert times == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.6, 0.7], abs=1e-3)


def test_memory_and_length_are_bounded(tmp_path):
    recorder = EventRecorder(tmp_path, before_seconds=1.0, delay_seconds=0.5, longest_seconds=2.0)
    big = np.random.default_rng(0).integers(0, 255, (720, 900, 3), np.uint8)
    for number in range(60):
        recorder.push(big if number < 3 else numbered(0), number / 10)
        if number == 2:
            assert recorder._ring_bytes < 3 * 250_000, "frames are kept small"
            recorder.cut()
        if number == 10:
            path = recorder.note(entered(1.0), "at")
    assert len(recorder._ring) == 16
    recorder.close()
    assert len(numbers_in(path)[0]) == 21, "2 s"


def test_no_more_than_some_clips_are_written_at_one_time(tmp_path):
    recorder = EventRecorder(tmp_path)
    recorder.push(numbered(0), 0.0)
    paths = [recorder.note(entered(0.0, f"class {number}"), "at") for number in range(10)]
    recorder.close()
    assert [path is None for path in paths] == [False] * 8 + [True] * 2
    assert recorder.num_missed == 2


def test_a_folder_that_cannot_be_written_is_a_warning(tmp_path, caplog):
    recorder = EventRecorder(tmp_path / "events")
    (tmp_path / "events").rmdir()
    (tmp_path / "events").write_text("no folder")
    recorder.push(numbered(0), 0.0)
    recorder.note(entered(0.0), "at")
    recorder.close()
    assert "a clip was not recorded: " in caplog.text


@pytest.mark.parametrize("name", ["before_seconds", "after_seconds"])
def test_seconds_out_of_range_are_named(tmp_path, name):
    with pytest.raises(ValueError, match=f"{name} must be 0 or more seconds, got -1"):
        EventRecorder(tmp_path, **{name: -1})
