"""Run by torchrun: train a toy model; the workers of the last process are killed.

Usage: torchrun_killed_workers.py WORK_DIR POINT
"""

import sys

import torch
from test_killed_workers import Killer
from toy_run import run_config

from kinema.distributed import get_rank, init_from_environment
from kinema.engine import Runner

torch.set_num_threads(1)
init_from_environment()
killers = [Killer(sys.argv[2])] if get_rank() == 1 else []
config = run_config(sys.argv[1], custom_hooks=killers)
for split in ("train", "val"):
    config[f"{split}_dataloader"] |= dict(num_workers=2, persistent_workers=True, prefetch_factor=1, batch_size=2)
Runner.from_cfg(config).train()
