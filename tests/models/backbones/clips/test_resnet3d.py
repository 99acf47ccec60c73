from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from kinema.errors import CheckpointError, ConfigError, PartArgumentError
from kinema.models.backbones import ResNet3d
from kinema.models.backbones.clips.blocks3d import Bottleneck3d
from kinema.registry import MODELS

SMALL = {"base_channels": 8, "zero_init_residual": False}


def clips(frames: int = 8, size: int = 32, channels: int = 3) -> Tensor:
    torch.manual_seed(0)
    return torch.randn(1, channels, frames, size, size)


@pytest.mark.parametrize(("depth", "blocks", "width"), [(18, 8, 64), (34, 16, 64), (50, 16, 256), (101, 33, 256)])
def test_depths_differ_in_blocks_and_width(depth: int, blocks: int, width: int) -> None:
    network = ResNet3d(depth, **SMALL).eval()
    assert sum(len(network.get_submodule(name)) for name in network.res_layers) == blocks
    assert network.out_channels == width
    with torch.no_grad():
        assert network(clips()).shape == (1, width, 4, 1, 1)


def test_depth_152_has_its_fifty_blocks() -> None:
    assert [len(network) for network in ResNet3d(152, base_channels=1).children() if hasattr(network, "__len__")] == [
        3,
        8,
        36,
        3,
    ]


def test_several_stages_give_a_tuple() -> None:
    network = ResNet3d(18, out_indices=(0, 2), num_stages=3, with_pool2=False, **SMALL).eval()
    shapes = [tuple(one.shape) for one in network(clips())]
    assert shapes == [(1, 8, 8, 8, 8), (1, 32, 8, 2, 2)]
    assert network.out_channels == (8, 32)


def test_strides_and_pools_change_the_sizes_as_said() -> None:
    network = ResNet3d(
        18,
        conv1_stride_t=2,
        pool1_stride_t=2,
        conv1_stride_s=1,
        pool1_stride_s=1,
        with_pool2=False,
        spatial_strides=(1, 1, 2, 2),
        temporal_strides=(1, 2, 1, 1),
        dilations=(1, 1, 2, 1),
        **SMALL,
    ).eval()
    assert network(clips(16)).shape == (1, 64, 2, 8, 8)
    assert ResNet3d(18, with_pool1=False, **SMALL).eval()(clips()).shape == (1, 64, 4, 2, 2)


def test_stages_differ_in_blocks_when_asked_to() -> None:
    network = ResNet3d(50, stage_blocks=(1, 2, 1), num_stages=3, out_indices=(2,), inflate=(0, 1, 1), **SMALL)
    assert [len(network.get_submodule(name)) for name in network.res_layers] == [1, 2, 1]
    assert network.layer1[0].conv1.conv.kernel_size == (1, 1, 1)
    assert network.layer2[1].conv1.conv.kernel_size == (3, 1, 1)


def test_inflation_follows_its_pattern_and_style() -> None:
    network = ResNet3d(50, inflate=((1, 0, 1), 0, (0, 1, 0, 1, 0, 1), 1), **SMALL)
    assert [block.conv1.conv.kernel_size[0] for block in network.layer1] == [3, 1, 3]
    assert {block.conv1.conv.kernel_size[0] for block in network.layer2} == {1}
    network = ResNet3d(50, inflate_style="3x3x3", **SMALL)
    assert network.layer1[0].conv1.conv.kernel_size == (1, 1, 1)
    assert network.layer1[0].conv2.conv.kernel_size == (3, 3, 3)
    assert ResNet3d(18, inflate=(0, 0, 0, 1), **SMALL).layer1[0].conv1.conv.kernel_size == (1, 3, 3)


def test_the_caffe_style_steps_in_the_first_convolution() -> None:
    assert Bottleneck3d(8, 2, spatial_stride=2, style="caffe").conv1.conv.stride == (1, 2, 2)
    assert Bottleneck3d(8, 2, spatial_stride=2).conv2.conv.stride == (1, 2, 2)


