"""Trainings that stand still, in processes of their own: each ends with its stacks and one line."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from kinema.engine import HangHook
from kinema.errors import ConfigError

HERE = Path(__file__).parent
LINE = r"error: no progress for 10 seconds \({}\): the stacks of all threads and of the processes that read clips"


def end_of(work_dir, case, *, processes=1):
    """Exit status and stderr of a training that stands still."""
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    result = subprocess.run(
        [*command, HERE / "hanging_run.py", work_dir, case, "10"],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    return result.returncode, result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "doing"),
    [
        ("data", r"between two batches, after step \d"),
        ("worker", r"between two batches, after step \d"),
        ("checkpoint", r"writing a checkpoint, step 4"),
        ("validation", r"computing batch 2 \(val\)"),
    ],
)
def test_a_run_that_stands_still_shows_where_and_ends(tmp_path, case, doing):
    status, text = end_of(tmp_path, case)
    assert status == 1
    assert re.search(LINE.format(doing), text), text
    assert text.count("error: ") == 1
    written = (tmp_path / "hang.txt").read_text()
    assert "-- thread MainThread, most recent call last" in written
    assert "stand_still" in written
    assert written in text
    assert ("which reads clips" in written) == (case == "worker")


@pytest.mark.slow
def test_a_worker_that_is_stopped_is_said_to_be(tmp_path):
    status, text = end_of(tmp_path, "stopped")
    assert status == 1
    assert "which reads clips, stopped by a signal\n  (it did not answer)" in text


@pytest.mark.slow
def test_code_that_holds_pythons_lock_is_ended_too(tmp_path):
    status, text = end_of(tmp_path, "gil")
    assert status == 1
    assert "in after_train_iter" in text


@pytest.mark.slow
def test_a_slow_run_is_not_ended(tmp_path):
    status, text = end_of(tmp_path, "slow")
    assert status == 0, text
    assert not (tmp_path / "hang.txt").exists()


@pytest.mark.slow
def test_all_processes_show_their_stacks(tmp_path):
    """The second one is stuck, the first waits for it."""
    status, text = end_of(tmp_path, "data", processes=2)
    assert status == 1
    written = (tmp_path / "hang.txt").read_text()
    for rank in (0, 1):
        assert f"process {rank} of 2, pid " in written
    assert "stand_still" in written.partition("process 1 of 2")[2]
    assert len(re.findall(LINE.format(".*"), text)) == 1


@pytest.mark.parametrize("timeout", [0, -1.0, float("nan")])
def test_a_time_that_is_none_is_refused(timeout):
    with pytest.raises(ConfigError, match=r"default_hooks\.hang: timeout \(--hang-timeout\) must be seconds above 0"):
        HangHook(timeout)
