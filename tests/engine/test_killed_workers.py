"""Processes that read clips for a run, killed by the system: one line, and every process of the run ends."""

import multiprocessing
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from toy_run import run_config

from kinema.engine import Hook, Runner
from kinema.errors import LoaderError

HERE = Path(__file__).parent


class Killer(Hook):
    """Kills a worker at a point of the run, as the system does when memory runs out."""

    def __init__(self, point, epoch=1):
        setattr(self, point, self.kill)
        self.epoch = epoch

    def kill(self, runner, batch_idx, data_batch=None, outputs=None):
        workers = [child for child in multiprocessing.active_children() if child.name.startswith("Process-")]
        if batch_idx == 1 and runner.progress.epoch == self.epoch:
            for worker in workers:
                os.kill(worker.pid, signal.SIGKILL)


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("point", ["after_train_iter", "after_val_iter"])
def test_a_worker_that_is_killed_ends_the_run_with_one_line(tmp_path, point, persistent):
    config = run_config(tmp_path, custom_hooks=[Killer(point)])
    for split in ("train", "val"):
        config[f"{split}_dataloader"] |= dict(
            num_workers=2, persistent_workers=persistent, prefetch_factor=1, batch_size=2
        )
    before = multiprocessing.active_children()  # of tests before this one
    with pytest.raises(LoaderError, match=r"a process that reads clips was killed \(out of memory\?\): use fewer"):
        Runner.from_cfg(config).train()
    children = [child for child in multiprocessing.active_children() if child not in before]
    for child in children:
        child.join(timeout=300)
    assert not any(child.is_alive() for child in children)


@pytest.mark.slow
@pytest.mark.parametrize("point", ["after_train_iter", "after_val_iter"])
def test_a_worker_of_one_process_that_is_killed_ends_the_others_too(tmp_path, point):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    result = subprocess.run(
        [*command, HERE / "torchrun_killed_workers.py", tmp_path, point],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert result.returncode != 0
    line = r"^\[rank1\]: kinema\.errors\.LoaderError: a process that reads clips was killed"
    assert len(re.findall(line, result.stderr, re.MULTILINE)) == 1, result.stderr
    assert "[rank0]:" not in result.stderr
