"""Exports of annotation programs, set against the video files."""

import json
import shutil

import numpy as np
import pytest

from kinema.datasets.annotations import read_annotations
from kinema.datasets.annotations.boris import read_boris
from kinema.datasets.annotations.elan import read_elan
from kinema.datasets.annotations.label_studio import read_label_studio
from kinema.datasets.annotations.program_clips import ProgramClips
from kinema.datasets.annotations.safe_xml import parse_xml
from kinema.datasets.annotations.subtitles import read_subtitles
from kinema.datasets.annotations.via import read_via
from kinema.datasets.annotations.video_timing import (
    Counting,
    VideoTiming,
    positions_of_seconds,
    seconds_of_positions,
)
from kinema.errors import AnnotationError


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """64 frames, 10 a second."""
    from kinema.video import write_video

    frames = (np.full((32, 32, 3), 3 * index, np.uint8) for index in range(64))
    return write_video(tmp_path_factory.mktemp("clip") / "a.mp4", frames, 10)


@pytest.fixture
def beside(tmp_path, clip):
    shutil.copy(clip, tmp_path / "a.mp4")
    return tmp_path


def label_studio(folder, ranges, video="a.mp4", data=(), **value):
    result = {"type": "timelinelabels", "value": {"ranges": ranges, "timelinelabels": ["run"], **value}}
    task = {"id": 1, "data": {"video": video, **dict(data)}, "annotations": [{"result": [result]}]}
    (folder / "export.json").write_text(json.dumps([task]))
    return folder / "export.json"


def spans(annotations):
    return list(zip(annotations.clip_starts.round(6).tolist(), annotations.clip_ends.round(6).tolist(), strict=True))


# ---- the arithmetic


@pytest.mark.parametrize(
    "counting", [Counting("rate", fps=24.0), Counting("rate", num_frames=535), Counting("frames", 535)]
)
def test_frames_of_another_count_are_mapped_both_ways(counting):
    timing = VideoTiming.even(641, 30000 / 1001)
    positions = np.arange(0, 500, 7)
    seconds = seconds_of_positions(positions, counting, timing)
    assert (np.diff(seconds) > 0).all()
    assert positions_of_seconds(seconds, counting, timing).tolist() == positions.tolist()
    rate = counting.rate(timing) if counting.by == "rate" else 535 / timing.duration_seconds
    assert np.abs(seconds - positions / rate).max() <= 0.5 / timing.fps


def test_decoded_frames_follow_the_times_of_a_video_of_variable_rate():
    timing = VideoTiming(np.array([0, 0.1, 0.5, 0.6, 2.0, 2.1]))
    seconds = seconds_of_positions(np.arange(6), Counting("frames"), timing)
    assert seconds.tolist() == timing.borders.tolist()
    assert positions_of_seconds(seconds, Counting("frames"), timing).tolist() == list(range(6))
    assert seconds_of_positions(np.array([7]), Counting("frames"), timing)[0] > 2.1, "behind the end stays behind it"
    at_rate = seconds_of_positions(np.array([5, 13]), Counting("rate", fps=10.0), timing)
    assert at_rate.tolist() == [0.5, 1.3], "to the border of a frame where that is as near as half a frame"
    assert timing.even_rate == pytest.approx(10)


# ---- Label Studio


def test_frames_that_label_studio_counted_at_another_rate_are_scaled_and_reported(beside):
    # It counted 54 frames where the file has 64: 8.4375 a second in place of 10.
    path = label_studio(beside, [{"start": 28, "end": 54}], framesCount=54, duration=6.4)
    annotations = read_annotations(path)
    assert annotations.clip_unit == "seconds"
    assert spans(annotations) == [(3.2, 6.4)]
    assert annotations.notes == (
        "a.mp4: Label Studio counted 54 frames, the file has 64: frame numbers scaled by 1.185 (up to 1.0 s)",
    )
    assert spans(read_annotations(label_studio(beside, [{"start": 28, "end": 54}], framesCount=54))) == [(3.2, 6.4)]


