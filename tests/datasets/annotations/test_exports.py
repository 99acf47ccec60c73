import json

import pytest

from kinema.datasets.annotations import read_annotations
from kinema.datasets.annotations.cvat import read_cvat
from kinema.datasets.annotations.label_studio import read_label_studio
from kinema.errors import AnnotationError


def task(number, video, *results, cancelled=False):
    return {
        "id": number,
        "data": {"video": video},
        "annotations": [
            {"was_cancelled": cancelled, "result": [{"type": kind, "value": value} for kind, value in results]}
        ],
    }


def export(tmp_path, *tasks):
    (tmp_path / "project.json").write_text(json.dumps(tasks))
    return tmp_path / "project.json"


def test_choices_label_whole_videos(tmp_path):
    (tmp_path / "d.mp4").touch()
    path = export(
        tmp_path,
        task(1, "/data/upload/3/1a2b3c4d-a%20b.mp4", ("choices", {"choices": ["run", "jump"]})),
        task(2, "/data/local-files/?d=clips/c.mp4", ("choices", {"choices": ["clap"]})),
        task(3, "/data/upload/3/0000aaaa-d.mp4", ("choices", {"choices": ["run"]})),
        task(4, "skipped.mp4", ("choices", {"choices": ["run"]}), cancelled=True),
    )
    found = read_annotations(path)
    assert (found.format, found.class_names) == ("label-studio", ("clap", "run"))
    assert list(found) == [("1a2b3c4d-a b.mp4", (1,)), ("clips/c.mp4", (0,)), ("d.mp4", (1,))]
    assert found.notes == ("1 of 4 tasks are not labelled and were left out",)
    assert read_label_studio(path, multi_label=True)[0].labels == (2, 1)


def test_stretches_label_parts_in_frames_or_seconds(tmp_path):
    ranges = {"ranges": [{"start": 1, "end": 10}, {"start": 31, "end": 40}], "timelinelabels": ["run"]}
    found = read_annotations(export(tmp_path, task(1, "a.mp4", ("timelinelabels", ranges))))
    assert (found.clip_unit, found.clip_starts.tolist(), found.clip_ends.tolist()) == ("frames", [0, 30], [10, 40])
    seconds = {"start": 0.5, "end": 2, "labels": ["clap"]}
    found = read_annotations(export(tmp_path, task(1, "a.mp4", ("labels", seconds))))
    assert (found.clip_unit, found.clip_starts.tolist(), found.clip_ends.tolist()) == ("seconds", [0.5], [2.0])
    mixed = export(tmp_path, task(1, "a.mp4", ("timelinelabels", ranges), ("labels", seconds)))
    with pytest.raises(AnnotationError, match="some labels count frames, others seconds"):
        read_annotations(mixed)


def test_bad_exports_of_label_studio_are_named(tmp_path):
    with pytest.raises(AnnotationError, match=r"project\.json: none of its 1 tasks is labelled"):
        read_label_studio(export(tmp_path, task(1, "a.mp4")))
    with pytest.raises(AnnotationError, match=r"project\.json: expected Label Studio's JSON export"):
        read_label_studio(export(tmp_path, {"video": "a.mp4"}))
    with pytest.raises(
        AnnotationError, match=r"project\.json: task 8: no value of its 'data' looks like a video: 'text'"
    ):
        read_label_studio(export(tmp_path, {"id": 8, "data": {"text": "a"}, "annotations": []}))


def test_the_minimal_export_is_a_table(tmp_path):
    (tmp_path / "min.json").write_text('[{"video": "a.mp4", "id": 4, "choice": "run", "annotator": 1}]')
    found = read_annotations(tmp_path / "min.json")
    assert (found.format, list(found), found.class_names) == ("json", [("a.mp4", (0,))], ("run",))


META = """<meta><task><id>5</id><name>walks</name><size>8</size><source>walk.mp4</source>
<labels><label><name>walk</name></label><label><name>fall</name></label></labels></task></meta>"""


def cvat(tmp_path, body, meta=META):
    (tmp_path / "annotations.xml").write_text(f"<?xml version='1.0'?>\n<annotations>{meta}\n{body}</annotations>")
    return tmp_path / "annotations.xml"


def test_frames_in_a_row_with_a_tag_are_a_clip(tmp_path):
    tags = {0: "walk", 1: "walk", 2: "fall", 4: "walk", 5: "walk"}
    images = "".join(
        f'<image id="{n}" name="frame_{n:06d}"><tag label="{label}"/></image>' for n, label in tags.items()
    )
    found = read_annotations(cvat(tmp_path, images))
    assert (found.format, found.class_names, found.clip_unit) == ("cvat", ("walk", "fall"), "frames")
    parts = zip(found, found.clip_starts, found.clip_ends, strict=True)
    assert [(path, labels, start, end) for (path, labels), start, end in parts] == [
        ("walk.mp4", (0,), 0, 2),
        ("walk.mp4", (0,), 4, 6),
        ("walk.mp4", (1,), 2, 3),
    ]


def test_a_track_is_a_clip_while_it_is_to_be_seen(tmp_path):
    boxes = "".join(f'<box frame="{n}" outside="{int(n == 3)}"/>' for n in (1, 2, 3, 6, 7))
    found = read_cvat(cvat(tmp_path, f'<track id="0" label="fall">{boxes}</track>'))
    assert (found.clip_starts.tolist(), found.clip_ends.tolist(), found.labels.values.tolist()) == (
        [1, 6],
        [3, 8],
        [1, 1],
    )


def test_several_tasks_of_a_project_are_told_apart(tmp_path):
    tasks = "".join(f"<task><id>{n}</id><source>{n}.mp4</source></task>" for n in (1, 2))
    images = "".join(f'<image name="frame_000004" task_id="{n}"><tag label="walk"/></image>' for n in (1, 2))
    found = read_cvat(cvat(tmp_path, images, f"<meta><project><tasks>{tasks}</tasks></project></meta>"))
    assert [path for path, _ in found] == ["1.mp4", "2.mp4"]


def test_an_image_named_like_a_video_is_the_whole_video(tmp_path):
    found = read_cvat(cvat(tmp_path, '<image name="b.mp4"><tag label="walk"/></image>'))
    assert (list(found), found.clip_starts) == ([("b.mp4", (0,))], None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotations>\n<a></annotations>", r"annotations\.xml:2: expected XML: mismatched tag"),
        ("<boxes/>", r"annotations\.xml: expected CVAT's XML with the root 'annotations', got 'boxes'"),
        ("<annotations/>", r"annotations\.xml: holds neither tags nor tracks"),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><annotations/>", r"annotations\.xml: defines XML entities"),
        (
            '<annotations><image name="x"><tag label="a"/></image></annotations>',
            r"the image 'x' names no video and frame",
        ),
    ],
)
def test_bad_exports_of_cvat_are_named(tmp_path, text, message):
    (tmp_path / "annotations.xml").write_text(text)
    with pytest.raises(AnnotationError, match=message):
        read_cvat(tmp_path / "annotations.xml")


def test_an_export_that_is_not_there_is_named(tmp_path):
    with pytest.raises(AnnotationError, match=r"gone\.xml: the annotation file cannot be read: No such file"):
        read_cvat(tmp_path / "gone.xml")
