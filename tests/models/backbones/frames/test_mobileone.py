from pathlib import Path

import pytest
import torch

from kinema.errors import ConfigError
from kinema.models import MobileOne, MobileOneTSM
from kinema.models.backbones.frames.mobileone import SqueezeExcite
from kinema.models.layers import TemporalShift

TINY = {
    "num_blocks": [1, 1, 2, 1],
    "width_factor": [0.25] * 4,
    "num_conv_branches": [2] * 4,
    "num_se_blocks": [0, 0, 1, 1],
}


@pytest.mark.parametrize(
    ("settings", "num_tensors", "parameters", "absmax", "mean"),
    [
        ({"arch": "s0"}, 1321, 4_268_272, 2821515776.0, 548114185.7041016),
        ({"arch": "s4", "deploy": True}, 134, 12_789_352, 3.5747122764587402, 0.8628112986903642),
    ],
)
def test_it_has_the_weights_and_values_of_the_original(
    settings: dict, num_tensors: int, parameters: int, absmax: float, mean: float
) -> None:
    network = MobileOneTSM(**settings).eval()
    assert len(network.state_dict()) == num_tensors
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    for number, parameter in enumerate(network.parameters()):
        wave = torch.sin(torch.arange(parameter.numel()).view(parameter.shape) * 0.37 + number)
        parameter.data = 1 + wave * 0.1 if parameter.dim() == 1 else wave * (2 / parameter[0].numel()) ** 0.5
    with torch.no_grad():
        out = network(torch.cos(torch.arange(8 * 3 * 64 * 64) * 0.11).view(8, 3, 64, 64)).double()
    assert out.shape == (8, network.out_channels, 2, 2)
    assert out.abs().max().item() == pytest.approx(absmax, rel=1e-4)
    assert out.mean().item() == pytest.approx(mean, rel=1e-4)


def test_one_convolution_a_block_gives_what_the_branches_give() -> None:
    torch.manual_seed(0)
    network = MobileOneTSM(TINY, num_segments=2)
    frames = torch.randn(4, 3, 64, 64)
    for _ in range(3):  # the norms see something
        network(frames)
    network.eval()
    with torch.no_grad():
        expected = network(frames)
        assert network.switch_to_deploy() is network
        assert torch.allclose(network(frames), expected, rtol=1e-4, atol=1e-5)
        again = network.switch_to_deploy()(frames)
    assert torch.allclose(again, expected, rtol=1e-4, atol=1e-5)
    deployed = MobileOneTSM(TINY, num_segments=2, deploy=True)
    assert deployed.load_state_dict(network.state_dict())


def test_stages_are_returned_and_frozen_as_asked() -> None:
    network = MobileOne(TINY, out_indices=(1, 3), frozen_stages=1)
    assert [tuple(level.shape[1:]) for level in network(torch.randn(1, 3, 64, 64))] == [(32, 8, 8), (128, 2, 2)]
    assert network.out_channels == (32, 128)
    frozen = {name.partition(".")[0] for name, one in network.named_parameters() if not one.requires_grad}
    assert frozen == {"stage0", "stage1"}


def test_every_block_shifts_or_none_and_weights_over_images_start_it(tmp_path: Path) -> None:
    images = MobileOne(TINY)
    torch.save(images.state_dict(), tmp_path / "images.pth")
    network = MobileOneTSM(TINY, num_segments=4, pretrained=str(tmp_path / "images.pth"))
    network.init_weights()
    assert sum(isinstance(module, TemporalShift) for module in network.modules()) == 11
    assert torch.equal(network.stage1[0].net.branch_scale.conv.weight, images.stage1[0].branch_scale.conv.weight)
    assert list(MobileOneTSM(TINY, is_shift=False).state_dict()) == list(images.state_dict())


def test_channels_that_weigh_others_are_a_multiple_of_eight() -> None:
    assert [SqueezeExcite(channels, 16).conv1.out_channels for channels in (32, 100, 320, 1000)] == [8, 8, 24, 64]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"arch": "s5"}, r"MobileOne: arch must be one of s0, s1, s2, s3, s4, or a dict, got 's5'"),
        ({"arch": {"num_blocks": [1]}}, r"MobileOne: arch must be a dict of num_blocks, width_factor, .*four numbers"),
        ({"arch": "s0", "out_indices": (4,)}, r"out_indices must be stages from 0 to 3, got \(4,\)"),
        ({"arch": "s0", "conv_cfg": {"type": "Conv3d"}}, r"conv_cfg must be None or dict\(type='Conv2d'\), got"),
    ],
)
def test_settings_that_no_network_has_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MobileOne(**settings)
