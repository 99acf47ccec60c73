"""Run by torchrun: what users' code for MMEngine reads of `runner.model` on two processes."""

import sys
from pathlib import Path

from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2] / "engine"))
from toy_run import ToyModel, run_config

from kinema.compat.parts.runners import Runner
from kinema.engine import EpochBasedTrainLoop, Hook
from kinema.models.wrappers import MMDistributedDataParallel, is_model_wrapper


class UsersLoop(EpochBasedTrainLoop):
    def run_iter(self, idx, data_batch):
        self.runner.call_hook("before_train_iter", batch_idx=idx, data_batch=data_batch)
        outputs = self.runner.model.train_step(data_batch, optim_wrapper=self.runner.optim_wrapper)
        self.runner.call_hook("after_train_iter", batch_idx=idx, data_batch=data_batch, outputs=outputs)
        self._iter += 1


class Reads(Hook):
    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        assert is_model_wrapper(runner.model)
        assert isinstance(runner.model.module, ToyModel)
        assert all(name.startswith("module.") for name in runner.model.state_dict())


weights = []
for name, loop in (("ours", {}), ("users", {"type": UsersLoop})):
    config = run_config(
        Path(sys.argv[1]) / name,
        train_cfg=dict(**loop, max_epochs=2),
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1), accumulative_counts=2),
        custom_hooks=[Reads()],
    )
    runner = Runner.from_cfg(config)
    assert isinstance(runner.model, ToyModel)
    runner.train()
    assert isinstance(runner.model, MMDistributedDataParallel)
    weights.append(nn.utils.parameters_to_vector(runner.model.parameters()).detach())
assert weights[0].equal(weights[1])
