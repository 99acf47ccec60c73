import tracemalloc

import numpy as np
import pytest

from kinema.report.annotated_video import Annotation, text_mask, write_annotated_video
from kinema.report.ethogram import COLOURS
from kinema.structures import Segment
from kinema.video import VideoReader, VideoWriter

BLUE = np.array([int(COLOURS[0][place : place + 2], 16) for place in (1, 3, 5)])


def annotation():
    times = np.arange(0, 3, 0.5)
    scores = np.linspace(0.1, 0.9, len(times))
    return Annotation(("run", "sit"), times, np.stack([scores, 1 - scores], 1), [Segment(1.0, 2.0, "run")])


@pytest.fixture
def video(tmp_path):
    """3 s of white frames at a variable rate."""
    times = np.concatenate([np.arange(0, 1, 0.05), np.arange(1, 3, 0.25)])
    with VideoWriter(tmp_path / "video.mp4", 10) as writer:
        for time in times:
            writer.write(np.full((120, 160, 3), 235, np.uint8), time)
    return writer.path


def bar_pixels(frame):
    """Pixels of the first row's bar in the colour of its class."""
    return int((np.abs(frame[4:12, 100:].astype(int) - BLUE).max(-1) < 40).any(0).sum())


def test_names_and_bars_are_drawn_while_size_and_times_stay(video, tmp_path):
    write_annotated_video(tmp_path / "out.mp4", video, annotation(), quality=95)
    before, after = VideoReader(video), VideoReader(tmp_path / "out.mp4")
    assert (len(after), after.width, after.height) == (len(before), 160, 120)
    np.testing.assert_allclose(after.timestamps_seconds, before.timestamps_seconds, atol=1e-5)
    frames, times = after[:], after.timestamps_seconds
    assert np.abs(frames[:, 60:].astype(int) - 235).max() < 12, "below the panel the picture is as it was"
    assert frames[:, :30].min() < 90
    drawn = np.array([bar_pixels(frame) for frame in frames])
    is_inside = (times >= 1 - 1e-6) & (times < 2 - 1e-6)
    assert (drawn[~is_inside] == 0).all(), "the bar has the colour of the class where it is there"
    widths = drawn[is_inside] / drawn[is_inside].max()
    expected = np.where(times[is_inside] < 1.5 - 1e-6, 0.42, 0.58)
    np.testing.assert_allclose(widths, expected / 0.58, atol=0.12)


def test_of_many_classes_those_that_are_there_come_first_and_small_frames_show_fewer(tmp_path, make_video):
    classes = tuple(f"class {number} \x1b[31m $x$ <b>" for number in range(40))
    scores = np.random.default_rng(0).random((6, 40))
    shown = Annotation(classes, np.arange(6) / 3, scores, [Segment(0, 2, classes[39])])
    for size in ((16, 16), (321, 181)):
        path = write_annotated_video(tmp_path / "out.mp4", make_video(tmp_path / "v.mp4", size=size), shown)
        assert VideoReader(path)[3].shape[:2] == (size[1] + size[1] % 2, size[0] + size[0] % 2)


def test_letters_are_those_of_the_name_and_long_names_are_shortened():
    short, long = text_mask("драка", 200, 20), text_mask("draka" * 100, 200, 20)
    assert short.shape == long.shape == (20, 200)
    assert short[:, 100:].max() == 0
    assert long[:, 150:190].max() > 0
    assert not np.array_equal(text_mask("$x^2$", 200, 20), text_mask("x2", 200, 20))
    assert text_mask("name", 1, 5).shape == (5, 1)


def test_memory_does_not_grow_with_the_video(tmp_path, make_video):
    peaks = []
    for num_frames in (20, 60):
        path = make_video(tmp_path / f"{num_frames}.mp4", num_frames=num_frames, size=(160, 120), fps=50)
        write_annotated_video(tmp_path / "out.mp4", path, annotation())
        tracemalloc.start()
        write_annotated_video(tmp_path / "out.mp4", path, annotation())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 160 * 120 * 3 * 4, "less than four frames more for forty"


def test_what_cannot_be_written_is_refused(video, tmp_path):
    with pytest.raises(ValueError, match=r"out\.avi: an annotated video is written as \.mp4, \.m4v"):
        write_annotated_video(tmp_path / "out.avi", video, annotation())
    with pytest.raises(ValueError, match="is the video itself: write the annotated one under another name"):
        write_annotated_video(video, video, annotation())
    nothing = Annotation((), np.zeros(1), np.zeros((1, 0)), [])
    with pytest.raises(ValueError, match="there is no class to show: most_rows=5, 0 classes"):
        write_annotated_video(tmp_path / "out.mp4", video, nothing)
    assert [path.name for path in tmp_path.iterdir()] == ["video.mp4"]
