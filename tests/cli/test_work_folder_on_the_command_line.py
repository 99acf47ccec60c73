"""What `kinema train` does in a work folder that another process, an earlier run or somebody else has used."""

import json
import os
import signal
import subprocess
import sys

import pytest

import kinema as library
from command_line import kinema
from kinema.errors import CheckpointError

PLANTED = "import os\nos.system('touch {0}')\nopen('{0}', 'w')\n"


def error_line(result):
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: "), result.stderr
    return last


@pytest.fixture
def clips(make_video, tmp_path):
    for name in ("a/x1.mp4", "a/y1.mp4", "b/x2.mp4", "b/y2.mp4"):
        (tmp_path / "clips" / name).parent.mkdir(parents=True, exist_ok=True)
        make_video(tmp_path / "clips" / name, num_frames=4)
    return tmp_path / "clips"


OPTIONS = ["--epochs", 1, "--workers", 0, "--batch-size", 2]


@pytest.mark.slow
def test_a_planted_config_in_a_work_folder_is_never_run(clips, tmp_path):
    work, tripwire = tmp_path / "work", tmp_path / "tripwire"
    for name in ("config.py", "checkpoints/step_00000001/config.py"):
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(PLANTED.format(tripwire))
    with pytest.raises(CheckpointError, match="is damaged"):
        library.load(work)
    assert "is not complete" in error_line(kinema("train", clips, *OPTIONS, "--work-dir", work, "--resume"))
    (work / "checkpoints" / "step_00000001" / "config.py").unlink()
    (work / "checkpoints" / "step_00000001").rmdir()
    result = kinema("train", clips, *OPTIONS, "--work-dir", work, "--resume")
    assert result.returncode == 0, result.stderr
    assert "cannot compare the settings with those that the run began with" in result.stderr
    # What Kinema writes itself is compared as data, whatever stands in config.py.
    (work / "config.py").write_text(PLANTED.format(tripwire))
    result = kinema("train", clips, *OPTIONS, "--work-dir", work, "--resume", "--seed", 3)
    assert "going on with other settings than the run began with: randomness.seed 0 -> 3" in result.stderr
    planted = json.loads((work / "run.json").read_text())
    planted["config"] |= {"custom_imports": {"imports": ["this"]}, "model": {"type": PLANTED}}
    (work / "run.json").write_text(json.dumps(planted))
    result = kinema("train", clips, *OPTIONS, "--work-dir", work, "--resume")
    assert result.returncode == 0, result.stderr
    assert "Zen of Python" not in result.stdout
    library.load(work)
    assert not tripwire.exists()


@pytest.mark.slow
def test_a_command_that_fails_leaves_the_earlier_run_where_it_was(clips, tmp_path, make_video):
    work = tmp_path / "work"
    assert kinema("train", clips, *OPTIONS, "--work-dir", work).returncode == 0
    before = {path: path.read_bytes() for path in work.rglob("*") if path.is_file()}
    make_video(clips / "a" / "z1.mp4", num_frames=4)
    message = error_line(kinema("train", clips, *OPTIONS, "--work-dir", work, "--set", "modle.x=1"))
    assert "there is no 'modle'" in message
    inside = ["--pretrained", work / "checkpoints" / "step_00000001"]
    message = error_line(kinema("train", clips, *OPTIONS, "--work-dir", work, *inside))
    assert "lie in the work folder, whose files this run sets aside" in message
    assert {path: path.read_bytes() for path in work.rglob("*") if path.is_file()} == before
    # One that trains keeps the earlier run's lists of clips with it.
    assert kinema("train", clips, *OPTIONS, "--work-dir", work).returncode == 0
    assert (work / "earlier_1" / "train_clips.csv").read_bytes() == before[work / "train_clips.csv"]
    assert (work / "train_clips.csv").read_bytes() != before[work / "train_clips.csv"]


@pytest.mark.slow
def test_of_two_runs_in_one_work_folder_the_second_is_refused(clips, tmp_path):
    work = tmp_path / "work"
    command = [
        sys.executable,
        "-m",
        "kinema.cli",
        "train",
        clips,
        "--epochs",
        "2000",
        "--workers",
        "1",
        "--work-dir",
        work,
    ]
    with subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True) as first:
        for line in first.stderr:
            if "validation" in line:
                break
        for options in ([], ["--resume"]):
            message = error_line(kinema("train", clips, *OPTIONS, "--work-dir", work, *options))
            assert f"another run writes into this work folder (process {first.pid} on " in message
        assert not (work / "earlier_1").exists()
        first.send_signal(signal.SIGKILL)
        first.wait()
    assert os.listdir(work)  # noqa: PTH208
    result = kinema("train", clips, "--epochs", "1", *OPTIONS[2:], "--work-dir", work, "--resume")
    assert result.returncode == 0, result.stderr
    steps = [json.loads(line)["step"] for line in (work / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)


def test_wrong_data_leaves_no_work_folder(tmp_path):
    (tmp_path / "list.txt").write_text("absent.mp4 zero\n")
    error_line(kinema("train", "list.txt", cwd=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["list.txt"]


@pytest.mark.slow
def test_resuming_with_another_seed_moves_no_clip_between_training_and_validation(make_video, tmp_path):
    for name in ("a/u1", "a/v1", "a/w1", "a/x1", "b/u2", "b/v2", "b/w2", "b/x2"):
        (tmp_path / "clips" / name).parent.mkdir(parents=True, exist_ok=True)
        make_video(tmp_path / "clips" / f"{name}.mp4", num_frames=4)
    clips, work = tmp_path / "clips", tmp_path / "work"
    options = ["--workers", 0, "--batch-size", 2, "--work-dir", work]
    assert kinema("train", clips, *options, "--epochs", 1, "--seed", 1).returncode == 0
    before = [(work / name).read_text() for name in ("train_clips.csv", "val_clips.csv")]
    for epochs, seed in ((2, ["--seed", 5]), (3, [])):  # another one; a forgotten one
        result = kinema("train", clips, *options, "--epochs", epochs, *seed, "--resume")
        assert result.returncode == 0, result.stderr
        assert "validating on the 2 clips that were held out when the run began" in result.stderr
        assert [(work / name).read_text() for name in ("train_clips.csv", "val_clips.csv")] == before
    result = kinema("train", work / "config.py", *options[2:], "--epochs", 4, "--seed", 9, "--resume")
    assert result.returncode == 0, result.stderr
    assert [(work / name).read_text() for name in ("train_clips.csv", "val_clips.csv")] == before


@pytest.mark.slow
def test_a_run_whose_config_points_to_written_lists_is_resumed(clips, tmp_path):
    work = tmp_path / "work"
    lists = kinema("data", "split", clips, work / "data", "--fractions", "0.5,0.5")
    assert lists.returncode == 0, lists.stderr
    assert kinema("train", work / "data", *OPTIONS, "--work-dir", work).returncode == 0
    assert "hold_out" not in (work / "config.py").read_text()
    result = kinema("train", work / "config.py", "--work-dir", work, "--epochs", 2, "--resume")
    assert result.returncode == 0, result.stderr
    assert "resumed from" in result.stderr
    # As a run of an earlier version was begun: clips without validation, whose lists it wrote.
    result = kinema("train", clips, *OPTIONS[2:], "--epochs", 3, "--work-dir", work, "--seed", 4, "--resume")
    assert result.returncode == 0, result.stderr
    assert "validating on the 2 clips that were held out when the run began" in result.stderr
