"""`kinema validate`, and what `kinema train` says before it trains."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from kinema.cli.main import app
from kinema.recipes import guidance
from kinema.video import write_video


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(autouse=True)
def _all_clips_are_looked_at(monkeypatch):
    """Also where a busy machine takes long."""
    monkeypatch.setattr(guidance, "LOOKING_SECONDS", 600.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Sixteen clips of two classes, whose lengths tell the class."""
    root = tmp_path_factory.mktemp("validated") / "clips"
    for label, name in enumerate(("clap", "wave")):
        (root / name).mkdir(parents=True)
        for number in range(10):
            frames = np.random.default_rng(10 * label + number).integers(0, 256, (8 + 8 * label, 32, 48, 3), np.uint8)
            write_video(root / name / f"{number}.mp4", frames, 10)
    return root


def test_the_same_look_as_before_a_training_on_stdout(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = run("validate", folder, "--no-trial", "--seed", 5)
    assert shown.exit_code == 0, shown.output
    for text in (
        "2: clap 10, wave 10",
        "0.8 to 1.6",
        "16 (train) + 4 (val): whole source videos held out at random, seed 5",
        "compact3d: 8 frames",
        "of a clip alone tells its class in ",
        "the duration",
    ):
        assert text in shown.stdout
    assert "looking over 20 clips" in shown.stderr
    assert "estimate" not in shown.stdout
    value = json.loads(run("validate", folder, "--no-trial", "--json").stdout)
    assert (value["trial"], value["stops"], value["plan"]["train_clips"]) == (None, None, 16)
    assert [problem["kind"] for problem in value["survey"]["problems"]] == ["telling fact"]
    assert list(tmp_path.iterdir()) == []


def test_what_would_stop_a_training_is_exit_status_1(folder, tmp_path):
    bad = tmp_path / "clips"
    for name in ("clap", "wave"):
        (bad / name).mkdir(parents=True)
        for number in range(10):
            (bad / name / f"{number}.mp4").write_bytes((folder / name / f"{number}.mp4").read_bytes())
    for number in range(5):
        (bad / "clap" / f"{number}.mp4").write_bytes(b"junk")
    shown = run("validate", bad)
    assert (shown.exit_code, "this would stop a training: " in shown.stdout) == (1, True)
    assert "probed videos cannot be read" in shown.stdout
    stopped = run("train", bad, "--work-dir", tmp_path / "work")
    assert "take them out, or train on what can be read: --set train_dataloader.max_brok" in str(stopped.exception)
    assert "Before training" in stopped.stderr
    assert not (tmp_path / "work" / "checkpoints").exists()
    (tmp_path / "one" / "class").mkdir(parents=True)
    assert "found no videos below it" in str(run("validate", tmp_path / "one").exception)


def test_what_needs_no_look_at_the_clips_is_said_before_it(folder, tmp_path):
    (tmp_path / "file").touch()
    for option, value, message in (
        ("--work-dir", tmp_path / "file", "file: is a file: the work folder must be a folder"),
        ("--device", "tpu9", "the device 'tpu9' cannot be used here"),
    ):
        refused = run("train", folder, option, value)
        assert message in str(refused.exception)
        assert "looking over" not in refused.stderr


def test_options_that_do_not_go_together_are_one_line(folder, tmp_path):
    assert "expected auto or none, got 'yes'" in str(run("train", folder, "--class-weights", "yes").exception)
    both = run("train", folder, "--multi-label", "--label-smoothing", 0.1)
    assert "clips here have several labels: leave it out" in str(both.exception)
    assert "expected a share from 0 to below 1" in str(run("train", folder, "--label-smoothing", 2).exception)


@pytest.mark.slow
def test_a_guide_stays_in_the_summary_also_of_a_resumed_run(folder, tmp_path):
    work = tmp_path / "work"
    options = ("--work-dir", work, "--workers", 0, "--device", "cpu", "--json")
    trained = run("train", folder, "--epochs", 1, *options, "--class-weights", "auto", "--mixup", 0.2)
    assert trained.exit_code == 0, trained.output
    summary = json.loads(trained.stdout)
    assert summary["guide"]["trial"]["limited_by"] in ("reading", "computing")
    assert summary["guide"]["plan"]["options"] == ["small classes count more", "mixup 0.2"]
    assert "estimate" in trained.stderr
    assert trained.stderr.count("of a clip alone tells its class") == 1
    resumed = run("train", folder, "--epochs", 2, *options, "--class-weights", "auto", "--mixup", 0.2, "--resume")
    assert resumed.exit_code == 0, resumed.output
    assert "looking over" not in resumed.stderr
    assert json.loads(resumed.stdout)["guide"] == summary["guide"]
    again = run("train", folder, "--epochs", 1, *options, "--no-trial")
    assert json.loads(again.stdout)["guide"]["trial"] is None
    assert (Path(work) / "earlier_1" / "guide.json").is_file()


@pytest.mark.slow
def test_prepared_clips_are_trained_from_and_named_by_their_originals(folder, tmp_path, make_video):
    clips = tmp_path / "clips"
    shutil.copytree(folder, clips)
    (clips / "clap" / "9.mp4").write_bytes(b"junk")
    work = tmp_path / "work"
    options = ("--work-dir", work, "--workers", 0, "--device", "cpu", "--no-trial", "--prepare")
    trained = run("train", clips, "--epochs", 1, *options)
    assert trained.exit_code == 0, trained.output
    assert "prepared 19, 0 were there; 1 cannot be prepared, and are read as they are: " in trained.stderr
    prepared = tmp_path / "work_prepared"
    assert len(list(prepared.rglob("*.mp4"))) == 19
    config = json.loads((work / "run.json").read_text())["config"]
    assert config["train_dataloader"]["dataset"]["pipeline"][0] == {"type": "OpenVideo", "prepared": str(prepared)}
    assert config["train_dataloader"]["dataset"]["ann_file"] == str(clips)
    (checkpoint,) = (work / "checkpoints").glob("step_*")
    assert str(prepared) not in (checkpoint / "config.json").read_text()
    broken = [json.loads(line)["path"] for line in (work / "broken.jsonl").read_text().splitlines()]
    assert broken == [str(clips / "clap" / "9.mp4")]

    make_video(clips / "clap" / "0.mp4", num_frames=8, size=(48, 32), fps=10)
    resumed = run("train", clips, "--epochs", 2, *options[:-1], "--resume")  # it stays with the prepared clips
    assert resumed.exit_code == 0, resumed.output
    assert "prepared 1, 18 were there" in resumed.stderr
    assert "going on with other settings" not in resumed.stderr


def test_what_preparing_does_not_go_with_is_one_line(folder, tmp_path):
    tried = run("train", folder, "--prepare", "--dry-run")
    assert "--dry-run writes nothing, so that it cannot --prepare clips" in str(tried.exception)
    (tmp_path / "config.py").write_text("train_cfg = dict(max_epochs=3)\n")
    assert "is a config: `kinema config " in str(run("validate", tmp_path / "config.py").exception)
    of_config = run("train", tmp_path / "config.py", "--prepare")
    assert "--prepare goes with clips, not with a config: `kinema data prepare` makes" in str(of_config.exception)


def test_a_dry_run_looks_over_the_clips_first(folder):
    tried = run("train", folder, "--dry-run", "--device", "cpu", "--json")
    assert tried.exit_code == 0, tried.output
    assert json.loads(tried.stdout)["samples"] == 16
    assert " INFO " not in tried.stderr
    for text in ("looking over 20 clips", "Before training", "of a clip alone tells its class"):
        assert tried.stderr.count(text) == 1
