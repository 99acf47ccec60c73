"""Build, train and test a video recognizer from its parts, in plain PyTorch and then by the runner.

    python examples/twenty_minute_guide.py [--work-dir work/guide]

docs/guide.md explains every step; its code is this file's.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from kinema import Runner
from kinema.datasets import BaseDataset, build_dataloader
from kinema.datasets.annotations import read_list
from kinema.datasets.synthetic import make_motion_dataset
from kinema.evaluation import BaseMetric, Evaluator, top_k_accuracy
from kinema.models import BaseDataPreprocessor, BaseModel, BaseModule, stack_batch
from kinema.models.base import Sequential
from kinema.progress import track_iter_progress
from kinema.registry import DATASETS, METRICS, MODELS, TRANSFORMS
from kinema.transforms import BaseTransform, Compose

parser = argparse.ArgumentParser()
parser.add_argument("--work-dir", type=Path, default=Path("work/guide"))
parser.add_argument("--epochs", type=int, default=3)
work_dir, epochs = (arguments := parser.parse_args()).work_dir, arguments.epochs

# ---- Step 0: data

clips = make_motion_dataset(work_dir / "data", seed=0, num_train=96, num_val=32)
print(clips.train_list.read_text().splitlines()[0])

# ---- Step 1: a pipeline


@TRANSFORMS.register_module()
class SampleSegments(BaseTransform):
    """Choose frames, one from each of `clip_len` equal parts of the video; drawn at random in training."""

    def __init__(self, clip_len: int, *, test_mode: bool = False) -> None:
        self.clip_len = clip_len
        self.test_mode = test_mode

    def transform(self, results: dict) -> dict:
        within = 0.5 if self.test_mode else np.random.random(self.clip_len)
        frames = (np.arange(self.clip_len) + within) * results["total_frames"] / self.clip_len
        results["frame_inds"] = frames.astype(np.int32)  # a video shorter than the clip repeats frames
        results["clip_len"], results["num_clips"] = self.clip_len, 1
        return results


def pipeline_of(*, test_mode: bool) -> list[dict]:
    """The way from a file name to packed inputs."""
    return [
        dict(type="OpenVideo"),
        dict(type="SampleSegments", clip_len=8, test_mode=test_mode),
        dict(type="DecodeVideo"),
        dict(type="Resize", scale=(-1, 56)),
        dict(type="CenterCrop", crop_size=48),
        dict(type="FormatShape", input_format="NCTHW"),
        dict(type="PackActionInputs", meta_keys=("img_shape", "num_clips", "clip_len")),
    ]


first_clip = clips.root / read_list(clips.train_list)[0].path
packed = Compose(pipeline_of(test_mode=False))(dict(filename=str(first_clip), label=0))
print("inputs:", packed["inputs"].shape, packed["inputs"].dtype)
print("image shape:", packed["data_samples"].img_shape, " label:", packed["data_samples"].gt_label)

# ---- Step 2: a dataset and its loader


@DATASETS.register_module()
class ListedClips(BaseDataset):
    """Clips of a list file with `path label` lines."""

    def load_data_list(self) -> list[dict]:
        annotations = read_list(self.ann_file)
        self._metainfo["classes"] = list(annotations.class_names)
        folder = Path(self.data_prefix["video"])
        return [dict(filename=str(folder / path), label=labels[0]) for path, labels in annotations]


def loader_of(list_file: Path, *, test_mode: bool) -> dict:
    """Config of a loader."""
    return dict(
        batch_size=8,
        num_workers=2,
        sampler=dict(type="DefaultSampler", shuffle=not test_mode),
        dataset=dict(
            type="ListedClips",
            ann_file=str(list_file),
            data_prefix=dict(video=str(clips.root)),
            pipeline=pipeline_of(test_mode=test_mode),
            test_mode=test_mode,
        ),
    )


train_loader = build_dataloader(loader_of(clips.train_list, test_mode=False), seed=0)
val_loader = build_dataloader(loader_of(clips.val_list, test_mode=True), seed=0)
batch = next(iter(train_loader))
print("a batch:", len(batch["inputs"]), "clips")

# ---- Step 3: a recognizer


@MODELS.register_module()
class ScalePixels(BaseDataPreprocessor):
    """Batch the clips and bring their pixels to about [-2, 2], on the device."""

    def __init__(self, mean: float, std: float) -> None:
        super().__init__()
        self.mean, self.std = mean, std

    def forward(self, data: dict, training: bool = False) -> dict:
        data = self.cast_data(data)
        data["inputs"] = (stack_batch(data["inputs"]).float() - self.mean) / self.std
        return data


@MODELS.register_module()
class TwoConvs(BaseModule):
    """(B, 3, T, H, W) -> (B, 2 * width, T/2, H/8, W/8)."""

    def __init__(self, width: int = 16) -> None:
        super().__init__(init_cfg=dict(type="Kaiming", layer="Conv3d", mode="fan_out", nonlinearity="relu"))
        self.conv1 = Sequential(
            nn.Conv3d(3, width, (3, 7, 7), stride=(1, 4, 4), padding=(1, 3, 3)), nn.BatchNorm3d(width), nn.ReLU()
        )
        self.conv2 = Sequential(
            nn.Conv3d(width, 2 * width, 3, stride=2, padding=1), nn.BatchNorm3d(2 * width), nn.ReLU()
        )

    def forward(self, clips: Tensor) -> Tensor:
        return self.conv2(self.conv1(clips))


@MODELS.register_module()
class PooledLinear(BaseModule):
    """Features -> class scores; `loss` and `predict` write what training and evaluation read."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__(init_cfg=dict(type="Normal", layer="Linear", std=0.01))
        self.fc = nn.Linear(in_channels, num_classes)

    def forward(self, features: Tensor) -> Tensor:
        return self.fc(features.mean(dim=(2, 3, 4)))

    def loss(self, features: Tensor, data_samples: list) -> dict:
        labels = torch.cat([sample.gt_label for sample in data_samples])  # right for a batch of one, too
        return dict(loss_cls=nn.functional.cross_entropy(self(features), labels))

    def predict(self, features: Tensor, data_samples: list) -> list:
        views = len(features) // len(data_samples)
        scores = self(features).softmax(dim=1).unflatten(0, (-1, views)).mean(dim=1)
        for sample, score in zip(data_samples, scores, strict=True):
            sample.set_pred_score(score)
        return data_samples


