"""`RunnerTestCase` of `mmengine.testing`: small runs for tests of hooks and runners."""

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, ClassVar
from unittest import TestCase

import torch
import torch.distributed as torch_dist
from torch import Tensor, nn
from torch.utils.data import Dataset

from kinema.compat.parts.loggers import MMLogger
from kinema.compat.parts.runners import Runner
from kinema.config import Config
from kinema.evaluation import BaseMetric
from kinema.models import BaseModel
from kinema.registry import DATASETS, METRICS, MODELS
from kinema.runs.message_hub import MessageHub
from kinema.visualization import Visualizer

_numbers = count(1)
_ports = count(29600)


class ToyModel(BaseModel):
    """Two numbers a sample -> one."""

    def __init__(self, data_preprocessor: Any = None) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        self.linear1 = nn.Linear(2, 2)
        self.linear2 = nn.Linear(2, 1)

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = "tensor") -> Any:
        """Outputs (B, 1); with mode "loss" a dict of how far they are from `data_samples`."""
        batch = inputs if isinstance(inputs, Tensor) else torch.stack(list(inputs))
        outputs = self.linear2(self.linear1(batch))
        if mode != "loss":
            return outputs
        labels = data_samples if isinstance(data_samples, Tensor) else torch.stack(list(data_samples))
        return {"loss": (labels.reshape(-1, 1) - outputs).sum()}


class ToyDataset(Dataset):
    """Twelve samples of two random numbers, all with the label 1."""

    METAINFO: ClassVar[dict[str, Any]] = {}
    data = torch.randn(12, 2)
    label = torch.ones(12)

    @property
    def metainfo(self) -> dict[str, Any]:
        """What is known of the whole set: nothing."""
        return self.METAINFO

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"inputs": self.data[index], "data_samples": self.label[index]}


class ToyMetric(BaseMetric):
    """Counts each batch as right, or gives the numbers that it was built with.

    Args:
        collect_device: accepted for code that says it.
        dummy_metrics: the numbers to give.
    """

    def __init__(self, collect_device: str = "cpu", dummy_metrics: Mapping[str, float] | None = None) -> None:
        super().__init__()
        self.dummy_metrics = dummy_metrics

    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        self.results.extend({"acc": 1} for _ in data_samples)

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        return {"acc": 1} if self.dummy_metrics is None else dict(self.dummy_metrics)


class RunnerTestCase(TestCase):
    """Configs of small runs by epochs and by iterations, in a folder that is removed after each test."""

    dist_cfg: ClassVar[dict[str, Any]] = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": 29600,
        "RANK": "0",
        "WORLD_SIZE": "1",
        "LOCAL_RANK": "0",
    }

    def setUp(self) -> None:
        self.temp_dir = tempfile.TemporaryDirectory()
        self._environment = dict(os.environ)
        for registry, part in ((MODELS, ToyModel), (DATASETS, ToyDataset), (METRICS, ToyMetric)):
            registry.module_dict.pop(part.__name__, None)  # that of another test
            registry.register_module(module=part, force=True)
        settings = {
            "work_dir": self.temp_dir.name,
            "model": {"type": "ToyModel"},
            **{f"{split}_dataloader": _loader("DefaultSampler", shuffle=False) for split in ("val", "test")},
            "train_dataloader": _loader("DefaultSampler", shuffle=True),
            "optim_wrapper": {"optimizer": {"type": "SGD", "lr": 0.1}},
            "train_cfg": {"by_epoch": True, "max_epochs": 2, "val_interval": 1},
            **{f"{split}_evaluator": [{"type": "ToyMetric"}] for split in ("val", "test")},
            **{f"{split}_cfg": {} for split in ("val", "test")},
            "default_hooks": {"logger": {"type": "LoggerHook", "interval": 1}},
            "custom_hooks": [],
            "env_cfg": {"dist_cfg": {"backend": "nccl"}},
        }
        self.epoch_based_cfg = Config({**settings, "experiment_name": self.experiment_name})
        self.iter_based_cfg = Config(
            {
                **self.epoch_based_cfg.to_dict(),
                "train_dataloader": _loader("InfiniteSampler", shuffle=True),
                "train_cfg": {"by_epoch": False, "max_iters": 12},
                "log_processor": {"by_epoch": False},
                "default_hooks": {
                    "logger": {"type": "LoggerHook", "interval": 1},
                    "checkpoint": {"type": "CheckpointHook", "interval": 12, "by_epoch": False},
                },
            }
        )

    def tearDown(self) -> None:
        if torch_dist.is_available() and torch_dist.is_initialized():
            torch_dist.destroy_process_group()
        for logger in MMLogger._instance_dict.values():
            for handler in logger.file_handlers:
                handler.close()
        for kind in (MMLogger, MessageHub, Visualizer):
            kind._instance_dict.clear()
        os.environ.clear()
        os.environ.update(self._environment)
        self.temp_dir.cleanup()

    @property
    def experiment_name(self) -> str:
        """A name that no run before it had."""
        return f"test{next(_numbers)}"

    def build_runner(self, cfg: Config) -> Runner:
        """The runner of a config, under a new name."""
        cfg.experiment_name = self.experiment_name
        return Runner.from_cfg(cfg)

    def clear_work_dir(self) -> None:
        """Remove what is in the work folder."""
        for entry in Path(self.temp_dir.name).iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def setup_dist_env(self) -> None:
        """Put into the environment what torchrun puts there for one process."""
        self.dist_cfg["MASTER_PORT"] = next(_ports)
        os.environ.update({name: str(value) for name, value in self.dist_cfg.items()})


def _loader(sampler: str, *, shuffle: bool) -> dict[str, Any]:
    return {
        "batch_size": 3,
        "num_workers": 0,
        "dataset": {"type": "ToyDataset"},
        "sampler": {"type": sampler, "shuffle": shuffle},
    }
