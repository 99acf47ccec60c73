"""Run by torchrun: train models on which one process is not finite; the main one writes what came of each.

Usage: torchrun_nonfinite.py FOLDER STRATEGY stop|skip|fp16|gradient...: the work folders are FOLDER/stop, ...
"""

import json
import sys
from pathlib import Path

import torch
from nonfinite_run import spoiled_config
from toy_run import ToyModel

from kinema.distributed import barrier, gather_objects, get_rank, init_from_environment, is_main_process
from kinema.engine import Runner
from kinema.errors import TrainingError


class SteepOnTheLast(ToyModel):
    """On the last process one element of the gradient of one parameter is not finite."""

    def forward(self, inputs, data_samples=None, mode="tensor"):
        losses = super().forward(inputs, data_samples, mode)
        if mode == "loss":
            weight = self.layers[4].bias
            zero = weight[0] - weight[0].detach()
            losses["loss_steep"] = zero.abs().sqrt() if get_rank() == 1 else zero
        return losses


def train(work_dir: Path, strategy: str, case: str) -> None:
    nonfinite = dict(policy="skip" if case == "skip" else "stop")
    config = spoiled_config(work_dir, nonfinite=nonfinite, strategy=strategy)
    if case == "fp16":
        config["precision"] = "fp16"
    if case == "gradient":
        config["model"] = dict(type=SteepOnTheLast)
        config["train_dataloader"]["dataset"]["pipeline"].pop(1)
    runner, error = Runner.from_cfg(config), None
    try:
        runner.train()
    except TrainingError as caught:
        error = str(caught)
    weights = runner.train_step.strategy.model_state()
    total = sum(value.double().sum().item() for value in weights.values()) if is_main_process() else None
    results = gather_objects({"error": error, "step": runner.progress.step})
    if is_main_process():
        assert total == total, "the weights are not finite"
        (work_dir / "ranks.json").write_text(json.dumps(results))
    barrier()  # nobody leaves while another is still in an exchange


if __name__ == "__main__":
    torch.set_num_threads(1)
    init_from_environment()
    for case in sys.argv[3:]:
        train(Path(sys.argv[1], case), sys.argv[2], case)
