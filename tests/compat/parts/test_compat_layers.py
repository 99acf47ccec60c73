import pytest
import torch
from torch import nn

from kinema.compat.parts.fusing import fuse_conv_bn
from kinema.compat.parts.layers import (
    HSwish,
    build_plugin_layer,
    infer_norm_abbr,
    infer_plugin_abbr,
    is_norm,
    make_divisible,
)
from kinema.errors import RegistryError
from kinema.models.layers import ConvModule


class FancyGroupNorm(nn.Module):
    pass


def test_names_of_norms_and_plug_ins_come_from_their_classes() -> None:
    assert infer_norm_abbr(FancyGroupNorm) == "gn"
    assert infer_plugin_abbr(FancyGroupNorm) == "fancy_group_norm"
    assert infer_plugin_abbr(ConvModule) == "conv_block"
    with pytest.raises(TypeError, match="a class is expected, got 0"):
        infer_norm_abbr(0)


def test_plug_ins_are_built_with_their_names() -> None:
    name, block = build_plugin_layer({"type": "ContextBlock", "ratio": 0.5}, postfix="_1", in_channels=8)
    assert (name, block.planes) == ("context_block_1", 4)
    assert build_plugin_layer({"type": "NonLocal2d", "in_channels": 8})[0] == "nonlocal_block"
    with pytest.raises(TypeError, match="the config of a plug-in must be a dict"):
        build_plugin_layer("ContextBlock")
    with pytest.raises(TypeError, match="postfix of a plug-in's name must be a number or a text"):
        build_plugin_layer({"type": "ContextBlock"}, postfix=[1])
    with pytest.raises(RegistryError, match="the config of a plug-in needs 'type'"):
        build_plugin_layer({"ratio": 1})
    with pytest.raises(RegistryError, match="ContextBlok is not in the model registry: did you mean ContextBlock"):
        build_plugin_layer({"type": "ContextBlok"})


def test_norms_are_told_from_other_layers() -> None:
    norms = [nn.BatchNorm3d(2), nn.GroupNorm(1, 2), nn.LayerNorm(2), nn.InstanceNorm1d(2), nn.SyncBatchNorm(2)]
    assert all(is_norm(norm) for norm in norms)
    assert not is_norm(nn.ReLU())
    assert not is_norm(norms[0], exclude=(nn.BatchNorm3d,))
    with pytest.raises(TypeError, match="exclude is a class or a tuple of classes, got 'BN'"):
        is_norm(norms[0], exclude="BN")
    x = torch.linspace(-5, 5, 11)
    assert torch.equal(HSwish()(x), nn.Hardswish()(x))


def test_norms_are_folded_into_the_convolutions_in_front_of_them() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.BatchNorm2d(3), ConvModule(3, 5, 3, norm_cfg={"type": "BN"}), nn.Conv2d(5, 5, 3), nn.BatchNorm2d(5)
    )
    x = torch.rand(4, 3, 8, 8)
    net(x)  # gives the norms statistics
    expected = net.eval()(x)
    assert fuse_conv_bn(net) is net
    assert torch.allclose(net(x), expected, atol=1e-5)
    assert [type(net[0]), type(net[1].bn), type(net[3])] == [nn.BatchNorm2d, nn.Identity, nn.Identity]


def test_channels_are_rounded_to_multiples() -> None:
    """The numbers are those of MMAction2 1.2.0."""
    assert [make_divisible(value, 8) for value in (3, 17, 32.5, 90, 100)] == [8, 16, 32, 88, 104]
    assert make_divisible(17, 16, 32, 0.95) == 32
    assert make_divisible(3, 8, 1) == 9
