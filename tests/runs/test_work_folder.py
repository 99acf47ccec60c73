import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from toy_run import run_config

from kinema.engine import Hook, Runner
from kinema.errors import ConfigError
from kinema.runs.settings_file import as_data, read_settings
from kinema.runs.work_folder import hold, put_back, remove_unfinished, set_aside


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


HOLDER = """
import os, sys, time
from pathlib import Path
from kinema.runs.work_folder import hold
with hold(Path(sys.argv[1])):
    if os.fork() == 0:  # as a process that reads clips, which may live a little longer than its parent
        print("held", flush=True)  # and has let go of the lock: the parent may be killed from here on
        time.sleep(60)
        os._exit(0)
    time.sleep(60)
"""


@pytest.fixture
def other_run(tmp_path):
    """A process that holds the work folder, with a child of its own."""
    command = [sys.executable, "-c", HOLDER, tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        os.killpg(process.pid, signal.SIGKILL)


def test_a_second_run_is_refused_and_names_the_process_of_the_first(tmp_path, other_run):
    files = names(tmp_path)
    message = rf"another run writes into this work folder \(process {other_run.pid} on .*, since .*\): wait"
    with pytest.raises(ConfigError, match=message):
        Runner.from_cfg(run_config(tmp_path)).train()
    assert names(tmp_path) == files


@pytest.mark.slow
def test_a_killed_run_lets_go_also_while_its_children_live(tmp_path, other_run):
    other_run.kill()
    other_run.wait()
    with hold(tmp_path) as folder:
        assert folder.path == tmp_path


def test_a_hold_inside_a_hold_is_the_same_and_another_thread_is_refused(tmp_path):
    problems = []

    def hold_in_thread():
        try:
            with hold(tmp_path):
                pass
        except ConfigError as error:
            problems.append(str(error))

    with hold(tmp_path) as folder:
        with hold(tmp_path) as inner:
            assert inner is folder
        thread = threading.Thread(target=hold_in_thread)
        thread.start()
        thread.join()
    assert "another thread of this program" in problems[0]
    with hold(tmp_path):
        pass


def test_a_file_system_without_locks_is_a_warning(tmp_path, monkeypatch, caplog):
    def refuse(descriptor, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with hold(tmp_path):
        pass
    assert "this file system has no locks" in caplog.text


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ConfigError, match=r"Not a directory: .*file.work cannot be the work folder"),
        hold(tmp_path / "file" / "work"),
    ):
        pass


def test_a_command_that_fails_before_it_wrote_anything_leaves_no_folder(tmp_path):
    with pytest.raises(RuntimeError, match="wrong data"), hold(tmp_path / "work" / "clips"):
        raise RuntimeError("wrong data")
    assert names(tmp_path) == []


def fill(folder):
    (folder / "checkpoints" / "step_00000004").mkdir(parents=True)
    for name in ("metrics.jsonl", "config.py", "train_clips.csv", "val_clips.csv"):
        (folder / name).write_text(f"the first {name}")


def test_an_earlier_run_is_set_aside_with_its_lists_of_clips(tmp_path):
    fill(tmp_path)
    aside = set_aside(tmp_path)
    assert aside == tmp_path / "earlier_1"
    assert names(aside) == ["checkpoints", "config.py", "metrics.jsonl", "train_clips.csv", "val_clips.csv"]
    assert names(tmp_path) == ["earlier_1"]


def test_a_run_that_was_killed_before_its_first_checkpoint_is_set_aside_too(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 2}\n')
    Runner.from_cfg(run_config(tmp_path, epochs=1)).train()
    assert (tmp_path / "earlier_1" / "metrics.jsonl").read_text() == '{"step": 2}\n'
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 3


def fail_in(work_dir, *, has_begun):
    """A run in a used work folder that fails."""
    with hold(work_dir) as folder:
        folder.set_aside()
        for name in ("train_clips.csv", "train.log", "metrics.jsonl"):
            (work_dir / name).write_text("the second")
        if has_begun:
            folder.begin()
        raise ConfigError("wrong")