def test_an_inflated_network_sees_in_a_still_clip_what_the_image_network_sees(tmp_path: Path) -> None:
    flat = ResNet3d(18, conv1_kernel=(1, 7, 7), inflate=(0, 0, 0, 0), with_pool2=False, **SMALL).eval()
    image_state = {}
    for name, tensor in flat.state_dict().items():
        if tensor.dim() == 5:
            tensor = torch.randn_like(tensor)
        old = name.replace("downsample.conv", "downsample.0").replace("downsample.bn", "downsample.1")
        for number in "12":
            old = old.replace(f"conv{number}.conv.", f"conv{number}.").replace(f"conv{number}.bn.", f"bn{number}.")
        image_state[old] = tensor.squeeze(2) if tensor.dim() == 5 else tensor
    file = tmp_path / "image.pth"
    torch.save({**image_state, "fc.weight": torch.zeros(10, 64)}, file)
    flat.load_pretrained(str(file))
    deep = ResNet3d(18, str(file), with_pool2=False, **SMALL).eval()
    deep.init_weights()
    assert torch.allclose(deep.layer4[0].conv1.conv.weight.sum(2), flat.layer4[0].conv1.conv.weight[:, :, 0], atol=1e-5)
    still = clips(1).expand(-1, -1, 17, -1, -1)
    with torch.no_grad():
        inner = deep.maxpool(deep.conv1(still))[:, :, 8]
        assert torch.allclose(inner, flat.maxpool(flat.conv1(clips(1)))[:, :, 0], atol=1e-5)
    flow = ResNet3d(18, str(file), in_channels=2, **SMALL)
    flow.init_weights()
    expected = image_state["conv1.weight"].sum((1,))
    assert torch.allclose(flow.conv1.conv.weight.sum((1, 2)), expected, atol=1e-4)


def test_weights_of_the_network_itself_load_too(tmp_path: Path) -> None:
    first = ResNet3d(18, **SMALL)
    file = tmp_path / "own.pth"
    torch.save({"state_dict": {f"backbone.{name}": one for name, one in first.state_dict().items()}}, file)
    second = ResNet3d(18, str(file), pretrained2d=False, **SMALL)
    second.init_weights()
    assert all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )
    torch.save({"nothing": torch.zeros(1)}, file)
    with pytest.raises(CheckpointError, match=r"own\.pth: nothing in the checkpoint fits ResNet3d"):
        second.load_pretrained(str(file))


def test_building_does_not_look_for_pretrained_weights() -> None:
    assert ResNet3d(18, "torchvision://resnet18", **SMALL).pretrained == "torchvision://resnet18"


def test_frozen_stages_and_fixed_norms_stay_in_evaluation() -> None:
    network = ResNet3d(18, frozen_stages=1, **SMALL).train()
    frozen = {name.split(".")[0] for name, one in network.named_parameters() if not one.requires_grad}
    assert frozen == {"conv1", "layer1"}
    assert not network.layer1.training
    assert network.layer2.training
    assert network.eval() is network
    network = ResNet3d(18, norm_eval=True, **SMALL).train()
    assert not any(one.training for one in network.modules() if isinstance(one, nn.BatchNorm3d))
    assert network.layer1[0].conv1.conv.training


def test_recomputed_activations_change_no_gradient() -> None:
    plain = ResNet3d(18, num_stages=2, out_indices=(1,), **SMALL)
    thrifty = ResNet3d(18, num_stages=2, out_indices=(1,), with_cp=True, **SMALL)
    thrifty.load_state_dict(plain.state_dict())
    for network in (plain, thrifty):
        network(clips()).square().sum().backward()
    for a, b in zip(plain.parameters(), thrifty.parameters(), strict=True):
        assert torch.allclose(a.grad, b.grad, rtol=1e-4, atol=1e-5)


def test_a_fresh_network_starts_as_its_shortcuts() -> None:
    network = ResNet3d(50, base_channels=8, non_local=((0, 0, 1), 0, 0, 0))
    network.init_weights()
    assert not network.layer1[1].conv3.bn.weight.any()
    block = network.layer1[2].eval()
    x = torch.rand(1, 32, 2, 4, 4)
    assert torch.equal(block(x), x)


