"""Kill a toy training at random moments, also while it saves, and resume it until it is done.

Usage: killed_runs.py WORK_DIR KILLS SEED. Prints the number of kills that hit a running training,
and of those while a checkpoint was half-written.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

import torch
from toy_run import Pack, Points, ToyModel, run_config

from kinema.engine import Runner

EPOCHS = 40


class HeavyModel(ToyModel):
    """A toy whose checkpoints take a while to write."""

    def __init__(self):
        super().__init__()
        self.register_buffer("ballast", torch.arange(4_000_000, dtype=torch.float32))


def train(work_dir, *, resume):
    torch.set_num_threads(1)
    config = run_config(work_dir, epochs=EPOCHS, resume=resume, model=dict(type=HeavyModel))
    config["train_dataloader"] |= dict(num_workers=1, dataset=dict(type=Points, pipeline=[dict(type=Pack)]))
    config["default_hooks"] = dict(logger=dict(interval=1), checkpoint=dict(max_keep_ckpts=2))
    Runner.from_cfg(config).train()


def in_child(work_dir, *, resume):
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            train(work_dir, resume=resume)
        except BaseException as error:
            print(f"failed: {type(error).__name__}: {error}", file=sys.stderr)
            os._exit(1)
        os._exit(0)
    return child


def newest(folder):
    """Number of the newest whole checkpoint."""
    return max((int(path.name[6:]) for path in (folder / "checkpoints").glob("epoch_*")), default=0)


def wait_for(condition, seconds=15):
    end = time.monotonic() + seconds
    while time.monotonic() < end and not condition():
        time.sleep(0.002)


if __name__ == "__main__":
    folder, kills = Path(sys.argv[1]), int(sys.argv[2])
    generator = random.Random(int(sys.argv[3]))
    hit = while_saving = 0
    for _ in range(kills):
        process = in_child(folder, resume=True)
        wanted = newest(folder) + generator.randrange(3)
        wait_for(lambda wanted=wanted: newest(folder) >= wanted)
        if generator.random() < 0.5:
            wait_for(lambda: list((folder / "checkpoints").glob(".epoch_*")))
            time.sleep(generator.random() * 0.01)
        else:
            time.sleep(generator.random() * 0.5)
        os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        if os.WIFEXITED(status):
            if os.WEXITSTATUS(status):
                sys.exit(f"a resumed run failed with {status}")
            continue  # it was done
        hit += 1
        while_saving += bool(list((folder / "checkpoints").glob(".*")))
    train(folder, resume=True)
    print(hit, while_saving)
