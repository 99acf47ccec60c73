"""Tables as programs for annotating behaviour export them, and tables with columns of other names."""

import numpy as np
import pytest

from kinema.datasets.annotations import find_splits, read_annotations, read_split
from kinema.datasets.annotations.delimited import read_csv
from kinema.datasets.annotations.events import find_events
from kinema.datasets.annotations.headings import read_heading, seconds_of_clock
from kinema.errors import AnnotationError


def write(path, *rows, delimiter="\t"):
    path.write_text("".join(delimiter.join(row) + "\n" for row in rows), encoding="utf-8")
    return path


def clips_of(annotations):
    starts = annotations.clip_starts if annotations.clip_starts is not None else [None] * len(annotations)
    ends = annotations.clip_ends if annotations.clip_ends is not None else [None] * len(annotations)
    names = annotations.class_names
    return [
        (path, names[labels[0]] if names else labels[0], start, end)
        for (path, labels), start, end in zip(annotations, starts, ends, strict=True)
    ]


@pytest.mark.parametrize("label", ["behaviour", "Behavior", "activity", "Action", "verb", "CATEGORY", "gesture"])
@pytest.mark.parametrize("path", ["clip", "media file", "Media file name", "Observation", "video"])
def test_columns_of_many_names_are_understood(tmp_path, path, label):
    file = write(tmp_path / "a.csv", [path, label], ["a.mp4", "run"], ["b.mp4", "sit"], delimiter=",")
    assert [(clip[0], clip[1]) for clip in clips_of(read_annotations(file))] == [("a.mp4", "run"), ("b.mp4", "sit")]


def test_aggregated_events_of_boris(tmp_path):
    header = ["Observation id", "Media file", "Total length", "FPS", "Subject", "Behavior", "Behavioral category"]
    header += ["Behavior type", "Start (s)", "Stop (s)", "Duration (s)", "Comment start"]
    (tmp_path / "cat.mp4").touch()
    file = write(
        *(tmp_path / "obs.tsv", header),
        ["o1", "/home/somebody/videos/cat.mp4", "60", "25", "cat", "groom", "x", "STATE", "1.5", "4.25", "2.75", ""],
        ["o1", "/home/somebody/videos/cat.mp4", "60", "25", "cat", "walk", "", "STATE", "5", "9.000", "4", ""],
        ["o1", "/home/somebody/videos/cat.mp4", "60", "25", "cat", "blink", "", "POINT", "6", "6", "NA", ""],
    )
    annotations = read_csv(file)
    video = str(tmp_path / "cat.mp4")
    assert clips_of(annotations) == [(video, "groom", 1.5, 4.25), (video, "walk", 5, 9)]
    assert annotations.clip_unit == "seconds"
    assert any("found by their names" in note for note in annotations.notes)
    assert any("1 events are points in time" in note for note in annotations.notes)
    assert read_split(file).annotations.paths[0] == video


def event(time, behaviour, status, *, subject="cat", media="C:\\Users\\me\\cat.avi"):
    return [str(time), media, "60.0", "25", subject, behaviour, "", "", status]


EVENTS = [
    "Time",
    "Media file path",
    "Total length",
    "FPS",
    "Subject",
    "Behavior",
    "Behavioral category",
    "Comment",
    "Status",
]
PREAMBLE = [["Observation id", "o1"], [""], ["Media file(s)"], ["Player #1", "cat.avi"], ["Time offset (s)", "0"], [""]]


@pytest.mark.parametrize("preamble", [[], PREAMBLE], ids=["alone", "below a preamble"])
def test_events_of_boris_that_start_and_stop(tmp_path, preamble):
    (tmp_path / "cat.avi").touch()
    file = write(
        *(tmp_path / "events.tsv", *preamble, EVENTS),
        event(1.0, "groom", "START"),
        event(1.5, "walk", "START", subject="dog"),
        event(2.0, "blink", "POINT"),
        event(3.25, "groom", "STOP"),
        event(4.0, "walk", "STOP", subject="dog"),
        event(5.0, "groom", "START"),
    )
    annotations = read_annotations(file)
    video = str(tmp_path / "cat.avi")
    assert clips_of(annotations) == [(video, "groom", 1.0, 3.25), (video, "walk", 1.5, 4.0)]
    notes = " ".join(annotations.notes)
    assert "1 events are points in time" in notes
    assert "1 events start and never stop" in notes


def test_events_of_the_newer_boris_call_the_status_behavior_type(tmp_path):
    header = [
        "Observation id",
        "Media duration (s)",
        "FPS (frame/s)",
        "Subject",
        "Behavior",
        "Behavior type",
        "Time",
        "Media file name",
    ]
    rows = [["o", "60", "25", "", "run", kind, time, "a.mp4"] for kind, time in (("START", "1,5"), ("STOP", "2,75"))]
    assert clips_of(read_csv(write(tmp_path / "e.tsv", header, *rows))) == [("a.mp4", "run", 1.5, 2.75)]


