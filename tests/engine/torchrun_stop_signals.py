"""Run by torchrun: train, resuming what is there; one process sends itself SIGTERM in its third step.

Usage: torchrun_stop_signals.py WORK_DIR RANK|none
"""

import json
import os
import signal
import sys
from pathlib import Path

import torch
from toy_run import run_config

from kinema.distributed import barrier, gather_objects, get_rank, is_main_process
from kinema.engine import Hook, Runner

work_dir = Path(sys.argv[1])
torch.set_num_threads(1)


class Send(Hook):
    """Sends the signal."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if str(get_rank()) == sys.argv[2] and runner.iter == 2:
            os.kill(os.getpid(), signal.SIGTERM)


runner = Runner.from_cfg(run_config(work_dir, epochs=3, custom_hooks=[Send()], resume=True))
try:
    runner.train()
    outcome = [None, runner.progress.step, "done"]
except KeyboardInterrupt as stop:
    outcome = [*stop.args, runner.progress.step, "interrupted"]
outcomes = gather_objects(outcome)
if is_main_process():
    (work_dir / "ranks.json").write_text(json.dumps(outcomes))
barrier()  # nobody leaves while another is still in an exchange