def test_the_rate_may_stand_in_the_task_or_be_given(beside):
    annotations = read_annotations(label_studio(beside, [{"start": 21, "end": 60}], data={"fps": 20}))
    assert spans(annotations) == [(1.0, 3.0)]
    assert annotations.notes == (
        "a.mp4: Label Studio counted 20 frames a second, the file has 10: frame numbers scaled by 0.5 (up to 3.0 s)",
    )
    path = label_studio(beside, [{"start": 21, "end": 60}])
    assert spans(read_annotations(path, frame_rate=20)) == [(1.0, 3.0)]
    annotations = read_annotations(path)
    assert spans(annotations) == [(2.0, 6.0)]
    assert "1 labels do not say at what rate their frames were counted" in annotations.notes[0]
    with pytest.raises(ValueError, match="frame_rate must be positive, got 0"):
        read_label_studio(path, frame_rate=0)


def test_frames_that_agree_say_nothing(beside):
    annotations = read_annotations(label_studio(beside, [{"start": 1, "end": 64}], framesCount=64, duration=6.4))
    assert (spans(annotations), annotations.notes) == ([(0.0, 6.4)], ())


def test_annotations_behind_the_end_are_left_out_or_cut_and_counted(beside):
    ranges = [{"start": 1, "end": 10}, {"start": 60, "end": 90}, {"start": 80, "end": 90}]
    annotations = read_annotations(label_studio(beside, ranges, data={"fps": 10}))
    assert spans(annotations) == [(0.0, 1.0), (5.9, 6.4)]
    assert annotations.notes == (
        "a.mp4: 1 of 3 annotations begin behind its end (6.40 s): left out",
        "a.mp4: annotations end up to 2.60 s behind its end (6.40 s): cut there",
    )
    with pytest.raises(AnnotationError, match=r"no clip lies inside its video: a\.mp4: 1 of 1 annotations begin"):
        read_annotations(label_studio(beside, [{"start": 80, "end": 90}], data={"fps": 10}))


def test_videos_that_are_not_there_or_broken_are_named(beside):
    annotations = read_annotations(label_studio(beside, [{"start": 1, "end": 10}], video="gone.mp4"))
    assert annotations.clip_unit == "frames"
    assert annotations.notes[-1] == "gone.mp4 is not there, so nothing could be compared"
    annotations = read_annotations(label_studio(beside, [{"start": 11, "end": 20}], video="gone.mp4", data={"fps": 20}))
    assert (annotations.clip_unit, spans(annotations)) == ("seconds", [(0.5, 1.0)])
    (beside / "broken.mp4").write_bytes(b"no video")
    annotations = read_annotations(label_studio(beside, [{"start": 1, "end": 10}], video="broken.mp4"))
    assert "1 videos cannot be read and were not compared" in annotations.notes[-1]


def test_some_videos_that_are_not_there_leave_all_in_frames_of_the_files(beside):
    tasks = [
        json.loads(label_studio(beside, [{"start": 21, "end": 60}], video=video, data=data).read_text())[0]
        for video, data in [("a.mp4", {"fps": 20}), ("gone.mp4", {}), ("lost.mp4", {"fps": 20})]
    ]
    (beside / "export.json").write_text(json.dumps(tasks))
    annotations = read_annotations(beside / "export.json")
    assert (annotations.clip_unit, spans(annotations)) == ("frames", [(10, 30), (20, 60), (20, 60)])
    assert any(note.startswith("2 videos (gone.mp4, lost.mp4) are not there") for note in annotations.notes)


def test_many_shifted_videos_are_summed_up(beside):
    task = json.loads(label_studio(beside, [{"start": 21, "end": 60}], data={"fps": 20}).read_text())[0]
    tasks = []
    for number in range(8):
        shutil.copy(beside / "a.mp4", beside / f"{number}.mp4")
        tasks.append({**task, "data": {"video": f"{number}.mp4", "fps": 20}})
    (beside / "export.json").write_text(json.dumps(tasks))
    notes = read_annotations(beside / "export.json").notes
    assert len(notes) == 6
    assert notes[-1] == "3 more videos likewise (moved, by up to 3.0 s)"


def test_predictions_are_read_where_nothing_is_annotated(beside):
    task = json.loads(label_studio(beside, [{"start": 1, "end": 10}], data={"fps": 10}).read_text())[0]
    task["predictions"] = task.pop("annotations")
    (beside / "export.json").write_text(json.dumps([task]))
    annotations = read_annotations(beside / "export.json")
    assert annotations.format == "label-studio"
    assert annotations.notes == ("no task has annotations: its predictions were read",)


