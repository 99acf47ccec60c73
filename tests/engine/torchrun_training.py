"""Run by torchrun: train the toy model on all processes; the main one writes what came out.

Usage: torchrun_training.py WORK_DIR
"""

import json
import sys
from pathlib import Path

import torch
from toy_run import run_config

from kinema.distributed import barrier, gather_objects, is_main_process
from kinema.engine import Runner

work_dir = Path(sys.argv[1])
torch.set_num_threads(1)
runner = Runner.from_cfg(run_config(work_dir, epochs=2))
runner.train()
weights = gather_objects({name: tensor.double().sum().item() for name, tensor in runner.model.named_parameters()})
if is_main_process():
    (work_dir / "ranks.json").write_text(json.dumps(weights))
barrier()  # nobody leaves while another is still in an exchange
