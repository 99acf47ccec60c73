"""Run by torchrun, or alone: runs of the toy model on all processes.

Usage: torchrun_runs.py FOLDER STRATEGY: a whole run in FOLDER/whole, and one in two parts in FOLDER/parts.
"""

import json
import sys
from pathlib import Path

import torch
from toy_run import run_config

from kinema.distributed import is_main_process
from kinema.engine import Runner


def config_of(folder, strategy, *, epochs, **changes):
    config = run_config(folder, epochs=epochs, strategy=strategy, custom_hooks=[dict(type="EMAHook", momentum=0.1)])
    config["optim_wrapper"] |= dict(accumulative_counts=3, clip_grad=dict(max_norm=1.0))
    config["train_dataloader"] |= dict(batch_size=3)
    # Of 13 samples one process gets 7, a batch more than the other, which gets 6.
    config["val_dataloader"] |= dict(sampler=dict(type="DefaultSampler", shuffle=False, round_up=False), batch_size=6)
    return {**config, **changes}


def main():
    torch.set_num_threads(1)
    folder, strategy = Path(sys.argv[1]), sys.argv[2]
    whole = Runner.from_cfg(config_of(folder / "whole", strategy, epochs=3))
    whole.train()
    Runner.from_cfg(config_of(folder / "parts", strategy, epochs=1)).train()
    parts = Runner.from_cfg(config_of(folder / "parts", strategy, epochs=3, resume=True))
    parts.train()
    if is_main_process():
        seen = {"strategy": whole.train_step.strategy.name, "metrics": [whole.metrics, parts.metrics]}
        (folder / "seen.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main()
