import copy

import pytest
import torch
from torch import nn

from kinema.errors import ConfigError
from kinema.models import ResNetTIN, TANet
from kinema.models.backbones import Bottleneck, TABlock
from kinema.models.backbones.frames.tin import CombineNet
from kinema.models.layers import TemporalInterlace

FRAMES = torch.rand(4, 3, 16, 16)


def test_a_block_convolves_in_time_between_its_first_two_convolutions() -> None:
    block = TABlock(Bottleneck(16, 4), 2).eval()
    x = torch.randn(4, 16, 3, 3)
    inner = block.block
    expected = torch.relu(inner.conv3(inner.conv2(block.tam(inner.conv1(x)))) + x)
    torch.testing.assert_close(block(x), expected)
    assert torch.equal(copy.deepcopy(block)(x), block(x))


def test_recomputing_blocks_changes_no_gradient_of_tanet() -> None:
    torch.manual_seed(0)
    settings = {"num_stages": 1, "out_indices": (0,), "norm_eval": True}
    plain, saving = TANet(50, 2, **settings), TANet(50, 2, with_cp=True, **settings)
    saving.load_state_dict(plain.state_dict())
    for model in (plain, saving):
        model.train()(FRAMES).square().mean().backward()
    for one, other in zip(plain.parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_tanet_exists_with_bottlenecks_only() -> None:
    with pytest.raises(ConfigError, match="not into BasicBlock: TANet has depths 50, 101, 152"):
        TANet(18, 8)


def test_tin_has_the_parameters_and_names_of_published_files() -> None:
    with torch.device("meta"):
        model = ResNetTIN(50, num_segments=8, shift_div=4)
    state = {name: tuple(one.shape) for name, one in model.state_dict().items()}
    assert len(state) == 446
    assert sum(one.numel() for one in model.parameters()) + 174 * 2049 == 23_895_566, "with the head of Something V1"
    block = {
        name.removeprefix("layer1.0.conv1.conv."): one for name, one in state.items() if "layer1.0.conv1.conv." in name
    }
    assert block == {
        "net1.offset_net.conv.weight": (1, 16, 3),
        "net1.offset_net.conv.bias": (1,),
        "net1.offset_net.fc1.weight": (8, 8),
        "net1.offset_net.fc1.bias": (8,),
        "net1.offset_net.fc2.weight": (2, 8),
        "net1.offset_net.fc2.bias": (2,),
        "net1.weight_net.conv.weight": (2, 16, 3),
        "net1.weight_net.conv.bias": (2,),
        "net2.weight": (64, 64, 1, 1),
    }


def test_tin_trains_all_its_parts_and_keeps_clips_apart() -> None:
    model = ResNetTIN(18, num_segments=2, shift_div=4, num_stages=2, out_indices=(1,)).train()
    model(FRAMES).square().mean().backward()
    assert [name for name, one in model.named_parameters() if one.grad is None] == []
    assert isinstance(model.layer2[1].conv1.conv, CombineNet)
    model.eval()
    other = FRAMES.clone()
    other[2:] = 0
    torch.testing.assert_close(model(FRAMES)[:2], model(other)[:2])
    assert not any(
        isinstance(one, TemporalInterlace)
        for one in ResNetTIN(18, is_tin=False, num_stages=1, out_indices=(0,)).modules()
    )


def test_tin_moves_channels_in_every_block_also_of_deep_networks() -> None:
    with torch.device("meta"):
        model = ResNetTIN(101, shift_div=4, num_stages=2, out_indices=(1,))
    assert sum(isinstance(one, TemporalInterlace) for one in model.modules()) == 3 + 4


def test_tin_takes_arguments_of_tsm_that_do_not_concern_it() -> None:
    settings = {"shift_div": 4, "num_stages": 1, "out_indices": (0,)}
    plain = ResNetTIN(18, True, **settings)
    other = ResNetTIN(18, is_shift=False, shift_place="block", temporal_pool=True, **settings)
    assert list(other.state_dict()) == list(plain.state_dict())
    assert not any(isinstance(one, TemporalInterlace) for one in ResNetTIN(18, False, **settings).modules())


def test_partial_batch_norm_leaves_the_adaptive_modules_alone() -> None:
    model = TANet(50, 2, num_stages=1, out_indices=(0,), partial_bn=True).train()
    norms = {name: one for name, one in model.named_modules() if isinstance(one, nn.modules.batchnorm._BatchNorm)}
    learning = {name for name, one in norms.items() if one.training and one.weight.requires_grad}
    assert learning == {"conv1.bn", *(f"layer1.{block}.tam.{part}.1" for block in range(3) for part in "GL")}


def test_tin_refuses_a_share_that_makes_no_groups() -> None:
    with pytest.raises(ConfigError, match=r"64 // 6 .* must be a multiple of 4: change shift_div"):
        ResNetTIN(18, shift_div=6)
