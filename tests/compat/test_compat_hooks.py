"""A file of hooks and a loop as users of MMEngine have it, with its imports."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmengine.evaluator import BaseMetric
from mmengine.hooks import CheckpointHook, Hook, IterTimerHook, LoggerHook, RuntimeInfoHook
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, HOOKS, LOOPS, METRICS, MODELS
from mmengine.runner import EpochBasedTrainLoop, Runner


@DATASETS.register_module()
class Numbers(BaseDataset):
    def load_data_list(self):
        return [dict(x=np.float32(i)) for i in range(8)]

    def __getitem__(self, index):
        return dict(inputs=torch.tensor([self.get_data_info(index)["x"]]))


@MODELS.register_module()
class Line(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def forward(self, inputs, data_samples=None, mode="tensor"):
        y = self.layer(torch.stack(inputs))
        if mode == "loss":
            hub = MessageHub.get_current_instance()
            assert hub.get_info("iter") is not None
            return dict(loss=(y - 2).square().mean())
        return [y]


@METRICS.register_module()
class Zero(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results.append(0.0)

    def compute_metrics(self, results):
        return dict(zero=0.0)


@HOOKS.register_module()
class Watch(Hook):
    priority = "LOW"

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        buffer = runner.message_hub.get_scalar("train/loss")
        assert isinstance(buffer, HistoryBuffer)
        assert buffer.current() == float(outputs["loss"])
        runner.message_hub.update_scalar("train/w", runner.model.layer.weight.item())
        runner.visualizer.add_scalar("b", runner.model.layer.bias.item(), step=runner.iter)


@LOOPS.register_module()
class MyLoop(EpochBasedTrainLoop):
    def run_iter(self, idx, data_batch):
        self.runner.call_hook("before_train_iter", batch_idx=idx, data_batch=data_batch)
        outputs = self.runner.model.train_step(data_batch, optim_wrapper=self.runner.optim_wrapper)
        self.runner.call_hook("after_train_iter", batch_idx=idx, data_batch=data_batch, outputs=outputs)
        self._iter += 1


sampler = dict(type="DefaultSampler", shuffle=True)
loader = dict(batch_size=2, num_workers=0, dataset=dict(type="Numbers"), sampler=sampler)
runner = Runner(
    model=dict(type="Line"),
    work_dir=sys.argv[1],
    train_dataloader=loader,
    val_dataloader=loader,
    train_cfg=dict(type="MyLoop", max_epochs=2),
    val_cfg=dict(),
    optim_wrapper=dict(optimizer=dict(type="SGD", lr=1e-3), paramwise_cfg=dict(bias_lr_mult=2.0)),
    val_evaluator=dict(type="Zero"),
    default_hooks=dict(logger=dict(type=LoggerHook, interval=2), timer=dict(type="IterTimerHook")),
    custom_hooks=[dict(type="Watch")],
    auto_scale_lr=dict(enable=True, base_batch_size=4),
    env_cfg=dict(cudnn_benchmark=False, mp_cfg=dict(mp_start_method="fork")),
)
runner.train()
assert runner.iter == 8 and runner.epoch == 2
runner.save_checkpoint(sys.argv[1], "epoch_2.pth")
assert set(torch.load(sys.argv[1] + "/epoch_2.pth")["state_dict"]) == {"layer.weight", "layer.bias"}
print("lr", runner.optim_wrapper.get_lr()["lr"])
"""


@pytest.mark.slow
def test_hooks_and_loops_with_openmmlabs_imports_run_unchanged(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    result = subprocess.run(
        [sys.executable, "-m", "kinema.compat", str(script), str(tmp_path / "work")],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stderr
    assert "lr [0.0005, 0.001]" in result.stdout
    lines = (tmp_path / "work" / "metrics.jsonl").read_text()
    assert '"w"' in lines
    assert '"b"' in lines
