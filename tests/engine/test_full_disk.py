"""A disk without room: a limit of file size stands for it, as it needs no rights."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from kinema.files import lacks_room

SCRIPT = """
import resource, sys
from toy_run import run_config
from kinema.engine import Hook, Runner
from kinema.errors import StorageError

class Fill(Hook):
    def after_train_epoch(self, runner):
        if runner.epoch == 1:
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))

try:
    Runner.from_cfg(run_config(sys.argv[1], custom_hooks=[Fill()])).train()
except StorageError as error:
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(error)
runner = Runner.from_cfg(run_config(sys.argv[1], resume=True))
runner.train()
print(sum(tensor.double().sum().item() for tensor in runner.model.state_dict().values()))
"""


@pytest.mark.slow
@pytest.mark.parametrize("size", [100, 1_000, 3_000])  # stops the log, the weights, the training state
def test_a_full_disk_is_one_line_and_the_run_resumes(tmp_path, size):
    def run(work_dir, limit):
        command = [sys.executable, "-c", SCRIPT, str(work_dir), str(limit)]
        result = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=600, check=False
        )
        assert "Traceback" not in result.stderr, result.stderr
        return result.stdout.splitlines()

    message, weights = run(tmp_path / "full", size)
    assert message.startswith(f"no room in {tmp_path / 'full'}: ")
    assert "the checkpoints that are there are whole: make room, then resume" in message
    assert run(tmp_path / "whole", 10**9) == [weights]
    assert [path.name for path in (tmp_path / "full").rglob(".*")] == [".lock"]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 460480 vs 460372"),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_errors_of_a_full_disk_are_known(error):
    assert lacks_room(error)
    outer = ValueError("other")
    outer.__cause__ = error
    assert lacks_room(outer)
    assert not lacks_room(OSError(errno.ENOENT, "No such file"))
