import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from kinema.datasets.annotations import read_annotations
from kinema.datasets.annotations.writing import WRITERS, VideoTiming, labelling_interface, write_segments
from kinema.errors import AnnotationError
from kinema.structures.segment import Segment

FILM = VideoTiming.even(100, 24000 / 1001)
HOSTILE = "</script><b>\"&'\x1b[31m\n\n--> ]]>\ud800"


def written(tmp_path, format, *segments, **options):
    path = tmp_path / f"out{WRITERS[format].suffix}"
    write_segments(path, segments, format, **options)
    return path.read_text(encoding="utf-8", errors="surrogateescape")


def test_tables_have_scores_where_segments_have_them(tmp_path):
    labelled = Segment(1.0, 2.5, "run", video="a.mp4")
    scored = Segment(0.25, 1.0, "clap", 0.5, 0.75, "a.mp4")
    assert written(tmp_path, "csv", labelled) == "video,start,end,label\na.mp4,1.0,2.5,run\n"
    assert written(tmp_path, "csv", labelled, scored).splitlines() == [
        "video,start,end,label,score,peak",
        "a.mp4,0.25,1.0,clap,0.5,0.75",
        "a.mp4,1.0,2.5,run,,",
    ]
    content = json.loads(written(tmp_path, "json", labelled, videos={"a.mp4": FILM, "b.mp4": None}))
    assert content["clips"] == [{"video": "a.mp4", "start": 1.0, "end": 2.5, "label": "run"}]
    assert [video["video"] for video in content["videos"]] == ["a.mp4", "b.mp4"]
    assert content["videos"][0]["num_frames"] == 100


def test_subtitles_show_the_class_at_its_time(tmp_path):
    segment = Segment(3723.0005, 36000.999, "a <b> & c")
    assert written(tmp_path, "srt", segment) == "1\n01:02:03,000 --> 10:00:00,999\na <b> & c\n"
    assert written(tmp_path, "vtt", segment) == "WEBVTT\n\n01:02:03.000 --> 10:00:00.999\na &lt;b&gt; &amp; c\n"
    assert written(tmp_path, "vtt") == "WEBVTT\n"


def test_overlapping_segments_of_a_class_are_on_further_tiers_and_subjects(tmp_path):
    segments = [Segment(0, 2, "run", video="a b.mp4"), Segment(1, 3, "run", video="a b.mp4")]
    root = ElementTree.fromstring(written(tmp_path, "elan", *segments))
    assert [tier.get("TIER_ID") for tier in root.iterfind("TIER")] == ["run", "run (2)"]
    slots = [int(slot.get("TIME_VALUE")) for slot in root.iterfind("TIME_ORDER/TIME_SLOT")]
    assert slots == [0, 1000, 2000, 3000]
    media = root.find("HEADER/MEDIA_DESCRIPTOR")
    assert media.get("MEDIA_URL").endswith("/a%20b.mp4")
    assert media.get("MEDIA_URL").startswith("file:///")
    project = json.loads(written(tmp_path, "boris", *segments, videos={"a b.mp4": FILM}))
    (observation,) = project["observations"].values()
    assert [event[:3] for event in observation["events"]] == [
        [0.0, "", "run"],
        [1.0, "overlap 2", "run"],
        [2.0, "", "run"],
        [3.0, "overlap 2", "run"],
    ]
    assert observation["media_info"]["fps"] == {"a b.mp4": pytest.approx(24000 / 1001)}
    assert [subject["name"] for subject in project["subjects_conf"].values()] == ["overlap 2"]


def test_many_overlapping_segments_take_no_long_time(tmp_path):
    segments = [Segment(0, 1 + place, "run", video="a.mp4") for place in range(5_000)]
    assert len(json.loads(written(tmp_path, "boris", *segments))["subjects_conf"]) == 4_999


def test_files_name_relative_videos_from_their_own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("clips", "out"):
        (tmp_path / folder).mkdir()
    (tmp_path / "clips" / "a.mp4").touch()
    segments = [Segment(0, 1, "run", video=video) for video in ("clips/a.mp4", "gone/b.mp4", "https://x.org/c.mp4")]
    for format in ("csv", "json", "boris"):
        text = written(tmp_path / "out", format, *segments)
        before = "\n" if format == "csv" else '"'
        assert all(f"{before}{name}" in text for name in ("gone/b.mp4", "https://x.org/c.mp4", "../clips/a.mp4"))
    annotations = read_annotations(tmp_path / "out" / "out.csv")
    assert (tmp_path / "out" / annotations.paths[0]).is_file()


