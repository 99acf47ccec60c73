from pathlib import Path

import pytest
import torch
from torch import nn

from kinema.compat.parts.image_networks import BasicBlock, Bottleneck, ResNet, conv3x3
from kinema.compat.parts.older_image_networks import VGG, AlexNet

X = torch.rand(1, 3, 64, 64)


def test_a_residual_network_gives_its_stages_and_keeps_what_is_frozen() -> None:
    net = ResNet(50, num_stages=3, strides=(1, 2, 1), dilations=(1, 1, 2), out_indices=(0, 2), style="caffe")
    assert [tuple(stage.shape) for stage in net(X)] == [(1, 256, 16, 16), (1, 1024, 8, 8)]
    assert net.layer2[0].conv1.stride == (2, 2)
    frozen = ResNet(18, frozen_stages=1, bn_frozen=True, out_indices=(3,)).train()
    assert frozen(X).shape == (1, 512, 2, 2)
    trained = {name for name, parameter in frozen.named_parameters() if parameter.requires_grad}
    assert not any("bn" in name or name.startswith(("conv1", "layer1")) for name in trained)
    assert not frozen.layer4[0].bn1.training
    assert frozen.layer4[0].conv1.training


def test_a_bottleneck_that_is_computed_anew_has_the_same_gradients() -> None:
    torch.manual_seed(0)
    block = Bottleneck(16, 4)
    gradients = []
    for block.with_cp in (False, True):
        x = torch.rand(2, 16, 5, 5, generator=torch.Generator().manual_seed(1)).requires_grad_()
        gradients.append(torch.autograd.grad(block(x).sum(), [x, block.conv2.weight]))
    assert all(torch.allclose(a, b) for a, b in zip(*gradients, strict=True))


def test_the_older_networks_give_stages_and_scores() -> None:
    net = VGG(16, with_bn=True, out_indices=(2, 4), frozen_stages=2, with_last_pool=False).train()
    assert [tuple(stage.shape) for stage in net(X)] == [(1, 256, 8, 8), (1, 512, 4, 4)]
    assert next(index for index, layer in enumerate(net.features) if layer.training) == net.range_sub_modules[1][1]
    with torch.device("meta"):
        scores = VGG(11, num_classes=7, out_indices=()), AlexNet(7)
    assert [net(torch.empty(2, 3, 224, 224, device="meta")).shape for net in scores] == [(2, 7)] * 2
    assert AlexNet()(X).shape == (1, 256, 1, 1)


def test_networks_over_images_are_initialised_or_loaded(tmp_path: Path) -> None:
    net = ResNet(18)
    nn.init.zeros_(net.bn1.weight)
    net.init_weights()
    assert (net.bn1.weight == 1).all()
    torch.save(net.state_dict(), tmp_path / "net.pth")
    other = ResNet(18)
    other.init_weights(str(tmp_path / "net.pth"))
    assert torch.equal(other.conv1.weight, net.conv1.weight)
    for kind in (net, AlexNet()):
        with pytest.raises(TypeError, match="pretrained is the path of a checkpoint or None, got 3"):
            kind.init_weights(3)


def test_networks_that_there_are_not_are_refused() -> None:
    with pytest.raises(ValueError, match="ResNet has the depths 18, 34, 50, 101, 152, not 20"):
        ResNet(20)
    with pytest.raises(ValueError, match="VGG has 1 to 5 stages, not 6"):
        VGG(11, num_stages=6)
    with pytest.raises(ValueError, match="strides, dilations and out_indices of ResNet do not go together with 3"):
        ResNet(18, num_stages=3)
    with pytest.raises(ValueError, match="style is 'pytorch' or 'caffe', not 'x'"):
        ResNet(50, style="x")
    with pytest.raises(ValueError, match="with_cp is for the bottlenecks"):
        BasicBlock(4, 4, with_cp=True)


def test_a_3x3_convolution_keeps_the_size_divided_by_its_stride() -> None:
    conv = conv3x3(2, 4, stride=2, dilation=3)
    assert conv(torch.rand(1, 2, 9, 10)).shape == (1, 4, 5, 5)
    assert (conv.kernel_size, conv.dilation, conv.bias) == ((3, 3), (3, 3), None)
