"""The networks whose training steps are measured."""

from typing import Any

import torch

import kinema
from kinema.models import Recognizer3D


class Tiny3D(torch.nn.Module):
    """The size of the guide's network: a stem and one more convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = torch.nn.Sequential(torch.nn.Conv3d(3, 64, (3, 7, 7), (1, 2, 2), (1, 3, 3)), torch.nn.ReLU())
        self.conv = torch.nn.Conv3d(64, 128, 3, 2, 1)
        self.out_channels = 128

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(torch.nn.functional.max_pool3d(self.stem(x), 3, 2, 1))


def model_of(name: str) -> Any:
    """A network with its preprocessor."""
    if name != "tiny3d":
        return kinema.create_model(name, num_classes=8)
    head = dict(type="I3DHead", num_classes=8, in_channels=128)
    preprocessor = dict(type="ActionDataPreprocessor", format_shape="NCTHW", mean=[114.0] * 3, std=[58.0] * 3)
    return Recognizer3D(backbone=Tiny3D(), cls_head=head, data_preprocessor=preprocessor)
