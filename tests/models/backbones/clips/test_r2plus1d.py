import pytest
import torch
from torch import nn

from kinema.errors import ConfigError
from kinema.models.backbones import ResNet2Plus1d

SMALL = {"base_channels": 8, "zero_init_residual": False}


def test_space_and_time_are_convolved_apart() -> None:
    network = ResNet2Plus1d(18, temporal_strides=(1, 2, 2, 2), **SMALL).eval()
    block = network.layer2[0].conv1.conv
    assert (block.conv_s.kernel_size, block.conv_t.kernel_size) == ((1, 3, 3), (3, 1, 1))
    assert (block.conv_s.stride, block.conv_t.stride) == ((1, 2, 2), (2, 1, 1))
    assert network(torch.zeros(1, 3, 8, 32, 32)).shape == (1, 64, 1, 1, 1)


def test_bottlenecks_are_split_too() -> None:
    network = ResNet2Plus1d(50, **SMALL).eval()
    assert network(torch.zeros(1, 3, 4, 32, 32)).shape == (1, 256, 4, 1, 1)


def test_pooling_is_after_the_stem_whatever_the_settings_say() -> None:
    plain = ResNet2Plus1d(18, **SMALL).eval()
    other = ResNet2Plus1d(18, with_pool1=False, with_pool2=True, **SMALL).eval()
    other.load_state_dict(plain.state_dict())
    clips = torch.rand(1, 3, 4, 32, 32)
    torch.testing.assert_close(plain(clips), other(clips))


def test_synchronised_norms_train_in_a_single_process() -> None:
    network = ResNet2Plus1d(18, norm_cfg={"type": "SyncBN", "eps": 1e-3}, num_stages=1, out_indices=(0,), **SMALL)
    network(torch.randn(2, 3, 2, 16, 16)).sum().backward()
    assert isinstance(network.conv1.bn, nn.SyncBatchNorm)
    assert network.conv1.bn.weight.grad is not None


def test_wrong_configs_say_what_is_wrong() -> None:
    with pytest.raises(ConfigError, match=r"cannot start from an image network.* Set pretrained2d=False"):
        ResNet2Plus1d(18, pretrained2d=True)
    with pytest.raises(ConfigError, match=r"conv_cfg of ResNet2Plus1d must be of type 'Conv2plus1d', got .*Conv3d"):
        ResNet2Plus1d(18, conv_cfg={"type": "Conv3d"})
    with pytest.raises(ConfigError, match="ResNet2Plus1d has no depth 20"):
        ResNet2Plus1d(20)
