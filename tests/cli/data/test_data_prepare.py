"""`kinema data prepare`: trees and lists, going on after a stop or a kill, and what is refused."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from kinema.cli.data.ledger import LEDGER_NAME, Ledger
from kinema.cli.main import app
from kinema.datasets.annotations import read_annotations
from kinema.errors import ConfigError
from kinema.video import VideoReader
from kinema.video.probe import probe_video
from waiting import wait_until


def prepare(*arguments):
    return CliRunner().invoke(app, ["data", "prepare", *map(str, arguments), "--workers", "1"])


def report_of(*arguments):
    result = prepare(*arguments, "--json")
    assert result.exit_code in (0, 1), result.exception
    return json.loads(result.stdout)


def videos_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*") if path.suffix == ".mp4")


@pytest.fixture
def clips(tmp_path, make_video):
    """Two classes; two files that differ in their suffix only; a list with labels and class names."""
    root = tmp_path / "clips"
    make_video(root / "jump" / "one.mp4", num_frames=24)
    make_video(root / "jump" / "one.avi", codec="mpeg4", options={"g": "12"})
    make_video(root / "wave hands" / "zwei drei.mkv", num_frames=24)
    (root / "train.txt").write_text("jump/one.mp4 0\nwave hands/zwei drei.mkv 1\njump/one.avi 0\njump/one.mp4 0\n")
    (root / "classes.txt").write_text("jump\nwave hands\n")
    return root


def test_the_tree_stays_and_a_second_run_has_nothing_to_do(clips, tmp_path):
    out = tmp_path / "out"
    result = prepare(clips, out)
    assert result.exit_code == 0, result.exception
    made = ["jump/one.avi.mp4", "jump/one.mp4", "wave hands/zwei drei.mp4"]
    assert videos_in(out) == made
    assert "videos prepared: 3, done before: 0, failed: 0" in result.stdout
    assert "cheap to read already, pictures kept as they are: 1" in result.stdout
    assert "times faster (measured on 2 of the re-encoded videos)" in result.stdout
    for name in ("jump/one.mp4", "wave hands/zwei drei.mp4"):
        assert probe_video(out / name).keyframe_spacing_max == 16
    times = {name: (out / name).stat().st_mtime_ns for name in made}
    report = report_of(clips, out)
    assert (report["prepared"], report["skipped"], report["copied"]) == (0, 3, 1)
    assert times == {name: (out / name).stat().st_mtime_ns for name in made}
    # the list of the folder names the new files
    assert (out / "train.txt").read_text().splitlines() == [
        "jump/one.mp4 0",
        "wave hands/zwei drei.mp4 1",
        "jump/one.avi.mp4 0",
        "jump/one.mp4 0",
    ]


@pytest.mark.slow
def test_changed_sources_settings_and_lost_files_are_made_again(clips, tmp_path, make_video):
    out = tmp_path / "out"
    assert report_of(clips, out)["prepared"] == 3
    make_video(clips / "jump" / "one.mp4", num_frames=30)
    (out / "wave hands" / "zwei drei.mp4").unlink()
    assert report_of(clips, out)["prepared"] == 2
    assert len(VideoReader(out / "jump" / "one.mp4")) == 30
    report = report_of(clips, out, "--keyframe-interval", 5, "--fps", 20)
    assert (report["prepared"], report["copied"]) == (3, 0)
    facts = probe_video(out / "wave hands" / "zwei drei.mp4")
    assert (facts.keyframe_spacing_max, facts.fps, facts.num_frames) == (5, 20, 48)
    assert len((out / LEDGER_NAME).read_text().splitlines()) == 6
    report_of(clips, out, "--keyframe-interval", 5, "--fps", 20)
    assert len((out / LEDGER_NAME).read_text().splitlines()) == 3  # what was superseded is gone


def test_a_list_becomes_a_list_with_the_same_labels(clips, tmp_path):
    out = tmp_path / "out"
    listed = clips / "train.txt"
    listed.write_text(f"{clips / 'jump' / 'one.mp4'} 0\nwave hands/zwei drei.mkv 1\n")
    report = report_of(listed, out)
    assert report["lists"] == [str(out / "train.txt")]
    assert (out / "train.txt").read_text() == "jump/one.mp4 0\nwave hands/zwei drei.mp4 1\n"
    assert (out / "classes.txt").read_text() == "jump\nwave hands\n"


@pytest.mark.slow
def test_lists_that_share_a_folder_never_overwrite_each_others_videos(clips, tmp_path):
    (clips / "train.txt").write_text("jump/one.mp4 0\n")
    (clips / "val.txt").write_text("jump/one.avi 0\n")
    out = tmp_path / "out"
    report_of(clips / "train.txt", out)
    report_of(clips / "val.txt", out)
    assert (out / "train.txt").read_text() == "jump/one.mp4 0\n"
    assert (out / "val.txt").read_text() == "jump/one.avi.mp4 0\n"
    assert len(VideoReader(out / "jump" / "one.mp4")) == 24
    moved = clips.rename(tmp_path / "moved")  # the new places of the same videos take over their files
    report_of(moved / "train.txt", out)
    assert (out / "train.txt").read_text() == "jump/one.mp4 0\n"


@pytest.mark.slow
def test_failures_are_named_and_the_rest_is_done(clips, tmp_path, damaged_video):
    shutil.move(damaged_video, clips / "jump" / "bad.mp4")
    (clips / "jump" / "text.mp4").write_text("no video at all")
    (clips / "train.txt").write_text("jump/one.mp4 0\njump/bad.mp4 0\njump/text.mp4 0\njump/gone.mp4 0\n")
    out = tmp_path / "out"
    result = prepare(clips / "train.txt", out)
    assert result.exit_code == 1
    assert "videos prepared: 1, done before: 0, failed: 3" in result.stdout
    assert f"new list: {out / 'train.txt'} (without the failed videos)" in result.stdout
    assert (out / "train.txt").read_text() == "jump/one.mp4 0\n"
    failed = {one["path"]: one["problem"] for one in report_of(clips / "train.txt", out)["failed"]}
    assert failed[str(clips / "jump" / "gone.mp4")] == "no such file"
    assert "cannot be decoded" in failed[str(clips / "jump" / "bad.mp4")]
    report = report_of(clips / "train.txt", out, "--keep-good")
    assert (report["prepared"], report["skipped"], len(report["failed"])) == (1, 1, 2)
    (damaged,) = report["damaged"]
    assert damaged["frames"] + damaged["lost"] == 20
    assert len(VideoReader(out / "jump" / "bad.mp4")) == damaged["frames"]
    again = report_of(clips / "train.txt", out)  # without the permission it is no good any more
    assert len(again["failed"]) == 3


def test_parts_of_videos_stay_parts(clips, tmp_path):
    out = tmp_path / "out"
    (clips / "parts.csv").write_text(
        "path,label,start_seconds,end_seconds\njump/one.mp4,hop,0.5,1.5\njump/one.mp4,run,1.5,2\n"
    )
    (file,) = report_of(clips / "parts.csv", out)["lists"]
    annotations = read_annotations(file)
    assert [(out / path, labels) for path, labels in annotations] == [
        (out / "jump" / "one.mp4", (0,)),
        (out / "jump" / "one.mp4", (1,)),
    ]
    assert (annotations.clip_starts.tolist(), annotations.clip_ends.tolist()) == ([0.5, 1.5], [1.5, 2.0])
    assert (out / "classes.txt").read_text() == "hop\nrun\n"
    (clips / "frames.csv").write_text("path,label,start_frame,end_frame\njump/one.mp4,hop,5,15\n")
    with pytest.raises(
        ConfigError, match=r"frames\.csv: its clips are parts of videos by frame number: prepare it without"
    ):
        raise prepare(clips / "frames.csv", out, "--fps", 5).exception


def test_a_second_list_is_read_with_the_classes_of_the_first(clips, tmp_path):
    out = tmp_path / "out"
    (clips / "train.csv").write_text("path,label\njump/one.mp4,hop\nwave hands/zwei drei.mkv,wave\n")
    (clips / "val.csv").write_text("path,label\njump/one.avi,wave\n")
    report_of(clips / "train.csv", out)
    report_of(clips / "val.csv", out)
    assert (out / "train.txt").read_text() == "jump/one.mp4 0\nwave hands/zwei drei.mp4 1\n"
    assert (out / "val.txt").read_text() == "jump/one.avi.mp4 1\n"


def test_places_that_would_mix_new_and_old_are_refused(clips, tmp_path):
    for target in (clips, clips / "new"):
        with pytest.raises(ConfigError, match="lies in the folder of the originals"):
            raise prepare(clips, target).exception
    with pytest.raises(ConfigError, match="the originals lie in this folder"):
        raise prepare(clips / "train.txt", tmp_path).exception
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(ConfigError, match="holds files that `kinema data prepare` did not make"):
        raise prepare(clips, tmp_path / "other").exception
    with pytest.raises(ConfigError, match="is a file: expected a folder for the prepared videos"):
        raise prepare(clips, tmp_path / "other" / "thesis.tex").exception
    with pytest.raises(ValueError, match="fps must be above 0"):
        raise prepare(clips, tmp_path / "out", "--fps", "-1").exception


def start(*arguments):
    command = [sys.executable, "-m", "kinema.cli", "data", "prepare", *map(str, arguments), "--workers", "1"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


@pytest.fixture
def long_clips(tmp_path, make_video):
    root = tmp_path / "long"
    first = make_video(root / "a.mp4", num_frames=300, size=(320, 240))
    for name in "bcdefghij":
        shutil.copy(first, root / f"{name}.mp4")
    return root


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_killed_in_the_middle_goes_on_without_half_files(long_clips, tmp_path, how):
    out = tmp_path / "out"
    process = start(long_clips, out)
    wait_until(lambda: (out / "a.mp4").exists() and list(out.glob(".part-*")))
    if how == signal.SIGKILL:
        process.kill()
    else:
        os.killpg(process.pid, how)  # as a terminal does: to the workers, too
    _, errors = process.communicate(timeout=600)  # until its worker has noticed that it is gone, too
    assert process.returncode == (-9 if how == signal.SIGKILL else 130)
    if how == signal.SIGINT:
        assert errors.splitlines()[-1] == "stopped; the same command resumes from here"
        assert "Traceback" not in errors
        assert not list(out.glob(".part-*"))
    for path in out.glob("[!.]*.mp4"):
        assert len(VideoReader(path)) == 300
    assert not (out / "j.mp4").exists()
    with (out / LEDGER_NAME).open("a") as file:
        file.write('{"source": "/half a li')  # as a kill may leave it
    before = (out / "a.mp4").stat().st_mtime_ns
    again = start(long_clips, out, "--json")
    report, errors = again.communicate(timeout=600)
    assert again.returncode == 0, errors
    assert json.loads(report)["skipped"] >= 1
    assert (out / "a.mp4").stat().st_mtime_ns == before
    assert videos_in(out) == [f"{name}.mp4" for name in "abcdefghij"]
    assert not list(out.glob(".part-*"))
    assert len((out / LEDGER_NAME).read_text().splitlines()) == 10


def test_two_runs_do_not_write_into_one_folder(clips, tmp_path):
    with Ledger(tmp_path / "out"):
        other = prepare(clips, tmp_path / "out")
    with pytest.raises(ConfigError, match="another `kinema data prepare` is writing there: wait for its end"):
        raise other.exception
