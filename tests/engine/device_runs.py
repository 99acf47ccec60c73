"""Train toy runs on a device, alone or by torchrun: a whole one, and one that stops within an epoch and is resumed.

Usage: device_runs.py FOLDER DEVICE STRATEGY PRECISION...: they are in FOLDER/PRECISION/whole and
FOLDER/PRECISION/parts. The main process writes FOLDER/PRECISION/seen.json.
"""

import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import torch
from toy_run import run_config

from kinema.distributed import is_main_process
from kinema.engine import Hook, Runner


class Stop(Hook):
    """Ask this process to stop, within an epoch."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.progress.iteration == 4:
            os.kill(os.getpid(), signal.SIGTERM)


def config_of(folder, device, strategy, precision, hooks=(), **changes):
    averages = dict(type="EMAHook", momentum=0.1, update_buffers=True)
    config = run_config(
        folder, device=device, strategy=strategy, precision=precision, custom_hooks=[averages, *hooks], **changes
    )
    config["optim_wrapper"] |= dict(clip_grad=dict(max_norm=1.0))
    config["randomness"] = dict(seed=7, deterministic=True)
    return config


def main():
    torch.set_num_threads(1)
    for precision in sys.argv[4:]:
        train_twice(Path(sys.argv[1], precision), [*sys.argv[2:4], precision])


def train_twice(folder, settings):
    whole = Runner.from_cfg(config_of(folder / "whole", *settings))
    whole.train()
    first = Runner.from_cfg(config_of(folder / "parts", *settings, [Stop()]))
    with suppress(KeyboardInterrupt):
        first.train()
    second = Runner.from_cfg(config_of(folder / "parts", *settings, resume=True))
    second.train()
    if is_main_process():
        place = next(whole.model.parameters()).device.type
        backend = torch.distributed.get_backend() if torch.distributed.is_initialized() else None
        seen = {
            "device": place,
            "strategy": whole.train_step.strategy.name,
            "backend": backend,
            "stopped": [first.progress.epoch, first.progress.batch],
            "metrics": [whole.metrics, second.metrics],
        }
        (folder / "seen.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main()
