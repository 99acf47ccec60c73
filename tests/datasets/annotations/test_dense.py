import numpy as np
import pytest

from kinema.datasets import VideoDataset
from kinema.datasets.annotations import read_annotations
from kinema.datasets.annotations.dense import fill_background, frame_labels, label_windows
from kinema.datasets.annotations.hold_out import HoldOut
from kinema.datasets.annotations.segments import segments_of
from kinema.datasets.annotations.writing import VideoTiming, write_segments
from kinema.errors import AnnotationError
from kinema.structures.segment import Segment

RUN = Segment(1.0, 2.0, "run", video="a.mp4")
CLAP = Segment(1.5, 4.0, "clap", video="a.mp4")


def shown(segments):
    return [(part.video, part.start_seconds, part.end_seconds, part.label) for part in segments]


def test_the_background_is_where_no_segment_is():
    filled = fill_background([CLAP, RUN], {"a.mp4": 5.0, "b.mp4": 3.0})
    assert shown(filled) == [
        ("a.mp4", 0.0, 1.0, "background"),
        ("a.mp4", 1.0, 2.0, "run"),
        ("a.mp4", 1.5, 4.0, "clap"),
        ("a.mp4", 4.0, 5.0, "background"),
        ("b.mp4", 0.0, 3.0, "background"),
    ]
    short = fill_background([CLAP, RUN], {"a.mp4": 4.5}, label="none", shortest_seconds=1.0)
    assert [part.label for part in short] == ["none", "run", "clap"]


def test_windows_have_the_class_that_fills_half_of_them():
    windows = label_windows([RUN, CLAP], {"a.mp4": 6.7, "b.mp4": 0.5}, seconds=1.0)
    assert shown(windows) == [
        ("a.mp4", 0.0, 1.0, "background"),
        ("a.mp4", 1.0, 2.0, "run"),
        ("a.mp4", 2.0, 3.0, "clap"),
        ("a.mp4", 3.0, 4.0, "clap"),
        ("a.mp4", 4.0, 5.0, "background"),
        ("a.mp4", 5.0, 6.0, "background"),
        ("a.mp4", pytest.approx(5.7), 6.7, "background"),
        ("b.mp4", 0.0, 0.5, "background"),
    ]
    overlapping = label_windows(
        [RUN, RUN, CLAP], {"a.mp4": 4.0}, seconds=2.0, stride_seconds=1.0, background=None, share=0.6
    )
    assert shown(overlapping) == [("a.mp4", 1.0, 3.0, "clap"), ("a.mp4", 2.0, 4.0, "clap")]
    inside = [Segment(0.0, 1.2, "run", video="a.mp4"), Segment(0.2, 0.3, "run", video="a.mp4")]
    assert [part.label for part in label_windows(inside, {"a.mp4": 2.0}, seconds=2.0)] == ["run"]


def test_windows_equal_a_count_of_frames():
    rng = np.random.default_rng(0)
    timing = VideoTiming.even(3000, 100)
    segments = []
    for start in np.cumsum(rng.uniform(0.2, 3, 12)):
        segments.append(Segment(round(start, 2), round(start + rng.uniform(0.05, 0.2), 2), "abc"[len(segments) % 3]))
    labels = frame_labels(segments, timing, ["a", "b", "c", "background"])
    for window in label_windows(segments, {"": 30.0}, seconds=0.2, stride_seconds=0.1, share=0.5):
        first = round(window.start_seconds * 100)
        counts = np.bincount(labels[first : first + 20], minlength=4)[:3]
        assert window.label == ("abc"[counts.argmax()] if counts.max() >= 10 else "background")


def test_hours_of_words_take_no_table_of_words_and_windows():
    segments = [Segment(4.0 * number, 4.0 * number + 3, f"word {number}") for number in range(2_000)]
    windows = label_windows(segments, {"": 8_640.0}, seconds=2.0, stride_seconds=1.0)
    assert len(windows) == 8_639
    assert [window.label for window in windows[4:8]] == ["word 1", "word 1", "word 1", "word 2"]
    assert windows[-1].label == "background"


def test_every_frame_has_a_class():
    timing = VideoTiming(np.array([0, 0.5, 1.0, 1.4, 1.5, 3.9, 4.0, 5.0]))
    assert frame_labels([CLAP, RUN], timing, ["background", "clap", "run"]).tolist() == [0, 0, 2, 2, 1, 1, 0]
    assert frame_labels([RUN], timing, ["run"]).tolist() == [-1, -1, 0, 0, 0, -1, -1]
    with pytest.raises(ValueError, match="there is no class 'clap': expected run"):
        frame_labels([CLAP], timing, ["run"])


