"""What holds for the backbones of all 3D families."""

from typing import Any

import pytest
import torch
from torch import Tensor

from kinema.registry import MODELS

ATTENTION = {"sub_sample": True, "norm_cfg": {"type": "BN3d"}, "mode": "dot_product"}
PATHWAYS = {
    "slow_pathway": {
        "type": "resnet3d",
        "depth": 18,
        "lateral": True,
        "conv1_kernel": (1, 7, 7),
        "inflate": (0, 0, 1, 1),
        "base_channels": 16,
        "with_cp": True,
    },
    "fast_pathway": {"type": "resnet3d", "depth": 18, "base_channels": 4, "conv1_kernel": (5, 7, 7)},
}
BACKBONES: dict[str, dict[str, Any]] = {
    "i3d": {"type": "ResNet3d", "depth": 18, "base_channels": 8, "in_channels": 2},
    "non-local": {
        "type": "ResNet3d",
        "depth": 18,
        "base_channels": 8,
        "non_local": (0, 1, 1, 0),
        "non_local_cfg": ATTENTION,
    },
    "slowonly": {"type": "ResNet3dSlowOnly", "depth": 50, "base_channels": 8, "out_indices": (1, 3), "with_cp": True},
    "slowfast": {"type": "ResNet3dSlowFast", "resample_rate": 4, "speed_ratio": 4, "channel_ratio": 4, **PATHWAYS},
    "csn": {"type": "ResNet3dCSN", "depth": 50, "base_channels": 8, "bottleneck_mode": "ip", "with_pool2": False},
    "r2plus1d": {"type": "ResNet2Plus1d", "depth": 18, "base_channels": 8, "in_channels": 10},
    "x3d": {"type": "X3D", "gamma_b": 2.25, "se_style": "all", "with_cp": True},
    "c2d": {"type": "C2D", "depth": 18},
}


def clips(config: dict[str, Any], frames: int = 8, size: int = 32) -> Tensor:
    torch.manual_seed(0)
    return torch.randn(2, config.get("in_channels", 3), frames, size, size)


def as_tuple(features: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return features if isinstance(features, tuple) else (features,)


@pytest.mark.parametrize("config", BACKBONES.values(), ids=BACKBONES)
def test_a_backbone_declares_its_channels_and_repeats_itself_in_evaluation(config: dict[str, Any]) -> None:
    backbone = MODELS.build(config)
    assert backbone.eval() is backbone
    x = clips(config, frames=16, size=48)
    with torch.no_grad():
        first, again = as_tuple(backbone(x)), as_tuple(backbone(x))
    declared = backbone.out_channels if isinstance(backbone.out_channels, tuple) else (backbone.out_channels,)
    assert tuple(one.shape[1] for one in first) == declared
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("config", BACKBONES.values(), ids=BACKBONES)
def test_a_backbone_gives_the_same_after_export(config: dict[str, Any]) -> None:
    backbone = MODELS.build(config).eval()
    x = clips(config)
    exported = torch.export.export(backbone, (x,)).module()
    with torch.no_grad():
        for ours, theirs in zip(as_tuple(backbone(x)), as_tuple(exported(x)), strict=True):
            assert (ours - theirs).abs().max() <= 5e-6 * ours.abs().max()


@pytest.mark.slow
@pytest.mark.parametrize("config", BACKBONES.values(), ids=BACKBONES)
def test_a_backbone_gives_the_same_with_channels_last(config: dict[str, Any]) -> None:
    backbone = MODELS.build(config).eval()
    x = clips(config)
    with torch.no_grad():
        expected = as_tuple(backbone(x))
        if config["type"] != "C2D":
            backbone.to(memory_format=torch.channels_last_3d)
        found = as_tuple(backbone(x.contiguous(memory_format=torch.channels_last_3d)))
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(expected, found, strict=True))