def test_events_that_do_not_fit_are_named(tmp_path):
    file = write(tmp_path / "e.tsv", EVENTS, event(1, "run", "STOP"))
    with pytest.raises(AnnotationError, match=r"e\.tsv:2: 'run' stops here, but did not start before"):
        read_csv(file)
    file = write(tmp_path / "e.tsv", EVENTS, event(1, "run", "START"), event(2, "run", "PAUSE"))
    with pytest.raises(
        AnnotationError, match=r"e\.tsv:3: the column 'Status' must say START, STOP or POINT, got 'PAUSE'"
    ):
        read_csv(file)
    file = write(tmp_path / "e.tsv", EVENTS, event("soon", "run", "START"))
    with pytest.raises(AnnotationError, match=r"e\.tsv:2: the column 'Time' must hold times, got 'soon'"):
        read_csv(file)
    assert find_events(["Time", "Behavior"]) is None


ELAN = [
    "Tier",
    "Begin Time - hh:mm:ss.ms",
    "Begin Time - msec",
    "End Time - hh:mm:ss.ms",
    "End Time - msec",
    "Annotation",
]


def test_a_table_of_elan_speaks_of_the_video_beside_it(tmp_path):
    for name in ("talk.mp4", "other.mp4"):
        (tmp_path / name).touch()
    rows = [["hands", "00:00:01.250", "1250", "00:01:02.500", "62500", "wave"]]
    rows += [["hands", "00:02:00.000", "120000", "01:00:00.000", "3600000", "clap"]]
    annotations = read_annotations(write(tmp_path / "talk.txt", ELAN, *rows))
    assert clips_of(annotations) == [("talk.mp4", "wave", 1.25, 62.5), ("talk.mp4", "clap", 120, 3600)]
    assert any("all clips are of the video talk.mp4" in note for note in annotations.notes)
    alone = write(tmp_path / "notes.txt", ELAN, *rows)
    with pytest.raises(AnnotationError, match=r"no column looks like the path of the video: .* --columns path=\.\.\."):
        read_annotations(alone)


def test_units_and_clocks_become_seconds(tmp_path):
    header = ["file", "label", "Onset (ms)", "Offset (ms)"]
    annotations = read_csv(write(tmp_path / "a.csv", header, ["a.mp4", "x", "500", "1500"], delimiter=","))
    assert clips_of(annotations) == [("a.mp4", "x", 0.5, 1.5)]
    annotations = read_csv(
        write(tmp_path / "b.csv", ["file", "tag", "start", "duration"], ["a.mp4", "x", "1:30", "2,5"], delimiter=";")
    )
    assert clips_of(annotations) == [("a.mp4", "x", 90, 92.5)]
    frames = read_csv(
        write(
            tmp_path / "c.csv",
            ["file", "tag", "Start (frame)", "End (frame)"],
            ["a.mp4", "x", "10", "20"],
            delimiter=",",
        )
    )
    assert (frames.clip_unit, clips_of(frames)) == ("frames", [("a.mp4", "x", 10, 20)])
    heading = read_heading("Begin Time - ss.msec")
    assert (heading.name, heading.seconds) == ("begin_time", 1.0)
    assert (read_heading(" Start [MS] ").name, read_heading("Start (x)").seconds) == ("start", None)
    assert seconds_of_clock("1:02:03.5") == 3723.5
    assert seconds_of_clock("1.5") is None


def test_a_user_names_columns(tmp_path):
    file = write(tmp_path / "a.csv", ["what", "Von (ms)", "bis", "wo"], ["run", "500", "2", "a.mp4"], delimiter=",")
    chosen = {"path": "wo", "label": "what", "start": "Von (ms)", "end": "BIS"}
    assert clips_of(read_annotations(file, columns=chosen)) == [("a.mp4", "run", 0.5, 2)]
    (tmp_path / "a.mp4").touch()
    split = read_split(file, columns=chosen)
    assert split.dataset_config()["columns"] == chosen
    assert find_splits(file, columns=chosen)[0].annotations.class_names == ("run",)
    with pytest.raises(ValueError, match="columns: expected path, label, .*, got 'colour'"):
        read_csv(file, columns={"colour": "what"})
    with pytest.raises(AnnotationError, match="there is no column 'where' for path: the columns are 'what', "):
        read_csv(file, columns={"path": "where"})


def test_class_indices_of_a_table_have_the_names_beside_it(tmp_path):
    (tmp_path / "classes.txt").write_text("sit\nrun\n")
    file = write(tmp_path / "a.csv", ["path", "label"], ["a.mp4", "1"], ["b.mp4", "0"], delimiter=",")
    assert read_csv(file).class_names == ("sit", "run")
    assert read_csv(file, class_names=("a", "b")).class_names == ("a", "b")
    words = write(tmp_path / "b.csv", ["path", "label"], ["a.mp4", "walk"], delimiter=",")
    assert read_csv(words).class_names == ("walk",)


def test_paths_that_are_right_stay(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("a.mp4", "sub/a.mp4"):
        (tmp_path / name).touch()
    file = write(tmp_path / "a.csv", ["path", "label"], ["sub/a.mp4", "x"], ["gone/a.mp4", "y"], delimiter=",")
    assert list(read_csv(file).paths) == ["sub/a.mp4", "gone/a.mp4"]
    assert np.array_equal(read_csv(file).labels.values, [0, 1])