def put_folder(path):
    path.mkdir()


def put_link_to_nowhere(path):
    path.symlink_to(path.parent / "nothing")


def put_link_to_device(path):
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize(
    ("put", "kind"),
    [
        (put_folder, "a folder"),
        (os.mkfifo, "a pipe or a device"),
        (put_link_to_device, "a pipe or a device"),
        (put_link_to_nowhere, "a link that leads nowhere"),
    ],
)
@pytest.mark.parametrize("name", ["metrics.jsonl", "run.json", "train.log"])
def test_what_stands_in_a_files_place_is_named_before_a_run_is_resumed(tmp_path, name, put, kind):
    put(tmp_path / name)
    with pytest.raises(ConfigError, match=rf"{name}: is {kind}, expected a file that the run writes: move it away"):
        Runner.from_cfg(run_config(tmp_path, resume=True)).train()
    assert names(tmp_path) == [".lock", name]


def test_a_file_in_a_folders_place_and_a_folder_in_a_pointers_are_named(tmp_path):
    (tmp_path / "checkpoints").write_text("")
    with hold(tmp_path) as folder, pytest.raises(ConfigError, match=r"checkpoints: is a file, expected a folder"):
        folder.check()
    (tmp_path / "checkpoints").unlink()
    (tmp_path / "checkpoints" / "best").mkdir(parents=True)
    with hold(tmp_path) as folder, pytest.raises(ConfigError, match=r"best: is a folder, expected a file"):
        folder.check()


def test_links_that_lead_nowhere_are_set_aside_and_come_back(tmp_path):
    put_link_to_nowhere(tmp_path / "metrics.jsonl")
    aside = set_aside(tmp_path)
    assert names(aside) == ["metrics.jsonl"]
    put_back(tmp_path, aside)
    assert names(tmp_path) == ["metrics.jsonl"]


def test_a_run_that_fails_before_it_begins_puts_the_earlier_one_back(tmp_path):
    fill(tmp_path)
    with pytest.raises(ConfigError, match="wrong"):
        fail_in(tmp_path, has_begun=False)
    assert names(tmp_path) == [
        ".lock",
        "checkpoints",
        "config.py",
        "metrics.jsonl",
        "train_clips.csv",
        "val_clips.csv",
    ]
    assert (tmp_path / "train_clips.csv").read_text() == "the first train_clips.csv"
    assert (tmp_path / "metrics.jsonl").read_text() == "the first metrics.jsonl"


def test_a_run_that_fails_later_leaves_the_earlier_one_aside(tmp_path):
    fill(tmp_path)
    with pytest.raises(ConfigError, match="wrong"):
        fail_in(tmp_path, has_begun=True)
    assert (tmp_path / "earlier_1" / "checkpoints").is_dir()