def test_label_studio_gets_frame_ranges_scores_and_the_rate(tmp_path):
    timing = VideoTiming.even(641, 30000 / 1001)
    segment = Segment(timing.borders[10], timing.borders[20], "run", 0.75, video="dir/a b.mp4")
    options = {"videos": {"dir/a b.mp4": timing, "none.mp4": FILM}, "model_version": "tsn"}
    tasks = json.loads(written(tmp_path, "label-studio", segment, **options))
    assert [task["data"]["video"] for task in tasks] == [
        "/data/local-files/?d=dir/a%20b.mp4",
        "/data/local-files/?d=none.mp4",
    ]
    assert (tasks[0]["data"]["fps"], tasks[0]["data"]["frames"]) == (pytest.approx(30000 / 1001), 641)
    (prediction,) = tasks[0]["predictions"]
    assert (prediction["model_version"], prediction["score"]) == ("tsn", 0.75)
    (region,) = prediction["result"]
    assert region["value"] == {"ranges": [{"start": 11, "end": 20}], "timelinelabels": ["run"]}
    assert (region["type"], region["score"]) == ("timelinelabels", 0.75)
    assert tasks[1]["predictions"][0]["result"] == []
    interface = ElementTree.fromstring(labelling_interface(["run", '<"a"&']))
    assert [label.get("value") for label in interface.iter("Label")] == ["run", '<"a"&']
    assert interface.find("Video").get("frameRate") == "$fps"


@pytest.mark.parametrize("format", WRITERS)
def test_hostile_names_cannot_leave_their_place(tmp_path, format):
    segment = Segment(0, 1, HOSTILE, 0.5, 0.5, video="</script><b>\"&' ]]> \udc80.mp4")
    text = written(tmp_path, format, segment, videos={segment.video: FILM})
    assert "\x1b" not in text
    assert written(tmp_path, format, segment, videos={segment.video: FILM}) == text, "the same segments, the same bytes"
    if format == "elan":
        values = [value.text for value in ElementTree.fromstring(text).iter("ANNOTATION_VALUE")]
        assert values == ["</script><b>\"&'\\x1b[31m  --> ]]>\\xd800"]
    elif WRITERS[format].suffix in (".json", ".boris"):
        json.loads(text)
    elif format in ("srt", "vtt"):
        assert text.strip().count("\n\n") == (format == "vtt")


def test_a_label_that_is_a_formula_or_a_path_like_it_is_guarded(tmp_path):
    text = written(tmp_path, "csv", Segment(0, 1, "=1+1", video="-a.mp4"), Segment(1, 2, "-1", video="-a.mp4"))
    assert text.splitlines()[1:] == ["./-a.mp4,0.0,1.0,'=1+1", "./-a.mp4,1.0,2.0,-1"]


def test_what_cannot_be_written_is_named_and_leaves_no_file(tmp_path):
    a, b = Segment(0, 1, "x", video="a.mp4"), Segment(0, 1, "x", video="b.mp4")
    for format, segments, videos, message in [
        ("srt", [a, b], {}, r"a file for SubRip is of one video, got 2"),
        ("elan", [a, b], {}, r"a file for ELAN is of one video, got 2"),
        ("label-studio", [a], {}, r"Label Studio counts frames: give the timing of 'a\.mp4'"),
        ("csv", [Segment(0, 1, "x")], {}, r"a segment has no video"),
        ("mp4", [a], {}, r"segments cannot be written as 'mp4': expected auto, csv, json"),
        ("auto", [a], {}, r"out\.x: no format has the suffix '\.x': expected \.csv, \.json"),
    ]:
        with pytest.raises(ValueError, match=message):
            write_segments(tmp_path / "out.x", segments, format, videos=videos)
    for name, message in [
        ("a\n.mp4", r"'a\\n\.mp4' of a video has a line break"),
        ("\ud800.mp4", "that no name of a file can"),
    ]:
        with pytest.raises(AnnotationError, match=message):
            write_segments(tmp_path / "out.csv", [Segment(0, 1, "x", video=name)])
    assert list(tmp_path.iterdir()) == []


def test_a_timing_is_made_of_ascending_borders():
    with pytest.raises(ValueError, match="ascending starts"):
        VideoTiming(np.array([0, 2.0, 1.0]))
    with pytest.raises(ValueError, match="must end after 0 s"):
        VideoTiming(np.array([0.0, 0.0]))
    with pytest.raises(ValueError, match="at least 1 frame and a positive rate"):
        VideoTiming.even(0, 25)
