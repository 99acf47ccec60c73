"""The model part of the twenty-minute guide, on a toy network: preprocessor, backbone, head and recognizer of a
user.
"""

import logging
import re

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kinema.models import BaseDataPreprocessor, BaseModel, BaseModule, stack_batch
from kinema.models.base import Sequential
from kinema.registry import MODELS
from kinema.structures import ActionDataSample, LabelData


@MODELS.register_module()
class ToyPreprocessor(BaseDataPreprocessor):
    def __init__(self, mean, std):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1, 1), False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1, 1), False)

    def forward(self, data, training=False):
        data = self.cast_data(data)
        data["inputs"] = (stack_batch(data["inputs"]) - self.mean) / self.std
        return data


@MODELS.register_module()
class ToyBackbone(BaseModule):
    def __init__(self, init_cfg=None):
        if init_cfg is None:
            init_cfg = [
                {"type": "Kaiming", "layer": "Conv3d", "mode": "fan_out", "nonlinearity": "relu"},
                {"type": "Constant", "layer": "BatchNorm3d", "val": 1, "bias": 0},
            ]
        super().__init__(init_cfg=init_cfg)
        self.conv1 = Sequential(nn.Conv3d(3, 4, 3, stride=(1, 2, 2), padding=1), nn.BatchNorm3d(4), nn.ReLU())

    def forward(self, imgs):
        return self.conv1(imgs)


@MODELS.register_module()
class ToyHead(BaseModule):
    def __init__(self, num_classes, in_channels, init_cfg=None):
        super().__init__(init_cfg=init_cfg or {"type": "Normal", "layer": "Linear", "std": 0.01})
        self.fc = nn.Linear(in_channels, num_classes)

    def forward(self, x):
        return self.fc(x.mean((2, 3, 4)))

    def loss(self, feats, data_samples):
        labels = torch.stack([one.gt_label for one in data_samples]).squeeze(1)
        return {"loss_cls": F.cross_entropy(self(feats), labels)}

    def predict(self, feats, data_samples):
        scores = self(feats).unflatten(0, (len(data_samples), -1)).softmax(-1).mean(1)
        for sample, score in zip(data_samples, scores, strict=True):
            sample.pred_scores = LabelData(item=score)
        return data_samples


@MODELS.register_module()
class ToyRecognizer(BaseModel):
    def __init__(self, backbone, cls_head, data_preprocessor):
        super().__init__(data_preprocessor=data_preprocessor)
        self.backbone = MODELS.build(backbone)
        self.cls_head = MODELS.build(cls_head)

    def forward(self, inputs, data_samples=None, mode="tensor"):
        feats = self.backbone(inputs.view((-1, *inputs.shape[2:])))
        if mode == "tensor":
            return feats
        return getattr(self.cls_head, mode)(feats, data_samples)


def toy_config():
    return {
        "type": "ToyRecognizer",
        "backbone": {"type": "ToyBackbone"},
        "cls_head": {"type": "ToyHead", "num_classes": 2, "in_channels": 4},
        "data_preprocessor": {
            "type": "ToyPreprocessor",
            "mean": [123.675, 116.28, 103.53],
            "std": [58.395, 57.12, 57.375],
        },
    }


def packed_batch(size: int = 2) -> dict:
    samples = [ActionDataSample().set_gt_label(number % 2) for number in range(size)]
    return {
        "inputs": [torch.randint(0, 256, (1, 3, 4, 8, 8), dtype=torch.uint8) for _ in samples],
        "data_samples": samples,
    }


def test_the_users_preprocessor_stacks_and_normalises() -> None:
    batch = packed_batch()
    result = MODELS.build(toy_config()["data_preprocessor"])(batch)
    assert result["inputs"].shape == (2, 1, 3, 4, 8, 8)
    blue = (batch["inputs"][1][0, 2].float() - 103.53) / 57.375
    torch.testing.assert_close(result["inputs"][1, 0, 2], blue)
    assert isinstance(batch["inputs"], list), "the loader's batch is left as it was"


def test_init_weights_logs_one_record_a_parameter_in_the_guides_words(caplog) -> None:
    model = MODELS.build(toy_config())
    with caplog.at_level(logging.INFO, "kinema"):
        model.init_weights()
    kaiming = "KaimingInit: a=0, mode=fan_out, nonlinearity=relu, distribution =normal, bias=0"
    same = "The value is the same before and after calling `init_weights` of ToyRecognizer"
    assert [record.getMessage() for record in caplog.records] == [
        f"\nbackbone.conv1.0.weight - torch.Size([4, 3, 3, 3, 3]): \n{kaiming} \n ",
        f"\nbackbone.conv1.0.bias - torch.Size([4]): \n{kaiming} \n ",
        f"\nbackbone.conv1.1.weight - torch.Size([4]): \n{same} \n ",
        f"\nbackbone.conv1.1.bias - torch.Size([4]): \n{same} \n ",
        "\ncls_head.fc.weight - torch.Size([2, 4]): \nNormalInit: mean=0, std=0.01, bias=0 \n ",
        "\ncls_head.fc.bias - torch.Size([2]): \nNormalInit: mean=0, std=0.01, bias=0 \n ",
    ]
    assert {(record.name, record.levelno) for record in caplog.records} == {("kinema", logging.INFO)}


@pytest.mark.parametrize("size", [1, 2])
def test_the_guides_training_and_test_calls_print_what_the_guide_prints(size) -> None:
    model = MODELS.build(toy_config())
    model.init_weights()
    losses = model(**model.data_preprocessor(packed_batch(size), training=True), mode="loss")
    assert re.fullmatch(r"\{'loss_cls': tensor\(0\.\d+, grad_fn=<NllLossBackward0>\)\}", str(losses))
    with torch.no_grad():
        predictions = model.eval()(**model.data_preprocessor(packed_batch(size), training=False), mode="predict")
    assert str(predictions[0].gt_label) == "tensor([0])"
    assert predictions[0].pred_score.shape == (2,)
    assert float(predictions[0].pred_score.sum()) == pytest.approx(1)