def test_a_box_of_label_studio_is_a_clip_while_it_is_to_be_seen(beside):
    sequence = [{"frame": n, "enabled": on, "x": 1} for n, on in [(1, True), (6, True), (10, False), (41, True)]]
    value = {"sequence": sequence, "framesCount": 128, "duration": 6.4, "labels": ["run"]}
    task = {"data": {"video": "a.mp4"}, "annotations": [{"result": [{"type": "videorectangle", "value": value}]}]}
    (beside / "export.json").write_text(json.dumps([task]))
    annotations = read_annotations(beside / "export.json")
    assert spans(annotations) == [(0.0, 0.5), (2.0, 6.4)]
    assert "Label Studio counted 128 frames, the file has 64" in annotations.notes[0]


@pytest.mark.parametrize(("start", "end"), [("NaN", "2"), ("3", "2"), ("-1", "2"), ("0", "1e400")])
def test_times_that_are_none_are_named(beside, start, end):
    text = '[{{"data": {{"video": "a.mp4"}}, "annotations": [{{"result": [{{"value": {{"labels": ["x"], {}}}}}]}}]}}]'
    (beside / "export.json").write_text(text.format(f'"start": {start}, "end": {end}'))
    with pytest.raises(
        AnnotationError, match=r"export\.json:1: a clip of 'a\.mp4' goes from \S+ to \S+: expected a start"
    ):
        read_annotations(beside / "export.json")


