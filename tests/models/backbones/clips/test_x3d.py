from pathlib import Path

import pytest
import torch
from torch import nn

from kinema.errors import ConfigError
from kinema.models.backbones import X3D
from kinema.models.backbones.clips.x3d import SqueezeExcite, round_width

PUBLISHED = {"gamma_w": 1, "gamma_b": 2.25, "gamma_d": 2.2}


def test_widths_are_rounded_to_eights_and_never_much_smaller() -> None:
    assert [round_width(24, factor) for factor in (0, 0.1, 1, 1.4, 2)] == [24, 8, 24, 32, 48]
    assert round_width(54, 1 / 16) == 8
    assert round_width(19, 1) == 24  # 16 would be more than 10 % smaller


def test_factors_give_the_published_depths_and_widths() -> None:
    network = X3D(**PUBLISHED).eval()
    assert [len(network.get_submodule(name)) for name in network.res_layers] == [3, 5, 11, 7]
    assert network.out_channels == 432
    assert network(torch.zeros(1, 3, 4, 64, 64)).shape == (1, 432, 4, 2, 2)
    deeper = X3D(gamma_w=2, gamma_b=1, gamma_d=1, num_stages=2, in_channels=2, spatial_strides=(1, 2)).eval()
    assert deeper(torch.zeros(1, 2, 3, 32, 32)).shape == (1, 96, 3, 8, 8)


def test_squeeze_and_excitation_is_in_every_second_block_or_all_or_none() -> None:
    for settings, expected in [
        ({}, [True, False, True]),
        ({"se_style": "all"}, [True] * 3),
        ({"se_ratio": None}, [False] * 3),
    ]:
        network = X3D(**PUBLISHED, num_stages=1, **settings)
        assert [block.se_module is not None for block in network.layer1] == expected
    scale = SqueezeExcite(16, 1 / 16)
    x = torch.randn(2, 16, 2, 3, 3)
    ratio = scale(x) / x
    assert torch.allclose(ratio, ratio[:, :, :1, :1, :1].expand_as(ratio), atol=1e-4)
    assert (ratio < 1).all()


@pytest.mark.parametrize("use_swish", [True, False])
def test_swish_follows_the_middle_convolution_whatever_configs_say(use_swish: bool) -> None:
    assert isinstance(X3D(num_stages=1, use_swish=use_swish).layer1[0].swish, nn.SiLU)


def test_frozen_stages_and_fixed_norms_stay_in_evaluation() -> None:
    network = X3D(frozen_stages=1, norm_eval=True).train()
    frozen = {name.split(".")[0] for name, one in network.named_parameters() if not one.requires_grad}
    assert frozen == {"conv1_s", "conv1_t", "layer1"}
    assert not any(one.training for one in network.modules() if isinstance(one, nn.BatchNorm3d))


def test_recomputed_activations_change_no_gradient() -> None:
    plain, thrifty = X3D(num_stages=2), X3D(num_stages=2, with_cp=True)
    thrifty.load_state_dict(plain.state_dict())
    torch.manual_seed(0)
    x = torch.randn(2, 3, 4, 32, 32)
    for network in (plain, thrifty):
        network(x).square().sum().backward()
    for a, b in zip(plain.parameters(), thrifty.parameters(), strict=True):
        assert torch.allclose(a.grad, b.grad, rtol=1e-3, atol=1e-4)


def test_pretrained_weights_load_and_fresh_blocks_are_shortcuts(tmp_path: Path) -> None:
    first = X3D(num_stages=1)
    first.init_weights()
    assert not first.layer1[0].conv3.bn.weight.any()
    torch.save(first.state_dict(), tmp_path / "x3d.pth")
    second = X3D(num_stages=1, pretrained=str(tmp_path / "x3d.pth"))
    second.init_weights()
    assert torch.equal(first.conv1_s.conv.weight, second.conv1_s.conv.weight)


def test_wrong_configs_say_what_is_wrong() -> None:
    with pytest.raises(ConfigError, match=r"num_stages of X3D must be from 1 to 4, got 5"):
        X3D(num_stages=5)
    with pytest.raises(ConfigError, match=r"spatial_strides=\(2, 2\) of X3D has 2 entries for 4 stages"):
        X3D(spatial_strides=(2, 2))
    with pytest.raises(ConfigError, match=r"frozen_stages of X3D must be from -1 to 4, got 9"):
        X3D(frozen_stages=9)
    with pytest.raises(ConfigError, match=r"se_style of X3D must be 'half' or 'all', got 'some'"):
        X3D(se_style="some")
