"""Run a toy training that stands still, in a process of its own.

Usage: hanging_run.py WORK_DIR data|worker|stopped|checkpoint|validation|gil|slow TIMEOUT
"""

import ctypes
import itertools
import os
import signal
import sys
import time
from pathlib import Path

import torch
from toy_run import Pack, run_config

from kinema.distributed import get_rank, get_world_size, init_from_environment
from kinema.engine import Hook, Runner


class Stuck(Pack):
    """The last sample never comes."""

    def __init__(self, how="sleep", jitter=0.1):
        super().__init__(jitter)
        self.how = how
        self.counter = itertools.count()

    def transform(self, results):
        is_stuck = results["sample_idx"] == 9 if get_world_size() == 1 else get_rank() == 1 and next(self.counter) == 5
        if is_stuck:
            if self.how == "stopped":
                os.kill(os.getpid(), signal.SIGSTOP)
            stand_still()
        return super().transform(results)


def stand_still():
    time.sleep(1000)


class StandStill(Hook):
    """Does nothing for a while, at some point."""

    def before_save_checkpoint(self, runner, checkpoint):
        if case == "checkpoint":
            stand_still()

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        if case == "validation" and batch_idx == 1:
            stand_still()

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if case == "slow":
            time.sleep(0.6 * timeout)
        if case == "gil":
            ctypes.PyDLL(None).sleep(1000)  # holds Python's lock


work_dir, case, timeout = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
torch.set_num_threads(1)
init_from_environment()
config = run_config(work_dir, epochs=1, custom_hooks=[StandStill()])
config["default_hooks"] = dict(hang=dict(timeout=timeout))
if case in ("data", "worker", "stopped"):
    config["train_dataloader"]["dataset"]["pipeline"] = [dict(type=Stuck, how=case)]
    config["train_dataloader"]["num_workers"] = 0 if case == "data" else 2
Runner.from_cfg(config).train()
print("done")