def test_the_videos_may_lie_in_another_folder(beside, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports")
    texts = {
        "a.srt": "1\n00:00:01,000 --> 00:00:09,000\nx\n",
        "a.boris": boris(folder, [[1, "", "run"], [9, "", "run"]], media=["C:\\data\\a.mp4"]).read_text(),
        "via.json": via(folder, [{"z": [1, 9], "av": {"1": "0"}}], src="file:///data/a.mp4").read_text(),
        "a.eaf": eaf(folder, tier("t", ("ts0", "ts1", "x")), slots=(1000, 9000)).read_text(),
        "cvat.xml": cvat(folder, range(10, 90)).read_text(),
        "export.json": label_studio(folder, [{"start": 11, "end": 90}]).read_text(),
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
        annotations = read_annotations(folder / name, video_root=beside)
        assert spans(annotations) == [(1.0, 6.4)]
        assert any("2.60 s behind its end" in note for note in annotations.notes)
        assert annotations.video_root == beside


# ---- CVAT


def cvat(folder, frames, **facts):
    facts = "".join(f"<{name}>{value}</{name}>" for name, value in facts.items())
    images = "".join(f'<image name="frame_{frame:06d}"><tag label="run"/></image>' for frame in frames)
    text = f"<annotations><meta><task><id>1</id><source>a.mp4</source>{facts}</task></meta>{images}</annotations>"
    (folder / "annotations.xml").write_text(text)
    return folder / "annotations.xml"


def test_cvat_tasks_of_another_count_are_scaled_or_kept(beside):
    same = read_annotations(cvat(beside, range(10, 20), size=64))
    assert (same.clip_unit, spans(same), same.notes) == ("seconds", [(1.0, 2.0)], ())
    more = read_annotations(cvat(beside, range(20, 40), size=128))
    assert spans(more) == [(1.0, 2.0)]
    assert more.notes == ("a.mp4: CVAT counted 128 frames, the file has 64: frame numbers scaled by 0.5 (up to 2.0 s)",)
    fewer = read_annotations(cvat(beside, range(10, 20), size=50))
    assert spans(fewer) == [(1.0, 2.0)]
    assert "CVAT's task has 50 frames, the file 64: frame numbers are kept" in fewer.notes[0]


def test_cvat_tasks_of_each_fifth_frame_have_clips_of_all_frames(beside):
    path = cvat(beside, (10, 15, 20, 40), size=13, frame_filter="step=5")
    assert spans(read_annotations(path)) == [(1.0, 2.5), (4.0, 4.5)]


# ---- ELAN


def eaf(
    folder,
    tiers,
    slots=(0, 500, 1500),
    media='MEDIA_URL="file:///C:/other/a.mp4" MIME_TYPE="video/mp4"',
    unit="milliseconds",
):
    order = "".join(f'<TIME_SLOT TIME_SLOT_ID="ts{n}" TIME_VALUE="{time}"/>' for n, time in enumerate(slots))
    linked = f"<MEDIA_DESCRIPTOR {media}/>" if media else ""
    (folder / "a.eaf").write_text(
        f'<?xml version="1.0"?><ANNOTATION_DOCUMENT><HEADER TIME_UNITS="{unit}">{linked}</HEADER>'
        f'<TIME_ORDER>{order}<TIME_SLOT TIME_SLOT_ID="free"/></TIME_ORDER>{tiers}</ANNOTATION_DOCUMENT>'
    )
    return folder / "a.eaf"


def tier(name, *annotations):
    body = "".join(
        f'<ANNOTATION><ALIGNABLE_ANNOTATION TIME_SLOT_REF1="{start}" TIME_SLOT_REF2="{end}">'
        f"<ANNOTATION_VALUE>{value}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>"
        for start, end, value in annotations
    )
    return f'<TIER TIER_ID="{name}">{body}</TIER>'


def test_an_elan_document_gives_its_annotations_with_times(beside):
    path = eaf(beside, tier("hands", ("ts0", "ts1", "clap"), ("ts1", "free", "x")) + tier("run", ("ts1", "ts2", " ")))
    annotations = read_annotations(path)
    assert (annotations.format, annotations.class_names) == ("elan", ("clap", "run"))
    assert spans(annotations) == [(0.0, 0.5), (0.5, 1.5)]
    assert annotations.paths[0] == str(beside / "a.mp4")
    assert annotations.notes[1:] == (
        "the annotations of 2 tiers were read: hands (1), run (1); tiers=[...] (--tier) chooses",
        "1 annotations have no times of their own: they are left out",
    )
    assert "was found as" in annotations.notes[0]
    assert read_annotations(path, tiers=["run"]).class_names == ("run",)
    with pytest.raises(AnnotationError, match=r"there is no tier 'feet': it has hands, run"):
        read_elan(path, tiers=["feet"])
    with pytest.raises(ValueError, match="the format boris takes no tiers"):
        read_annotations(path, "boris", tiers=["run"])


def test_an_elan_document_may_shift_its_media_and_count_frames(beside):
    media = 'RELATIVE_MEDIA_URL="./a.mp4" MIME_TYPE="video/mp4" TIME_ORIGIN="1000"'
    assert spans(read_annotations(eaf(beside, tier("t", ("ts0", "ts1", "x")), media=media))) == [(1.0, 1.5)]
    path = eaf(beside, tier("t", ("ts0", "ts1", "x")), slots=(25, 50, 75), media="", unit="PAL-frames")
    annotations = read_annotations(path)
    assert (spans(annotations), annotations.paths[0]) == ([(1.0, 2.0)], "a.mp4")
    assert annotations.notes == ("it links no video: all clips are of a.mp4",)


def test_bad_elan_documents_are_named(tmp_path):
    good = tier("t", ("ts0", "ts1", "x"))
    for options, message in [
        ({"tiers": good, "media": ""}, r"a\.eaf: links no video, and none of its name lies beside it"),
        ({"tiers": good, "slots": ("x", 5)}, r"a TIME_VALUE is 'x': expected a whole number"),
        ({"tiers": good, "unit": "years"}, r"TIME_UNITS is 'years': expected milliseconds"),
        ({"tiers": tier("t")}, r"holds no annotation with times"),
        ({"tiers": good, "media": 'MIME_TYPE="video/mp4"'}, r"its MEDIA_DESCRIPTOR has no address"),
    ]:
        with pytest.raises(AnnotationError, match=message):
            read_elan(eaf(tmp_path, **options))
    (tmp_path / "b.eaf").write_text("<annotations/>")
    with pytest.raises(AnnotationError, match="expected ELAN's root 'ANNOTATION_DOCUMENT', got 'annotations'"):
        read_elan(tmp_path / "b.eaf")
    (tmp_path / "b.eaf").write_text("<!DOCTYPE a [<!ENTITY b 'c'>]><a/>")
    with pytest.raises(AnnotationError, match="defines XML entities, which ELAN's files never do"):
        read_elan(tmp_path / "b.eaf")


def test_an_xml_file_has_a_largest_size(tmp_path, monkeypatch):
    monkeypatch.setattr("kinema.datasets.annotations.safe_xml.MOST_BYTES", 1 << 20)
    (tmp_path / "a.xml").write_bytes(b" " * ((1 << 20) + 1))
    with pytest.raises(AnnotationError, match=r"a\.xml: is larger than 1 MiB: export fewer videos a file"):
        parse_xml(tmp_path / "a.xml", "CVAT")


# ---- BORIS


def boris(folder, events, media=("a.mp4",), lengths=None, **entry):
    project = {
        "behaviors_conf": {"0": {"type": "State event", "code": "run"}, "1": {"type": "Point event", "code": "bite"}},
        "observations": {
            "first": {"file": {"1": list(media)}, "events": events, "media_info": {"length": lengths or {}}, **entry}
        },
    }
    (folder / "project.boris").write_text(json.dumps(project))
    return folder / "project.boris"


def test_a_boris_project_pairs_starts_and_stops(beside):
    events = [[2.0, "", "run", ""], [0.5, "", "run", ""], [1.0, "Ann", "run", ""], [1.5, "", "bite", ""]]
    path = boris(beside, events, media=["/other/a.mp4"], lengths={"/other/a.mp4": 9.0}, **{"time offset": 2})
    annotations = read_annotations(path)
    assert (annotations.format, annotations.class_names, spans(annotations)) == ("boris", ("run",), [(0.5, 2.0)])
    assert annotations.notes == (
        "the videos do not lie where the project says: they were found by their names",
        "observation 'first': has a time offset of 2 s, which is not added: times are the video's",
        "1 events are points in time, not parts of a video: they are left out",
        "1 events start and never stop: they are left out",
        f"{beside / 'a.mp4'}: BORIS has 9.00 s for it, the file lasts 6.40 s: times are kept; is it the same file?",
    )


def test_events_of_media_one_after_another_belong_to_the_medium_that_they_fall_into(beside):
    events = [[5.4, "", "run", ""], [8.4, "", "run", ""]]
    shutil.copy(beside / "a.mp4", beside / "b.mp4")
    for lengths in ({"a.mp4": 6.4, "b.mp4": 6.4}, {}):
        annotations = read_annotations(boris(beside, events, media=["a.mp4", "b.mp4"], lengths=lengths))
        assert [path for path, _ in annotations] == ["a.mp4", "b.mp4"]
        assert spans(annotations) == [(5.4, 6.4), (0.0, 2.0)]


def test_observations_without_a_video_and_further_players_are_counted(beside):
    path = boris(beside, [[1, "", "run"], [2, "", "run"]])
    project = json.loads(path.read_text())
    project["observations"]["first"]["file"]["2"] = ["b.mp4"]
    project["observations"]["live"] = {"type": "LIVE", "file": {}, "events": [[1, "", "run"], [2, "", "run"]]}
    path.write_text(json.dumps(project))
    assert read_annotations(path).notes == (
        "1 observations are of no video file: they are left out",
        "observation 'first': has 2 players: its events are read as of the first",
    )


def test_bad_boris_projects_are_named(tmp_path):
    for events, options, message in [
        ([], {}, r"project\.boris: holds no state event of a video"),
        ([[1.0, ""]], {}, r"observation 'first': expected events as \[time, subject, behaviour, \.\.\.\]"),
        ([["x", "", "run", ""]], {}, r"expected the time of 'run' in seconds, got 'x'"),
        ([], {"time offset": "x"}, r"observation 'first': expected the time offset in seconds, got 'x'"),
        ([], {"lengths": {"a.mp4": "x"}}, r"observation 'first': expected the length of 'a\.mp4' in seconds, got 'x'"),
        ([[1, "", "run"], [2, "", "run"]], {"media": ["a.mp4", "b.mp4"]}, r"'a\.mp4' is followed by another video"),
        (
            [],
            {"media": ["a.mp4"] * 1001},
            r"observation 'first' has 1,001 media one after another: expected at most 1,000",
        ),
    ]:
        with pytest.raises(AnnotationError, match=message):
            read_boris(boris(tmp_path, events, **options))
    (tmp_path / "x.boris").write_text("{}")
    with pytest.raises(AnnotationError, match=r"x\.boris: expected a project of BORIS"):
        read_boris(tmp_path / "x.boris")


# ---- VIA


def via(folder, metadata, src="a.mp4"):
    project = {
        "file": {"1": {"fname": "a.mp4", "src": src, "type": 4}},
        "view": {"1": {"fid_list": ["1"]}},
        "attribute": {"1": {"type": 4, "options": {"0": "run", "1": "clap"}}, "2": {"type": 1}},
        "metadata": {str(number): {"vid": "1", "xy": [], **entry} for number, entry in enumerate(metadata)},
    }
    (folder / "via.json").write_text(json.dumps(project))
    return folder / "via.json"


def test_a_via_project_gives_its_temporal_segments(beside):
    entries = [
        {"z": [0.5, 1.25], "av": {"1": "1"}},
        {"z": [2, 3], "av": {"2": "free text"}},
        {"z": [2, 3], "av": {}},
        {"z": [1], "xy": [2, 0, 0, 5, 5], "av": {"1": "0"}},
    ]
    annotations = read_annotations(via(beside, entries, src="file:///other/a.mp4"))
    assert (annotations.format, annotations.class_names) == ("via", ("clap", "free text"))
    assert spans(annotations) == [(0.5, 1.25), (2.0, 3.0)]
    assert [note.split(":")[0] for note in annotations.notes[1:]] == [
        "1 annotations are of a frame or of a whole file, not of a part of a video",
        "1 segments have no value",
    ]


def test_bad_via_projects_are_named(tmp_path):
    with pytest.raises(AnnotationError, match=r"via\.json: holds no temporal segment"):
        read_via(via(tmp_path, []))
    with pytest.raises(AnnotationError, match=r"via\.json: expected the times of a segment in seconds, got 'x'"):
        read_via(via(tmp_path, [{"z": [0, "x"], "av": {"1": "0"}}]))
    with pytest.raises(AnnotationError, match="a segment is of the view '7', which has no file"):
        read_via(via(tmp_path, [{"z": [0, 1], "av": {"1": "0"}, "vid": "7"}]))
    (tmp_path / "via2.json").write_text('{"_via_img_metadata": {}, "_via_settings": {}}')
    with pytest.raises(AnnotationError, match="is a project of VIA 2, which annotates images"):
        read_annotations(tmp_path / "via2.json")
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(AnnotationError, match="expected a project of VIA 3"):
        read_via(tmp_path / "x.json")


# ---- subtitles


def test_subtitles_label_the_video_beside_them(beside):
    (beside / "a.vtt").write_text("WEBVTT\n\nid 1\n00:01.000 --> 00:02.500 align:left\na &lt;b&gt;\nc\n\n\n")
    annotations = read_annotations(beside / "a.vtt")
    assert (annotations.format, annotations.class_names, spans(annotations)) == (
        "subtitles",
        ("a <b> c",),
        [(1.0, 2.5)],
    )
    assert list(annotations) == [("a.mp4", (0,))]


def test_bad_subtitles_are_named(tmp_path):
    for text, message in [
        ("hello\n", r"a\.srt: holds no subtitles"),
        ("1\n00:99 --> x\n", r"a\.srt: holds no subtitles"),
        ("1\n00,99 --> 00:01\nx\n", r"a\.srt:2: expected times as HH:MM:SS,mmm"),
        (
            "1\n00:00:01,000 --> 00:00:02,000\nx\n",
            r"a\.srt: subtitles name no video: put the video beside them, as a\.mp4",
        ),
    ]:
        (tmp_path / "a.srt").write_text(text)
        with pytest.raises(AnnotationError, match=message):
            read_subtitles(tmp_path / "a.srt")


def test_real_clips_agree_with_what_a_tool_of_constant_rate_counts(shared_clips, tmp_path):
    video = shared_clips / "kinetics_style" / "test_video_structuralize.mp4"
    timing = VideoTiming.of_file(video)
    counted = int(timing.duration_seconds * 25)
    path = label_studio(tmp_path, [{"start": 101, "end": counted}], str(video), framesCount=counted)
    annotations = read_annotations(path)
    assert f"Label Studio counted {counted} frames, the file has {timing.num_frames}" in annotations.notes[0]
    assert annotations.clip_starts[0] == pytest.approx(100 / 25, abs=1 / timing.fps)
    assert annotations.clip_starts[0] in timing.borders
    assert annotations.clip_ends[0] == timing.duration_seconds


def test_clips_without_any_are_an_error(tmp_path):
    with pytest.raises(AnnotationError, match="holds no clips: expected at least one"):
        ProgramClips(tmp_path / "x.json", "json", "VIA").finish()
