"""What a command does with its process: imports, exit status, streams, signals."""

import signal
import subprocess
import sys

import pytest

from kinema.datasets.synthetic import make_motion_dataset


def kinema_process(*arguments):
    command = [sys.executable, "-m", "kinema.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)


def test_ctrl_c_while_the_program_is_imported_ends_it_without_a_traceback():
    script = """
import os, signal, sys
class Stops:
    def find_spec(self, name, *_):
        if name == "kinema.cli.main":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Stops())
from kinema.__main__ import main
main()
"""
    stopped = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (stopped.returncode, stopped.stdout, stopped.stderr) == (130, "", "")


def test_help_names_the_commands_and_imports_neither_torch_nor_numpy():
    script = "import atexit, sys\natexit.register(lambda: print('torch' in sys.modules or 'numpy' in sys.modules))\n"
    script += "from kinema.__main__ import main\nmain()"
    shown = subprocess.run([sys.executable, "-c", script, "--help"], capture_output=True, text=True, check=False)
    assert (shown.returncode, shown.stdout.splitlines()[-1]) == (0, "False"), shown.stderr
    for command in ("train", "test", "eval", "predict", "models", "runs", "demo", "doctor"):
        assert command in shown.stdout


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_says_how_to_go_on(tmp_path, number):
    clips = make_motion_dataset(tmp_path / "clips", num_train=16, num_val=8, num_frames=8, size=(32, 32))
    command = [
        sys.executable,
        "-m",
        "kinema.cli",
        "train",
        clips.root,
        "--epochs",
        "1000",
        "--work-dir",
        tmp_path / "work",
    ]
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "validation" in line:
            process.send_signal(number)
            break
    _, rest = process.communicate(timeout=600)
    assert process.returncode == 128 + number
    assert "Traceback" not in rest
    assert rest.splitlines()[-1].startswith("stopped; the same command with --resume continues where it stopped")


def test_an_error_is_one_line_and_exit_status_1(tmp_path):
    result = kinema_process("runs", tmp_path / "absent")
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert result.stderr.startswith(f"error: {tmp_path}/absent: no such folder")