@MODELS.register_module()
class MyRecognizer(BaseModel):
    """Preprocessor, backbone and head as one model."""

    def __init__(self, backbone: dict, cls_head: dict, data_preprocessor: dict) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        self.backbone = MODELS.build(backbone)
        self.cls_head = MODELS.build(cls_head)

    def forward(self, inputs: Tensor, data_samples: list | None = None, mode: str = "tensor") -> Tensor | dict | list:
        features = self.backbone(inputs.flatten(0, 1))  # (B, views, C, T, H, W) -> (B * views, C, T, H, W)
        if mode == "loss":
            return self.cls_head.loss(features, data_samples)
        if mode == "predict":
            return self.cls_head.predict(features, data_samples)
        return features


model_config = dict(
    type="MyRecognizer",
    backbone=dict(type="TwoConvs", width=16),
    cls_head=dict(type="PooledLinear", num_classes=len(clips.class_names), in_channels=32),
    data_preprocessor=dict(type="ScalePixels", mean=114.75, std=57.375),
)
torch.manual_seed(0)
model = MODELS.build(model_config)
model.init_weights()
data = model.data_preprocessor(batch, training=True)
print("losses:", model(**data, mode="loss"))

# ---- Step 4: a metric


@METRICS.register_module()
class TopOne(BaseMetric):
    """Share of clips whose likeliest class is the true one."""

    default_prefix = "acc"

    def process(self, data_batch: dict, data_samples: list[dict]) -> None:
        for sample in data_samples:
            self.results.append((sample["pred_score"].cpu().numpy(), int(sample["gt_label"])))

    def compute_metrics(self, results: list) -> dict:
        scores, labels = zip(*results, strict=True)
        return dict(top1=top_k_accuracy(scores, labels, topk=(1,))[0])


evaluator = Evaluator(dict(type="TopOne"))

# ---- Step 5: train and test in plain PyTorch

optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
for epoch in range(epochs):
    model.train()
    losses = []
    for batch in track_iter_progress(train_loader):
        loss = sum(model.train_step(batch).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    model.eval()
    with torch.no_grad():
        for batch in track_iter_progress(val_loader):
            evaluator.process(model.val_step(batch))
    metrics = evaluator.evaluate(len(val_loader.dataset))  # clears the results: no epoch counts twice
    print(f"epoch {epoch}: loss {np.mean(losses):.3f}, {metrics}")

# ---- Step 6: the same by the runner

runner = Runner(
    model=model_config,
    work_dir=work_dir / "run",
    train_dataloader=loader_of(clips.train_list, test_mode=False),
    val_dataloader=loader_of(clips.val_list, test_mode=True),
    train_cfg=dict(max_epochs=epochs),
    val_cfg={},
    optim_wrapper=dict(optimizer=dict(type="AdamW", lr=3e-3)),
    val_evaluator=dict(type="TopOne"),
    randomness=dict(seed=0),
)
runner.train()
print("best:", runner.best)
