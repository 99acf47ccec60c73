import pytest
import torch
from torch import nn

from kinema.errors import ConfigError
from kinema.models.backbones import ResNet3dCSN

SMALL = {"base_channels": 8, "zero_init_residual": False, "with_pool2": False}


def test_spatial_convolutions_see_one_channel_each() -> None:
    network = ResNet3dCSN(50, **SMALL).eval()
    (depthwise,) = network.layer1[0].conv2
    assert (depthwise.conv.groups, depthwise.conv.kernel_size) == (8, (3, 3, 3))
    assert network(torch.zeros(1, 3, 8, 32, 32)).shape == (1, 256, 1, 1, 1)


def test_preserving_interactions_mixes_channels_first() -> None:
    mix, depthwise = ResNet3dCSN(50, bottleneck_mode="ip", **SMALL).layer1[0].conv2
    assert (mix.conv.kernel_size, mix.conv.groups, mix.with_activation) == ((1, 1, 1), 1, False)
    assert depthwise.conv.groups == 8


def norms(network: nn.Module) -> list[nn.BatchNorm3d]:
    return [one for one in network.modules() if isinstance(one, nn.BatchNorm3d)]


def test_frozen_norms_neither_learn_nor_change() -> None:
    for network in (ResNet3dCSN(50, norm_eval=True, bn_frozen=True, **SMALL),):
        assert not any(one.training or one.weight.requires_grad for one in norms(network))
        assert not any(one.training for one in norms(network.eval().train()))
    assert all(one.weight.requires_grad for one in norms(ResNet3dCSN(50, norm_eval=True, **SMALL)))
    assert all(one.training for one in norms(ResNet3dCSN(50, bn_frozen=True, **SMALL)))
    assert norms(network)[0].eps == 1e-3


def test_wrong_configs_say_what_is_wrong() -> None:
    with pytest.raises(ConfigError, match=r"bottleneck_mode of ResNet3dCSN must be 'ir' or 'ip', got 'ig'"):
        ResNet3dCSN(50, bottleneck_mode="ig")
    with pytest.raises(ConfigError, match=r"ResNet3dCSN has no depth 34: there are 50, 101, 152"):
        ResNet3dCSN(34)
