"""Run by torchrun: train with a loop of the user's, or with ours, and with hooks that change what is trained.

Usage: torchrun_user_loops.py WORK_DIR STRATEGY
"""

import sys
from pathlib import Path

import torch
from toy_run import run_config

from kinema.distributed import barrier, gather_objects
from kinema.engine import EpochBasedTrainLoop, Runner
from kinema.registry import LOOPS


@LOOPS.register_module()
class UsersLoop(EpochBasedTrainLoop):
    def run_epoch(self):
        self.runner.call_hook("before_train_epoch")
        self.runner.model.train()
        for idx, data_batch in enumerate(self.dataloader):
            self.run_iter(idx, data_batch)
        self.runner.call_hook("after_train_epoch")
        self._epoch += 1

    def run_iter(self, idx, data_batch):
        self.runner.call_hook("before_train_iter", batch_idx=idx, data_batch=data_batch)
        outputs = self.runner.model.train_step(data_batch, optim_wrapper=self.runner.optim_wrapper)
        self.runner.call_hook("after_train_iter", batch_idx=idx, data_batch=data_batch, outputs=outputs)
        self._iter += 1


work_dir, strategy = Path(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
states = []
for name, loop in (("ours", {}), ("users", {"type": "UsersLoop"})):
    config = run_config(
        work_dir / name,
        train_cfg=dict(**loop, max_epochs=3),
        strategy=strategy,
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1, momentum=0.9), accumulative_counts=2),
        custom_hooks=[
            dict(type="FreezeHook", modules=["layers.0"], until_epoch=1),
            dict(type="PreciseBNHook", num_iters=2),
        ],
    )
    runner = Runner.from_cfg(config)
    runner.train()
    assert (runner.iter, runner.epoch, runner.progress.step) == (6, 3, 3), runner.progress
    whole = runner.train_step.strategy.model_state()
    states.append({key: value.clone() for key, value in whole.items() if value.numel()})
    statistics = gather_objects(runner.model.layers[1].running_mean.tolist())
    assert statistics[0] == statistics[1], statistics
assert states[0].keys() == states[1].keys()
assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
barrier()  # nobody leaves while another is still in an exchange