def test_norm_and_convolution_are_chosen_by_config() -> None:
    network = ResNet3d(18, norm_cfg={"type": "GN", "num_groups": 4}, act_cfg={"type": "SiLU"}, **SMALL)
    assert isinstance(network.layer1[0].conv1.gn, nn.GroupNorm)
    assert isinstance(network.layer1[0].relu, nn.SiLU)


def test_a_number_alone_is_the_pattern_of_all_stages() -> None:
    network = ResNet3d(18, inflate=0, non_local=1, num_stages=2, out_indices=(1,), **SMALL)
    assert {block.conv1.conv.kernel_size for block in (*network.layer1, *network.layer2)} == {(1, 3, 3)}
    assert all(block.non_local_block is not None for block in (*network.layer1, *network.layer2))


def test_wrong_configs_say_what_is_wrong() -> None:
    with pytest.raises(ConfigError, match=r"ResNet3d has no depth 51: there are 18, 34, 50, 101, 152"):
        ResNet3d(51)
    with pytest.raises(ConfigError, match=r"num_stages=5 of ResNet3d: there are 1 to 4 stages"):
        ResNet3d(18, num_stages=5)
    with pytest.raises(ConfigError, match=r"out_indices=\(3,\) of ResNet3d must name stages from 0 to 2"):
        ResNet3d(18, num_stages=3)
    with pytest.raises(ConfigError, match=r"temporal_strides=\(1, 1\) of ResNet3d has 2 entries for 4 stages"):
        ResNet3d(18, temporal_strides=(1, 1))
    with pytest.raises(ConfigError, match=r"non_local=\(0, 0, 0, 0, 1\) of ResNet3d has 5 entries, .* 4 stages"):
        ResNet3d(18, non_local=(0, 0, 0, 0, 1))
    with pytest.raises(ConfigError, match=r"non_local=\(0, 0, 0, 1\) of ResNet3d has 4 entries, .* 3 stages"):
        ResNet3d(18, num_stages=3, out_indices=(2,), non_local=(0, 0, 0, 1))
    with pytest.raises(ConfigError, match=r"non_local of ResNet3d has 3 entries \(0, 0, 1\) for stage 1, which has 2"):
        ResNet3d(18, non_local=((0, 0, 1), 0, 0, 0))
    with pytest.raises(ConfigError, match=r"inflate=\(1, 1\) of ResNet3d has 2 entries"):
        ResNet3d(18, inflate=(1, 1))
    with pytest.raises(ConfigError, match=r"frozen_stages of ResNet3d must be from -1 to 4, got 5"):
        ResNet3d(18, frozen_stages=5)
    with pytest.raises(ConfigError, match=r"style must be 'pytorch' or 'caffe', got 'tf'"):
        ResNet3d(18, style="tf")
    with pytest.raises(ConfigError, match=r"inflate_style must be '3x1x1' or '3x3x3', got '3x3x1'"):
        ResNet3d(18, inflate_style="3x3x1")
    with pytest.raises(PartArgumentError, match=r"ResNet3d has no keyword 'deep' \(did you mean depth\?\)"):
        MODELS.build({"type": "ResNet3d", "deep": 18})


def test_input_that_does_not_fit_says_what_to_set() -> None:
    network = ResNet3d(18, **SMALL)
    with pytest.raises(
        ConfigError, match=r"the clips have 2 channels, .* in_channels=3: set in_channels=2 in backbone"
    ):
        network(clips(channels=2))
    with pytest.raises(
        ConfigError, match=r"got \(1, 8, 3, 32, 32\), whose frames .* before their 3 channels: .*'NCTHW'"
    ):
        network(torch.zeros(1, 8, 3, 32, 32))
    with pytest.raises(ValueError, match=r"ResNet3d takes clips .*, got \(1, 3, 32, 32\): .* Recognizer3D, .*'NCTHW'"):
        network(torch.zeros(1, 3, 32, 32))
    assert ResNet3d(18, in_channels=10, **SMALL).eval()(clips(channels=10)).shape == (1, 64, 4, 1, 1)
