"""What a run writes down of itself, so that its figures can be traced to what made them."""

import json
import subprocess
import sys

import pytest
from toy_run import Points

from kinema import __version__
from kinema.runs import description
from kinema.runs.description import changed_hashes, describe_run, git_state, hash_of_config
from kinema.runs.settings_file import read_run, read_settings, write_settings

CONFIG = {"model": {"type": "TSN"}, "work_dir": "work/a", "train_cfg": {"max_epochs": 2}}


def git(folder, *arguments):
    names = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    subprocess.run(["git", *names, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.setattr(description, "GIT_SECONDS", 60.0)  # for a busy machine
    folder = tmp_path / "code"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "train.py").write_text("pass\n")
    git(folder, "add", "train.py")
    git(folder, "commit", "-qm", "Begin")
    return folder


def test_a_description_says_what_made_the_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = describe_run(
        CONFIG, train=Points(), val=Points(count=5), classes=["left", "right"], seed=3, world_size=2, device="cpu"
    )
    assert said["command"] == sys.orig_argv
    assert said["folder"] == str(tmp_path)
    assert (said["seed"], said["world_size"], said["device"]) == (3, 2, "cpu")
    assert said["num_clips"] == {"train": 24, "val": 5}
    assert set(said["versions"]) == {"kinema", "python", "torch", "cuda", "numpy", "av", "cv2"}
    assert said["versions"]["kinema"] == __version__
    assert None not in [said["versions"][name] for name in ("torch", "numpy", "av", "cv2")]
    assert all(said["host"][name] for name in ("name", "os", "cpu", "cores"))
    assert all(len(value) == 64 for value in said["hashes"].values())
    assert json.loads(json.dumps(said)) == said


def test_a_description_without_data_has_no_hash_of_it():
    said = describe_run(CONFIG, seed=0)
    assert said["hashes"] == {
        **dict.fromkeys(("train_clips", "val_clips", "classes")),
        "config": hash_of_config(CONFIG),
    }
    assert said["num_clips"] == {"train": None, "val": None}


def test_the_hash_of_a_config_is_of_what_it_trains():
    same = {"train_cfg": {"max_epochs": 2}, "work_dir": "work/b", "model": {"type": "TSN"}, "resume": True}
    assert hash_of_config(same) == hash_of_config(CONFIG)
    assert hash_of_config({**CONFIG, "train_cfg": {"max_epochs": 3}}) != hash_of_config(CONFIG)


def test_what_changed_is_named():
    before = describe_run(CONFIG, train=Points(), val=Points(count=5), classes=["left", "right"], seed=0)
    assert changed_hashes(before, before) == []
    now = describe_run(
        {**CONFIG, "model": {}}, train=Points(count=20), val=Points(count=5), classes=["right", "left"], seed=0
    )
    assert changed_hashes(before, now) == ["config", "training clips (24, now 20)", "classes"]


@pytest.mark.parametrize("before", [{}, {"hashes": None}, {"hashes": {"config": None}}, {"hashes": []}])
def test_what_an_earlier_version_did_not_write_has_not_changed(before):
    assert changed_hashes(before, describe_run(CONFIG, seed=0)) == []


def test_the_state_of_a_repository_is_its_commit_and_whether_files_were_changed(repository):
    state = git_state(repository)
    assert len(state["commit"]) == 40
    assert state["dirty"] is False
    (repository / "notes.txt").write_text("not of the repository")
    assert git_state(repository)["dirty"] is False
    (repository / "train.py").write_text("print()\n")
    assert git_state(repository) == {"commit": state["commit"], "dirty": True}


def test_a_repository_without_a_commit_and_a_folder_outside_have_no_state(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state(tmp_path) is None
    git(tmp_path, "init", "-q")
    assert git_state(tmp_path) is None


def test_without_git_there_is_no_state(repository, monkeypatch):
    monkeypatch.setenv("PATH", str(repository))
    assert git_state(repository) is None


def test_a_git_that_does_not_answer_is_not_waited_for(repository, monkeypatch):
    slow = repository / "git"
    slow.write_text('#!/bin/sh\ncase "$*" in *rev-parse*) echo ' + "a" * 40 + ";; *) exec /bin/sleep 60;; esac\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", str(repository))
    run = subprocess.run

    def hurried(command, **options):
        """Waits for the question that is answered, however busy the machine, and for the other one shortly."""
        assert options["timeout"] == description.GIT_SECONDS
        return run(command, **{**options, "timeout": 60.0 if "rev-parse" in command else 0.1})

    monkeypatch.setattr(subprocess, "run", hurried)
    assert git_state(repository) == {"commit": "a" * 40, "dirty": None}


def test_what_a_repository_names_is_not_run(repository):
    """Its settings may name a program that git asks for changed files."""
    planted = repository / "planted"
    planted.write_text(f"#!/bin/sh\ntouch {repository}/ran\n")
    planted.chmod(0o755)
    git(repository, "config", "core.fsmonitor", str(planted))
    assert git_state(repository)["dirty"] is False
    assert not (repository / "ran").exists()


def test_run_json_keeps_every_start_of_a_run(tmp_path):
    for _ in range(2):
        write_settings(tmp_path, CONFIG, describe_run(CONFIG, seed=0))
    content = read_run(tmp_path)
    assert content["config"] == read_settings(tmp_path) == CONFIG
    assert content["hashes"]["config"] == hash_of_config(CONFIG)
    assert [session["command"] for session in content["sessions"]] == [sys.orig_argv, sys.orig_argv]
    assert set(content["sessions"][0]) < set(content)


@pytest.mark.parametrize("text", [None, "", "{", "[]", "[" * 100_000])
def test_a_run_json_that_cannot_be_read_is_none(tmp_path, text):
    if text is not None:
        (tmp_path / "run.json").write_text(text)
    assert read_run(tmp_path) is None
    write_settings(tmp_path, CONFIG, describe_run(CONFIG, seed=0))
    assert len(read_run(tmp_path)["sessions"]) == 1
