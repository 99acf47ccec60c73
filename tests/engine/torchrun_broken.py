"""Run by torchrun: train on all processes with broken samples; the main one writes what each came to.

Usage: torchrun_broken.py FOLDER: few are broken in FOLDER/few, many in FOLDER/many.
"""

import json
import sys
from pathlib import Path

import torch
from broken_run import broken_config

from kinema.distributed import barrier, gather_objects, init_from_environment, is_main_process
from kinema.engine import BrokenVideosHook, Runner
from kinema.errors import VideoError


def train(work_dir: Path, **broken: tuple[int, ...]) -> None:
    config = broken_config(work_dir, epochs=3, custom_hooks=[BrokenVideosHook(interval=2)], **broken)
    config["train_dataloader"] |= dict(max_broken_share=0.1, batch_size=3)
    try:
        Runner.from_cfg(config).train()
        outcome = "done"
    except VideoError as error:
        outcome = str(error)
    outcomes = gather_objects(outcome)
    if is_main_process():
        (work_dir / "ranks.json").write_text(json.dumps(outcomes))
    barrier()  # nobody leaves while another is still in an exchange


if __name__ == "__main__":
    torch.set_num_threads(1)
    init_from_environment()
    # Sample 12 of the 13 of the validation is the last one, and sample 0 is repeated to fill the last round up.
    train(Path(sys.argv[1], "few"), train=(3, 4), val=(12,))
    train(Path(sys.argv[1], "many"), train=(3, 12, 20))
