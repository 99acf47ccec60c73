"""What code written for OpenMMLab reads of networks, and values that none can have."""

from typing import NamedTuple

import pytest
import torch
from torch import nn

from kinema.errors import ConfigError
from kinema.models import (
    C3D,
    X3D,
    MobileNetV2,
    MViT,
    ResNet,
    ResNet3d,
    ResNet3dCSN,
    ResNet3dLayer,
    ResNet3dSlowFast,
    ResNet3dSlowOnly,
    ResNetTSM,
    TANet,
)
from kinema.models.backbones import Bottleneck, InvertedResidual
from kinema.models.backbones.base import keep_arguments
from kinema.models.backbones.clips.blocks3d import Bottleneck3d
from kinema.models.layers import TAM, Conv2plus1d, SubBatchNorm3D


@pytest.mark.usefixtures("on_meta_device")
class Sizes(NamedTuple):
    depth: int
    width: int = 8


def test_arguments_are_kept_beside_what_the_network_has() -> None:
    module = nn.Module()
    module.depth = (1, 2)
    keep_arguments(module, Sizes(3))
    assert (module.depth, module.width) == ((1, 2), 8)


def test_networks_and_blocks_say_how_they_are_built() -> None:
    network = ResNetTSM(18, non_local_cfg={})
    assert (network.inplanes, network.feat_dim, network.stage_blocks) == (512, 512, (2, 2, 2, 2))
    assert network.non_local_stages == (0, 0, 0, 0)
    assert ResNet.arch_settings[50] == (Bottleneck, (3, 4, 6, 3))
    block = ResNet(18).layer2[0]
    assert (block.inplanes, block.planes, block.stride, block.dilation, block.style) == (64, 128, 2, 1, "pytorch")
    network = ResNet3d(18, inflate=(0, 0, 1, 1))
    assert (network.inplanes, network.stage_inflations, network.non_local_stages) == (512, (0, 0, 1, 1), (0, 0, 0, 0))
    block = network.layer2[0]
    assert (block.spatial_stride, block.temporal_stride, block.inflate, block.non_local) == (2, 1, False, False)
    assert MobileNetV2().out_channel == 1280
    assert ResNet3dCSN(50, bottleneck_mode="ip").layer1[0].bottleneck_mode == "ip"
    assert ResNet3dSlowOnly(depth=18).lateral_connections == []
    network = X3D(se_ratio=None)
    assert (network.se_style, network.se_ratio, network.layer1[0].outplanes) == ("half", None, 24)
    assert X3D(gamma_b=2.25).feat_dim == 432
    assert ResNet3dSlowOnly(depth=18).arch_settings[18][1] == (2, 2, 2, 2)
    assert C3D(out_dim=512).conv_cfg == {"type": "Conv3d"}


@pytest.mark.usefixtures("on_meta_device")
def test_the_connections_of_slowfast_are_named() -> None:
    slow = ResNet3dSlowFast().slow_path
    assert slow.lateral_connections == ["layer1_lateral", "layer2_lateral", "layer3_lateral"]
    assert all(isinstance(getattr(slow, name), nn.Module) for name in slow.lateral_connections)


def test_a_subclass_may_have_other_depths() -> None:
    class Small(ResNet):
        arch_settings = {10: (Bottleneck, (1, 1, 1))}

    network = Small(10, num_stages=3, out_indices=(2,))
    assert network.stage_blocks == (1, 1, 1)
    assert network(torch.rand(1, 3, 32, 32)).shape == (1, 1024, 2, 2)

    class Narrow(MobileNetV2):
        arch_settings = [[1, 8, 1, 1]] * 7

    assert sum(isinstance(module, InvertedResidual) for module in Narrow().modules()) == 7

    class Slow(ResNet3dSlowOnly):
        arch_settings = {10: (Bottleneck3d, (1, 1, 1, 1))}

    with torch.device("meta"):
        assert Slow(depth=10).stage_blocks == (1, 1, 1, 1)


def test_weights_may_be_named_when_they_are_loaded(tmp_path) -> None:
    source, network = ResNet3d(18), ResNet3d(18)
    torch.save(source.state_dict(), tmp_path / "source.pth")
    with pytest.raises(ConfigError, match="pretrained of ResNet3d must be a file"):
        network.init_weights(pretrained=0)
    network.init_weights(tmp_path / "source.pth")
    assert torch.equal(network.conv1.conv.weight, source.conv1.conv.weight)


def test_one_stage_goes_over_the_features_of_the_stage_before() -> None:
    stage = ResNet3dLayer(50, stage=1, all_frozen=True)
    stage.init_weights()
    assert stage.train()(torch.rand(1, 256, 2, 4, 4)).shape == (1, 512, 2, 2, 2)
    assert stage.layer_name == "layer2"
    assert not any(values.requires_grad for values in stage.layer2.parameters())
    assert not stage.layer2[0].conv1.bn.training
    assert torch.equal(stage.layer2[0].conv3.bn.weight, torch.zeros(512))


def test_a_split_convolution_initialises_itself() -> None:
    conv = Conv2plus1d(3, 8, 3, padding=1)
    nn.init.zeros_(conv.conv_s.weight)
    conv.init_weights()
    assert conv.conv_s.weight.std() > 0.01
    assert (conv.kernel_size, conv.stride, conv.padding) == ((3, 3, 3), (1, 1, 1), (1, 1, 1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ResNet(50, pretrained=0), "pretrained of ResNet must be a file, folder or address .*, got 0"),
        (lambda: ResNet3d(18, ["a", "b"]), r"pretrained of ResNet3d must be .* got \['a', 'b'\]"),
        (lambda: X3D(pretrained=1), "pretrained of X3D must be"),
        (lambda: X3D(se_ratio=0), "se_ratio of X3D must be above 0, got 0"),
        (lambda: X3D(gamma_w=-1.0), "gamma_w of X3D must not be negative, got -1.0"),
        (lambda: TAM(16, 8, alpha=0), "alpha of TAM must be at least 1, got 0"),
        (lambda: TAM(16, 0), "num_segments of TAM must be at least 1, got 0"),
        (lambda: TANet(50, 8, {"conv1d_kernel_size": 0}), "conv1d_kernel_size of TAM must be at least 1, got 0"),
        (lambda: SubBatchNorm3D(4, num_splits=0), "num_features and num_splits must be at least 1, got 4, 0"),
        (lambda: ResNet3dLayer(22), "ResNet3dLayer has no depth 22: there are 18, 34, 50, 101, 152"),
        (lambda: ResNet3dLayer(50, stage=4), "stage of ResNet3dLayer must be from 0 to 3, got 4"),
        (lambda: ResNet3dCSN(50, pretrained=0), "pretrained of ResNet3dCSN must be"),
    ],
)
def test_values_that_nothing_can_have_are_refused(make, message) -> None:
    with torch.device("meta"), pytest.raises((ConfigError, ValueError), match=message):
        make()


def test_the_settings_of_mvit_are_named() -> None:
    network = MViT("tiny", spatial_size=32, temporal_size=4, use_abs_pos_embed=True, dim_mul_in_attention=False)
    assert (network.num_heads, network.downscale_indices, network.dim_mul_indices) == (1, [1, 3, 8], [1, 3, 8])
    assert [block.out_dims for block in network.blocks] == [192, 192, 384, 384, 384, 384, 384, 768, 768, 768]
    assert set(MViT.arch_zoo) == {"tiny", "small", "base", "large"}
    network.init_weights()
    assert network.pos_embed.std().item() == pytest.approx(0.02, rel=0.1)
