import pytest
import torch
from torch import nn

from kinema.errors import ConfigError
from kinema.models import MobileNetV2TSM, ResNet, ResNetTSM
from kinema.models.backbones import InvertedResidual, NL3DWrapper, TemporalPool
from kinema.models.layers import TemporalShift

NON_LOCAL = {"sub_sample": True, "use_scale": False, "norm_cfg": {"type": "BN3d"}, "mode": "gaussian"}
FRAMES = torch.rand(4, 3, 32, 32)


def shifts(model: nn.Module) -> list[str]:
    return [name for name, one in model.named_modules() if isinstance(one, TemporalShift)]


@pytest.mark.parametrize(
    ("depth", "expected"), [(18, [2, 2, 2, 2]), (50, [3, 4, 6, 3]), (101, [2, 2, 12, 2]), (152, [2, 4, 18, 2])]
)
def test_every_block_shifts_and_every_second_one_of_deep_networks(depth, expected) -> None:
    with torch.device("meta"):
        names = shifts(ResNetTSM(depth))
    assert [sum(name.startswith(f"layer{stage}.") for name in names) for stage in (1, 2, 3, 4)] == expected
    assert names[0] == "layer1.0.conv1.conv"


def test_the_shift_may_be_in_front_of_whole_blocks_or_not_be() -> None:
    with torch.device("meta"):
        assert shifts(ResNetTSM(18, shift_place="block"))[:2] == ["layer1.0", "layer1.1"]
        assert shifts(ResNetTSM(18, is_shift=False)) == []
        assert list(ResNetTSM(18, is_shift=False).state_dict()) == list(ResNet(18).state_dict())


def test_without_time_a_shifted_network_drops_the_channels_that_move() -> None:
    stages = {"num_stages": 2, "out_indices": (1,)}
    model, plain = ResNetTSM(18, num_segments=1, shift_div=4, **stages).eval(), ResNet(18, **stages).eval()
    state = {name.replace(".net", ""): value.clone() for name, value in model.state_dict().items()}
    for name, value in state.items():
        if name.startswith("layer") and name.endswith("conv1.conv.weight"):
            value[:, : value.shape[1] // 4 * 2] = 0
    plain.load_state_dict(state)
    torch.testing.assert_close(model(FRAMES), plain(FRAMES))


def test_frames_of_one_clip_do_not_see_those_of_another() -> None:
    model = ResNetTSM(18, num_segments=2).eval()
    other = FRAMES.clone()
    other[2:] = 0
    torch.testing.assert_close(model(FRAMES)[:2], model(other)[:2])
    assert not torch.allclose(model(FRAMES)[2:], model(other)[2:])


@pytest.mark.parametrize("depth", [18, 50])
def test_non_local_blocks_are_where_they_are_asked_for_and_start_as_the_identity(depth) -> None:
    flags = ((0, 0), (1, 0), (0, 1), (0, 0)) if depth == 18 else (0, (1, 0, 1, 0), 1, 0)
    stages = {"num_stages": 3, "out_indices": (2,)}
    model = ResNetTSM(depth, 4, non_local=flags, non_local_cfg=NON_LOCAL, **stages)
    names = [name for name, one in model.named_modules() if isinstance(one, NL3DWrapper)]
    assert names[0] == "layer2.0"
    assert len(names) == (2 if depth == 18 else 8)
    assert isinstance(model.layer2[0].block.conv1.conv, TemporalShift)
    model.init_weights()
    plain = ResNetTSM(depth, 4, **stages)
    plain.load_state_dict(
        {name.replace(".block.", "."): one for name, one in model.state_dict().items() if "non_local" not in name}
    )
    torch.testing.assert_close(model.eval()(FRAMES), plain.eval()(FRAMES))


def test_temporal_pool_halves_the_frames() -> None:
    flags = (0, (1, 0), 0, 0)
    model = ResNetTSM(18, 4, temporal_pool=True, non_local=flags, non_local_cfg=NON_LOCAL)
    assert model(FRAMES).shape == (2, 512, 1, 1)
    assert isinstance(model.layer2, TemporalPool)
    assert model.layer3[0].conv1.conv.num_segments == 2
    pool = TemporalPool(nn.Identity(), 4)
    x = torch.tensor([1.0, 5, 2, 3, 9, 0, 0, 7])[:, None, None, None]
    assert pool(x).flatten().tolist() == [5, 5, 9, 7]


def test_what_is_frozen_stays_frozen_under_the_wrappers() -> None:
    flags = ((1, 0), 0, 0, 0)
    model = ResNetTSM(18, frozen_stages=1, non_local=flags, non_local_cfg=NON_LOCAL, norm_eval=True, with_cp=True)
    assert not any(one.requires_grad for one in model.layer1.parameters())
    model.train()(FRAMES.repeat(2, 1, 1, 1)).sum().backward()
    assert model.layer2[0].conv1.conv.net.weight.grad is not None


def test_partial_batch_norm_lets_the_norms_that_learn_motion_go_on() -> None:
    model = ResNetTSM(18, 4, non_local=(0, (1, 0), 0, 0), non_local_cfg=NON_LOCAL, partial_bn=True).train()
    norms = {name: one for name, one in model.named_modules() if isinstance(one, nn.modules.batchnorm._BatchNorm)}
    learning = {name for name, one in norms.items() if one.training and one.weight.requires_grad}
    assert learning == {"conv1.bn", "layer2.0.non_local_block.conv_out.bn"}
    assert len(norms) == 21


def test_mobilenet_shifts_inside_its_shortcuts() -> None:
    model = MobileNetV2TSM(num_segments=4)
    blocks = [one for one in model.modules() if isinstance(one, InvertedResidual)]
    assert len(blocks) == 17
    assert [isinstance(one.conv[0], TemporalShift) for one in blocks] == [one.use_res_connect for one in blocks]
    assert model(FRAMES).shape == (4, 1280, 1, 1)
    assert shifts(MobileNetV2TSM(is_shift=False)) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 20}, "ResNetTSM has no depth 20: there are 18, 34, 50, 101, 152"),
        ({"shift_place": "blocks"}, "shift_place of ResNetTSM must be 'blockres' or 'block', got 'blocks'"),
        ({"num_segments": 0}, "num_segments of ResNetTSM must be at least 1, got 0"),
        ({"num_segments": 7, "temporal_pool": True}, "halves num_segments, which must be even, got 7"),
        ({"num_stages": 2, "out_indices": (1,), "non_local": (0, 0, 1)}, "names 3 stages, but there are 2"),
        ({"non_local": (0, 1)}, "non_local of ResNetTSM names 2 stages, but there are 4"),
        ({"non_local": (0, 1, 0, 0)}, "names blocks, but non_local_cfg is empty: set it, e.g. to dict"),
        (
            {"non_local": (0, (1, 0, 1), 0, 0), "non_local_cfg": NON_LOCAL},
            "has 3 flags for stage 2, which has 2 blocks at depth 18: give one a block",
        ),
    ],
)
def test_what_does_not_exist_is_refused(arguments, message) -> None:
    with pytest.raises(ConfigError, match=message):
        ResNetTSM(**{"depth": 18, **arguments})
