"""A test case of several processes; `test_compat_processes.py` runs it in a process of its own."""

import os
import unittest
import warnings
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from kinema.compat.parts.multi_process_test_case import MultiProcessTestCase
from kinema.models import BaseModel
from kinema.models.wrappers import MMDistributedDataParallel, MMSeparateDistributedDataParallel
from kinema.optim.wrapper import OptimWrapper


class Net(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 1, bias=False)
        self.act = nn.ReLU()

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = "tensor") -> Any:
        out = self.act(self.conv(inputs))
        return {"loss": out.sum()} if mode == "loss" else out


class Processes(MultiProcessTestCase):
    def setUp(self) -> None:
        super().setUp()
        self._spawn_processes()

    def test_all(self) -> None:
        dist.init_process_group("gloo", init_method=f"file://{self.file_name}.store", rank=self.rank, world_size=2)
        net = Net()
        nn.init.constant_(net.conv.weight, 2)
        model = MMDistributedDataParallel(net, detect_anomalous_params=True)
        wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=1))
        model.train_step({"inputs": torch.full((1, 1, 1, 1), 1.0 + self.rank)}, optim_wrapper=wrapper)
        assert net.conv.weight.item() == 0.5  # 2 - the mean of 1 and 2
        assert model.val_step({"inputs": torch.ones(1, 1, 1, 1)}).item() == 0.5
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # torch 2.13 warns about `broadcast_buffers`
            apart = MMSeparateDistributedDataParallel(Net())
        assert isinstance(apart.module.conv, MMDistributedDataParallel)
        assert isinstance(apart.module.act, nn.ReLU)
        with apart.no_sync():
            apart.module.conv(torch.ones(1, 1, 1, 1)).sum().backward()
        assert not apart.eval().module.conv.training
        dist.destroy_process_group()

    def test_a_failure_in_one_process(self) -> None:
        assert self.rank == 0


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"
    unittest.main()