def test_what_cannot_be_labelled_is_named():
    with pytest.raises(ValueError, match=r"the duration of 'a\.mp4' is not known"):
        fill_background([RUN], {})
    with pytest.raises(ValueError, match="a class is called 'run' already: give the background another name"):
        fill_background([RUN], {"a.mp4": 5.0}, label="run")
    with pytest.raises(ValueError, match=r"need a positive length and stride, .* got seconds=0"):
        label_windows([RUN], {"a.mp4": 5.0}, seconds=0)
    with pytest.raises(ValueError, match=r"gives a video of 5 s more than 10,000,000 windows: take a longer one"):
        label_windows([RUN], {"a.mp4": 5.0}, seconds=1, stride_seconds=1e-9)


def test_a_list_of_windows_trains_with_whole_videos_held_out(tmp_path, make_video):
    durations = {}
    segments = []
    for number in range(4):
        path = str(make_video(tmp_path / f"{number}.mp4", num_frames=40, fps=10))
        durations[path] = 4.0
        segments.append(Segment(1.0, 2.0, "run", video=path))
    write_segments(tmp_path / "list.csv", label_windows(segments, durations, seconds=1.0))
    annotations = read_annotations(tmp_path / "list.csv")
    train, held = HoldOut(part="train", fraction=0.25).split(annotations)
    assert not set(train.paths) & set(held.paths)
    assert len(held)
    pipeline = [{"type": "OpenVideo"}]
    samples = [VideoDataset(tmp_path / "list.csv", pipeline, indices=[place])[0] for place in range(4)]
    assert [(sample["start_index"], sample["total_frames"]) for sample in samples] == [
        (0, 10),
        (10, 10),
        (20, 10),
        (30, 10),
    ]


@pytest.mark.parametrize("fps", [24000 / 1001, 30000 / 1001, 12.5])
def test_parts_in_seconds_and_in_frames_are_the_same_frames(tmp_path, make_video, fps):
    video = make_video(num_frames=30, fps=fps)
    timing = VideoTiming.of_file(video)
    parts = [(0, 1), (3, 10), (17, 30)]
    rows = [f"{video},x,{first},{stop}" for first, stop in parts]
    (tmp_path / "frames.csv").write_text("\n".join(["path,label,start_frame,end_frame", *rows]))
    write_segments(
        tmp_path / "seconds.csv",
        [Segment(timing.borders[first], timing.borders[stop], "x", video=str(video)) for first, stop in parts],
    )
    for name in ("frames.csv", "seconds.csv"):
        dataset = VideoDataset(tmp_path / name, [{"type": "OpenVideo"}])
        samples = [dataset[place] for place in range(len(parts))]
        assert [(sample["start_index"], sample["total_frames"]) for sample in samples] == [
            (first, stop - first) for first, stop in parts
        ]
    in_frames = segments_of(read_annotations(tmp_path / "frames.csv"), lambda path: timing)
    assert [round(part.start_seconds, 6) for part in in_frames] == [
        round(float(timing.borders[first]), 6) for first, _ in parts
    ]


def test_clips_without_times_need_the_video(tmp_path):
    def read(text):
        (tmp_path / "x.csv").write_text(text)
        return read_annotations(tmp_path / "x.csv")

    whole = read("path,label,start,end\na.mp4,run,,\nb.mp4,1,1,\n")
    timing = VideoTiming.even(100, 10)
    assert shown(segments_of(whole, lambda path: timing)) == [("a.mp4", 0.0, 10.0, "run"), ("b.mp4", 1.0, 10.0, "1")]
    for text, known, message in [
        ("path,label\na.mp4,run\n", None, r"x\.csv:2: 'a\.mp4' is not there, so its length is not known"),
        ("path,label,start_frame,end_frame\na.mp4,run,1,2\n", None, r"so the times of its frames are not known"),
        (
            "path,label,start_frame,end_frame\na.mp4,run,200,300\n",
            timing,
            r"the clip begins at 10 s, where 'a\.mp4' has ended",
        ),
        ("path,start,end\na.mp4,1,2\n", timing, r"x\.csv:2: 'a\.mp4' has no label"),
    ]:
        with pytest.raises(AnnotationError, match=message):
            segments_of(read(text), lambda path, known=known: known)
