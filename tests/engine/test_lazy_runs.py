"""A run whose config names its parts by their classes, as OpenMMLab's newer configs do."""

import json

from toy_run import run_config

from kinema.config import Config
from kinema.engine import Runner

BASE = """
from mmengine.hooks import CheckpointHook, DistSamplerSeedHook, IterTimerHook, LoggerHook
from mmengine.runner import EpochBasedTrainLoop, LogProcessor, ValLoop
default_scope = None
train_cfg = dict(type=EpochBasedTrainLoop, max_epochs=9, val_interval=1)
val_cfg = dict(type=ValLoop)
default_hooks = dict(
    timer=dict(type=IterTimerHook),
    logger=dict(type=LoggerHook, interval=9),
    sampler_seed=dict(type=DistSamplerSeedHook),
    checkpoint=dict(type=CheckpointHook, interval=1),
)
log_processor = dict(type=LogProcessor, by_epoch=True)
"""
OWN = """
from mmengine.config import read_base
with read_base():
    from .base import *
from mmaction.evaluation import AccMetric
from mmengine.dataset import DefaultSampler
from mmengine.optim import CosineAnnealingLR, OptimWrapper
from torch.optim import SGD
from toy_run import Pack, Points, ToyModel
train_cfg.update(max_epochs=2)
default_hooks.update(logger=dict(interval=2))
model = dict(type=ToyModel)
pipeline = [dict(type=Pack)]
train_dataloader = dict(
    batch_size=6, sampler=dict(type=DefaultSampler, shuffle=True), dataset=dict(type=Points, pipeline=pipeline),
)
val_dataloader = dict(
    batch_size=5, sampler=dict(type=DefaultSampler, shuffle=False),
    dataset=dict(type=Points, count=13, pipeline=[dict(type=Pack, jitter=0)], test_mode=True),
)
val_evaluator = dict(type=AccMetric, metric_options=dict(top_k_accuracy=dict(topk=(1,))))
optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=SGD, lr=0.1, momentum=0.9))
param_scheduler = [dict(type=CosineAnnealingLR, convert_to_iter_based=True, end=10)]
"""


def figures(work_dir):
    lines = [json.loads(line) for line in (work_dir / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def test_a_run_by_classes_equals_the_run_by_names(tmp_path):
    (tmp_path / "base.py").write_text(BASE)
    (tmp_path / "own.py").write_text(OWN)
    config = Config.fromfile(tmp_path / "own.py")
    config.work_dir = str(tmp_path / "classes")
    named = run_config(tmp_path / "names", epochs=2)
    config.update(randomness=named["randomness"], device=named["device"])
    Runner.from_cfg(config).train()
    Runner.from_cfg(named).train()
    assert figures(tmp_path / "classes") == figures(tmp_path / "names")
    again = Config.fromfile(tmp_path / "classes" / "config.py")
    assert again.model.type == "toy_run.ToyModel"
    again.merge_from_dict({"work_dir": str(tmp_path / "again")})
    Runner.from_cfg(again).train()
    assert figures(tmp_path / "again") == figures(tmp_path / "names")