def test_putting_back_takes_nothing_from_earlier_runs(tmp_path):
    fill(tmp_path)
    first = set_aside(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    second = set_aside(tmp_path)
    put_back(tmp_path, second)
    assert names(tmp_path) == ["checkpoints", "earlier_1"]
    assert (first / "metrics.jsonl").is_file()


def test_what_killed_runs_left_half_written_is_removed(tmp_path):
    fill(tmp_path)
    checkpoints = tmp_path / "checkpoints"
    for name in (".step_00000008.ab12_x9z", ".step_00000004.old.q1w2e3r4", ".step_00000010.zzzzzzzz", ".mine"):
        (checkpoints / name).mkdir()
        (checkpoints / name / "model.safetensors").write_text("half")
    (tmp_path / "data").mkdir()  # where `kinema demo` writes its clips
    for name in (
        ".train_clips.csv.0123abcd.part",
        ".run.json.0123abcd.part",
        "data/.train.txt.0123abcd.part",
        "checkpoints/.last.0123abcd.part",
        ".mine.part",
    ):
        (tmp_path / name).write_text("half")
    remove_unfinished(tmp_path)
    assert names(checkpoints) == [".mine", "step_00000004"]
    assert names(tmp_path / "data") == []
    assert names(tmp_path) == [
        *(".mine.part", "checkpoints", "config.py", "data", "metrics.jsonl", "train_clips.csv", "val_clips.csv")
    ]


def test_a_checkpoint_that_stepped_aside_for_one_that_never_came_is_back(tmp_path):
    old = tmp_path / "checkpoints" / ".step_00000008.old.q1w2e3r4" / "step_00000008"
    old.mkdir(parents=True)
    (old / "config.json").write_text("whole")
    remove_unfinished(tmp_path)
    assert (tmp_path / "checkpoints" / "step_00000008" / "config.json").read_text() == "whole"
    assert names(tmp_path / "checkpoints") == ["step_00000008"]


class Stop(Hook):
    """Ends a run as a kill would, as far as its files go."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter == 2:
            raise RuntimeError("killed")


def test_resuming_before_the_first_checkpoint_writes_each_step_once(tmp_path):
    with pytest.raises(RuntimeError, match="killed"):
        Runner.from_cfg(run_config(tmp_path, custom_hooks=[Stop()])).train()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "ep')
    Runner.from_cfg(run_config(tmp_path, resume=True)).train()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["split"] == "train"] == [2, 4, 6, 8, 10, 12]
    assert not (tmp_path / "earlier_1").exists()


# ---- the data form of the config


def test_the_settings_of_a_run_are_data(tmp_path):
    value = {
        **{1: (1, 2.5), "path": tmp_path, "inf": float("inf"), "type": Hook, "object": Stop(), "set": {"b", "a"}},
        **{"flag": True, "none": None},
    }
    assert as_data(value) == {
        **{"1": [1, 2.5], "path": str(tmp_path), "inf": "inf", "type": "kinema.hooks.hook.Hook"},
        **{"object": f"<{Stop.__module__}.Stop>", "set": ["a", "b"], "flag": True, "none": None},
    }
    json.dumps(as_data(value), allow_nan=False)


def test_settings_of_a_folder_without_data_form_are_read_as_text(tmp_path):
    assert read_settings(tmp_path) is None
    (tmp_path / "config.py").write_text("model = dict(depth=18, sizes=(1, 2))\n")
    assert read_settings(tmp_path) == {"model": {"depth": 18, "sizes": [1, 2]}}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.py", "import os\nos.system('touch tripwire')\n", r"config\.py:1: expected 'name = value'"),
        ("config.py", "model = __import__('os').system('touch tripwire')\n", r"config\.py:1: expected a plain value"),
        ("config.py", "a = " + "[" * 300 + "\n", r"config\.py"),
        ("config.py", "a = list(1)\n", r"config\.py"),
        ("run.json", "[" * 200_000, r"run\.json"),
        ("run.json", '{"config": 5}', r"run\.json: it holds no config"),
        ("run.json", "\x00\x01", r"run\.json"),
        ("run.json", '{"config": {"a": ' + "9" * 5000 + "}}", r"run\.json"),
    ],
)
def test_settings_that_cannot_be_read_are_only_not_compared(tmp_path, monkeypatch, caplog, name, content, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(content)
    assert read_settings(tmp_path) is None
    assert message.replace("\\", "").split(":")[0] in caplog.text
    assert "cannot compare the settings" in caplog.text
    assert not (tmp_path / "tripwire").exists()


# ---- stopping


def test_a_termination_signal_ends_the_run_after_the_step_and_it_resumes(tmp_path):
    class Terminate(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            if runner.iter == 5:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(0)

    with pytest.raises(KeyboardInterrupt) as stopped:
        Runner.from_cfg(run_config(tmp_path, custom_hooks=[Terminate()])).train()
    assert stopped.value.args == (signal.SIGTERM,)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    runner = Runner.from_cfg(run_config(tmp_path, resume=True))
    runner.train()
    assert (tmp_path / "checkpoints" / "last").read_text() == "step_00000012\n"
