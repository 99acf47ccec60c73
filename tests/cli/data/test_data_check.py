"""`kinema data check` on folders and lists with good and bad videos."""

import json

import av
import pytest
from typer.testing import CliRunner

from kinema.cli.data.check import _num_good
from kinema.cli.main import app
from kinema.errors import AnnotationError, VideoError


def check(*arguments):
    return CliRunner().invoke(app, ["data", "check", *map(str, arguments), "--workers", "1"])


@pytest.fixture
def videos(tmp_path, make_video):
    """A folder with two good videos, one cut in half, a text and an empty file under a video's name, and hidden
    ones.
    """
    root = tmp_path / "videos"
    make_video(root / "a" / "good.mp4")
    make_video(root / "b" / "also good.AVI", codec="mpeg4")
    cut = make_video(root / "a" / "cut.mkv", num_frames=60, size=(160, 120))
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    (root / "b" / "text.mp4").write_text("no video at all")
    (root / "b" / "empty.mp4").touch()
    (root / "b" / "notes.txt").write_text("not asked for")
    (root / ".cache").mkdir()
    (root / ".cache" / "thumbnail.mp4").touch()
    return root


def test_a_folder_is_checked_with_all_below_it(videos, tmp_path):
    out = tmp_path / "lists" / "bad.txt"
    result = check(videos, "--out", out)
    assert result.exit_code == 1
    assert "of 5 videos have problems (every frame decoded)" in result.stdout
    bad = out.read_text().splitlines()
    assert str(videos / "b" / "empty.mp4") in bad
    assert str(videos / "b" / "text.mp4") in bad
    assert not any("good" in path or "thumbnail" in path for path in bad)
    assert "is empty (0 bytes)" in result.stdout
    assert "5/5" in result.stderr


def test_damage_is_told_with_the_number_of_good_frames(make_video, tmp_path, damaged_video):
    result = check(damaged_video, "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    (problem,) = report["problems"]
    assert (report["videos"], report["fast"]) == (1, False)
    assert problem["path"] == str(damaged_video)
    assert 0 < problem["num_good"] < problem["num_frames"]
    assert "cannot be decoded" in problem["problem"]


def test_fast_reads_packets_only(damaged_video, make_video, tmp_path):
    result = check(damaged_video, "--fast")
    assert result.exit_code == 0, result.stdout
    assert "0 of 1 videos have problems (packets read, frames not decoded)" in result.stdout
    (tmp_path / "text.mp4").write_text("no video at all")
    assert check(tmp_path / "text.mp4", "--fast").exit_code == 1


def test_a_list_is_checked_and_missing_files_are_problems(make_video, tmp_path):
    make_video(tmp_path / "here.mp4")
    (tmp_path / "train.txt").write_text("absent.mp4 1\nhere.mp4 0\nhere.mp4 0\n")
    out = tmp_path / "bad.txt"
    result = check(tmp_path / "train.txt", "--json", "--out", out)
    report = json.loads(result.stdout)
    assert report["videos"] == 2
    assert [(one["path"], one["problem"]) for one in report["problems"]] == [
        (str(tmp_path / "absent.mp4"), "no such file")
    ]
    assert out.read_text() == f"{tmp_path / 'absent.mp4'}\n"


def test_good_videos_exit_with_0_and_leave_the_list_empty(make_video, tmp_path):
    make_video(tmp_path / "a.mp4")
    result = check(tmp_path, "--out", tmp_path / "bad.txt")
    assert (result.exit_code, (tmp_path / "bad.txt").read_text()) == (0, "")
    assert "0 of 1 videos have problems" in result.stdout


def test_a_video_that_takes_too_long_is_a_problem(make_video, tmp_path):
    make_video(tmp_path / "long.mp4", num_frames=600, size=(320, 240))
    result = check(tmp_path, "--timeout", "0.001")
    assert result.exit_code == 1
    assert "took more than 0.001 s" in result.stdout


def test_a_file_that_breaks_off_is_found_without_decoding(make_video, tmp_path):
    path = make_video(tmp_path / "cut.mp4", num_frames=40)
    whole = tmp_path / "front.mp4"  # the table of frames in front, so that the cut file can be opened
    with av.open(str(path)) as source, av.open(str(whole), "w", options={"movflags": "+faststart"}) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    content = whole.read_bytes()
    path.write_bytes(content[: -len(content) // 4])
    (problem,) = json.loads(check(path, "--fast", "--json").stdout)["problems"]
    assert problem["problem"] == "the file breaks off"
    assert 0 < problem["num_good"] < problem["num_frames"] == 40


@pytest.mark.parametrize(
    ("words", "good"), [("the first 28 are good", 28), ("7 are good", 7), ("none is good", 0), ("?", None)]
)
def test_the_good_frames_are_those_of_the_error(words, good):
    assert _num_good(VideoError(f"a.mp4: frame 3 cannot be decoded: bad data; of 50 frames {words}")) == good


def test_folders_of_frames_are_no_videos(tmp_path):
    (tmp_path / "frames").mkdir()
    (tmp_path / "train.csv").write_text("path,label,total_frames\nframes,wave,30\n")
    with pytest.raises(AnnotationError, match=r"train\.csv: lists folders of frames: expected a list of videos"):
        raise check(tmp_path / "train.csv").exception


def test_what_is_not_there_is_said_in_one_line(tmp_path):
    result = check(tmp_path / "absent")
    assert isinstance(result.exception, AnnotationError)
    with pytest.raises(AnnotationError, match="there is no such file or folder: expected a video, a folder of videos"):
        raise result.exception
    with pytest.raises(AnnotationError, match="there are no videos in this folder or below it"):
        raise check(tmp_path).exception
