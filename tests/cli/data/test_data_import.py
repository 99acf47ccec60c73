"""`kinema data import`: exports into lists and into other programs."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from kinema.cli.main import app
from kinema.datasets.annotations import read_annotations
from kinema.errors import AnnotationError


def run(*arguments):
    return CliRunner().invoke(app, ["data", "import", *map(str, arguments)])


def call(*arguments):
    result = run(*arguments)
    if result.exception is not None:
        raise result.exception
    return result.stdout


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    import numpy as np

    from kinema.video import write_video

    return write_video(
        tmp_path_factory.mktemp("clip") / "a.mp4", (np.zeros((32, 32, 3), np.uint8) for _ in range(64)), 10
    )


@pytest.fixture
def export(tmp_path, clip):
    shutil.copy(clip, tmp_path / "a.mp4")
    results = [
        {
            "type": "timelinelabels",
            "value": {"ranges": [{"start": a, "end": b}], "timelinelabels": [label], "framesCount": 54},
        }
        for a, b, label in [(1, 27, "run"), (28, 60, "clap")]
    ]
    tasks = [{"id": 1, "data": {"video": "a.mp4"}, "annotations": [{"result": results}]}]
    (tmp_path / "project.json").write_text(json.dumps(tasks))
    return tmp_path / "project.json"


def test_an_export_becomes_a_list_and_what_was_moved_is_said(export, tmp_path):
    text = call(export, "--out", tmp_path / "out" / "list.csv")
    assert text.startswith(f"{export}: read as label-studio: 2 segments of 1 video\n")
    assert (
        "* a.mp4: Label Studio counted 54 frames, the file has 64: frame numbers scaled by 1.185 (up to 1.1 s)" in text
    )
    assert "* a.mp4: annotations end up to 0.71 s behind its end (6.40 s): cut there" in text
    assert (tmp_path / "out" / "list.csv").read_text() == (
        f"video,start,end,label\n{tmp_path / 'a.mp4'},0.0,3.2,run\n{tmp_path / 'a.mp4'},3.2,6.4,clap\n"
    )
    value = json.loads(call(export, "--json"))
    assert (value["format"], value["segments"], value["written"]) == ("label-studio", 2, [])
    assert value["classes"]["run"] == {"segments": 1, "seconds": 3.2}
    assert len(value["notes"]) == 2


@pytest.mark.parametrize("to", ["json", "srt", "vtt", "elan", "boris", "label-studio", "via"])
def test_all_formats_go_into_each_other(export, tmp_path, to):
    first = tmp_path / f"a.{to.replace('elan', 'eaf')}"
    call(export, "--out", first, "--to", to)
    if to in ("label-studio", "via"):
        first = first.rename(first.with_suffix(".json"))
    call(first, "--out", tmp_path / "back.csv")
    back = read_annotations(tmp_path / "back.csv")
    assert sorted(zip(back.clip_starts, back.clip_ends, strict=True)) == [(0.0, 3.2), (3.2, 6.4)]
    assert back.class_names == ("clap", "run")


def test_label_studio_needs_the_rate_in_its_interface(export, tmp_path):
    result = run(export, "--out", tmp_path / "tasks.json", "--to", "label-studio")
    assert 'interface needs <Video name="video" value="$video" frameRate="$fps"/>' in result.stderr


def test_windows_with_a_background_are_a_list_for_training(export, tmp_path):
    call(export, "--out", tmp_path / "part.csv")
    (tmp_path / "part.csv").write_text("".join((tmp_path / "part.csv").read_text().splitlines(keepends=True)[:2]))
    call(tmp_path / "part.csv", "--out", tmp_path / "w.csv", "--windows", "2", "--stride", "1", "--background", "none")
    windows = read_annotations(tmp_path / "w.csv")
    assert windows.clip_starts.tolist() == [0, 1, 2, 3, 4]
    assert [windows.class_names[label] for _, (label,) in windows] == ["run", "run", "run", "none", "none"]
    call(tmp_path / "part.csv", "--out", tmp_path / "b.csv", "--background", "none")
    assert read_annotations(tmp_path / "b.csv").clip_ends.tolist() == [3.2, 6.4]


def test_a_table_is_compared_too_and_a_folder_gets_a_file_for_each_video(export, tmp_path):
    shutil.copy(tmp_path / "a.mp4", tmp_path / "b.mp4")
    (tmp_path / "list.csv").write_text(
        "path,label,start,end\na.mp4,run,1,9\nb.mp4,run,7,8\nb.mp4,clap,,\ngone.mp4,run,1,2\n"
    )
    text = call(tmp_path / "list.csv", "--out", tmp_path / "eaf", "--to", "elan")
    assert "* a.mp4: annotations end up to 2.60 s behind its end (6.40 s): cut there" in text
    assert "* b.mp4: 1 of 2 annotations begin behind its end (6.40 s): left out" in text
    assert "* gone.mp4 is not there, so nothing could be compared" in text
    assert sorted(path.name for path in (tmp_path / "eaf").iterdir()) == ["a.eaf", "b.eaf", "gone.eaf"]
    assert text.rstrip().endswith(f"written: 3 files in {tmp_path / 'eaf'}")


def test_what_cannot_be_done_is_said(export, tmp_path):
    shutil.copy(tmp_path / "a.mp4", tmp_path / "b.mp4")
    (tmp_path / "two.csv").write_text("path,label,start,end\na.mp4,run,1,2\nb.mp4,run,1,2\n")
    for arguments, message in [
        ((export, "--to", "srt"), "say where the result goes"),
        ((export, "--stride", "1"), "needs --windows"),
        ((export, "--out", tmp_path / "x.foo"), "no format has the suffix '.foo'"),
        ((export, "--out", tmp_path / "folder"), "say their format"),
        ((export, "--out", tmp_path / "folder", "--to", "mp4"), "segments cannot be written as 'mp4'"),
        ((tmp_path / "two.csv", "--out", tmp_path / "x.srt"), "a .srt file is of one video"),
    ]:
        result = run(*arguments)
        assert result.exit_code == 2
        assert message in " ".join(result.stderr.replace("│", " ").split())
    (tmp_path / "gone.csv").write_text("path,label,start,end\ngone.mp4,run,1,2\n")
    with pytest.raises(AnnotationError, match=r"gone\.mp4: the video is not there or cannot be read"):
        call(tmp_path / "gone.csv", "--out", tmp_path / "x.csv", "--windows", "1")
    (tmp_path / "c").mkdir()
    shutil.copy(tmp_path / "a.mp4", tmp_path / "c" / "a.mp4")
    (tmp_path / "same.csv").write_text("path,label,start,end\na.mp4,run,1,2\nc/a.mp4,run,1,2\n")
    with pytest.raises(AnnotationError, match="would be written to files of one name: rename a video"):
        call(tmp_path / "same.csv", "--out", tmp_path / "folder", "--to", "srt")
