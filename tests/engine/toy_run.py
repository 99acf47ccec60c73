"""A model and a data set that train in milliseconds, for the tests of the engine."""

import numpy as np
import torch
from torch import nn

from kinema.datasets import BaseDataset
from kinema.models import BaseModel
from kinema.structures import ActionDataSample
from kinema.transforms import BaseTransform


class Points(BaseDataset):
    """Points left and right of a line, two classes."""

    METAINFO = {"classes": ["left", "right"]}

    def __init__(self, count=24, **keywords):
        self.count = count
        super().__init__(**keywords)

    def load_data_list(self):
        rng = np.random.default_rng(0)
        return [{"point": rng.normal(size=4).astype(np.float32)} for _ in range(self.count)]


class Pack(BaseTransform):
    """Jitter the point and pack it; the class is the sign of its first coordinate."""

    def __init__(self, jitter=0.1):
        self.jitter = jitter

    def transform(self, results):
        point = results["point"] + self.jitter * np.random.normal(size=4).astype(np.float32)
        data_sample = ActionDataSample()
        data_sample.set_gt_label(int(results["point"][0] > 0))
        return {"inputs": torch.from_numpy(point.astype(np.float32)), "data_samples": data_sample}


class ToyModel(BaseModel):
    """Two layers with dropout between them, so that training draws random numbers."""

    def __init__(self, num_classes=2):
        super().__init__()
        self.num_classes = num_classes
        self.layers = nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, num_classes)
        )

    def forward(self, inputs, data_samples=None, mode="tensor"):
        scores = self.layers(torch.stack(inputs))
        if mode == "loss":
            labels = torch.cat([sample.gt_label for sample in data_samples])
            return {"loss_cls": nn.functional.cross_entropy(scores, labels)}
        if mode == "predict":
            for sample, row in zip(data_samples, scores.softmax(1), strict=True):
                sample.set_pred_score(row)
            return data_samples
        return scores


def run_config(work_dir, *, epochs=3, **changes):
    """Config of a toy run; `changes` replace top-level keys."""
    loader = dict(batch_size=6, sampler=dict(type="DefaultSampler", shuffle=True))
    config = dict(
        model=dict(type=ToyModel),
        train_dataloader=dict(**loader, dataset=dict(type=Points, pipeline=[dict(type=Pack)])),
        val_dataloader=dict(
            batch_size=5,
            sampler=dict(type="DefaultSampler", shuffle=False),
            dataset=dict(type=Points, count=13, pipeline=[dict(type=Pack, jitter=0.0)], test_mode=True),
        ),
        val_evaluator=dict(type="AccMetric", metric_options=dict(top_k_accuracy=dict(topk=(1,)))),
        train_cfg=dict(max_epochs=epochs),
        val_cfg={},
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1, momentum=0.9)),
        param_scheduler=dict(type="CosineAnnealingLR", convert_to_iter_based=True, end=10),
        randomness=dict(seed=7),
        default_hooks=dict(logger=dict(interval=2)),
        work_dir=str(work_dir),
        device="cpu",
    )
    return {**config, **changes}


def same(a, b):
    """Are two nested states equal, tensors bit for bit?"""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
