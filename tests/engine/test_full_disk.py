"""A disk without room: a limit of file size stands for it, as it needs no rights."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from kinema.files import lacks_room

SCRIPT = """
import resource, sys
from pathlib import Path
from toy_run import run_config
from kinema.engine import Hook, Runner
from kinema.errors import StorageError

class Fill(Hook):
    def __init__(self, limit):
        self.limit = limit

    def after_train_epoch(self, runner):
        if runner.epoch == 1:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.limit, resource.RLIM_INFINITY))

for limit in map(int, sys.argv[2:]):
    work_dir = Path(sys.argv[1], str(limit))
    message = "no error"
    try:
        Runner.from_cfg(run_config(work_dir, custom_hooks=[Fill(limit)])).train()
    except StorageError as error:
        message = str(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    runner = Runner.from_cfg(run_config(work_dir, resume=True))
    runner.train()
    print(message, sum(tensor.double().sum().item() for tensor in runner.model.state_dict().values()), sep="\\n")
"""


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_the_run_resumes(tmp_path):
    limits = (100, 1_000, 3_000, 10**9)  # stop the log, the weights, the training state, nothing
    command = [sys.executable, "-c", SCRIPT, tmp_path, *map(str, limits)]
    result = subprocess.run(
        command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=900, check=False
    )
    assert "Traceback" not in result.stderr, result.stderr
    lines = result.stdout.splitlines()
    messages, weights = dict(zip(limits, lines[::2], strict=True)), lines[1::2]
    assert messages.pop(10**9) == "no error"
    assert weights == weights[-1:] * 4
    for limit, message in messages.items():
        folder = tmp_path / str(limit)
        assert message.startswith(f"no room in {folder}: ")
        assert "the checkpoints that are there are whole: make room, then resume" in message
        assert [path.name for path in folder.rglob(".*")] == [".lock"]


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
