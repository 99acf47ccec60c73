import pytest
import torch
from torch import nn

from kinema.errors import ConfigError
from kinema.models.base import Sequential
from kinema.models.layers import ConvModule, build_activation_layer, build_conv_layer, build_norm_layer
from kinema.registry import MODELS


def test_a_block_is_its_convolution_norm_and_activation() -> None:
    block = ConvModule(3, 4, 3, padding=1, norm_cfg={"type": "BN"})
    x = torch.randn(2, 3, 5, 5)
    assert torch.equal(block(x), torch.relu(block.bn(block.conv(x))))
    assert list(block.state_dict())[:3] == ["conv.weight", "bn.weight", "bn.bias"]
    assert block.norm is block.bn
    assert (block(x) >= 0).all()
    assert (block(x, activate=False) < 0).any()


def test_a_bias_is_there_only_where_no_norm_takes_it_away() -> None:
    assert ConvModule(3, 4, 1).conv.bias is not None
    assert ConvModule(3, 4, 1, norm_cfg={"type": "BN"}).conv.bias is None
    with pytest.warns(UserWarning, match="Unnecessary conv bias before batch/instance norm"):
        assert ConvModule(3, 4, 1, norm_cfg={"type": "BN"}, bias=True).conv.bias is not None
    # A norm over groups of channels keeps what their biases differ by: no warning, which would be an error here.
    assert ConvModule(3, 4, 1, norm_cfg={"type": "GN", "num_groups": 2}, bias=True).conv.bias is not None
    assert ConvModule(3, 4, 1).norm is None


def test_a_pre_activation_block_normalises_its_input() -> None:
    block = ConvModule(3, 4, 1, norm_cfg={"type": "BN"}, inplace=False, order=("norm", "act", "conv"))
    x = torch.randn(2, 3, 5, 5)
    assert block.bn.num_features == 3
    assert torch.equal(block(x), block.conv(torch.relu(block.bn(x))))


def test_blocks_exist_in_three_dimensions_and_with_every_norm() -> None:
    x = torch.randn(2, 4, 3, 5, 5)
    for norm, attribute in [("BN3d", "bn"), ("GN", "gn"), ("IN3d", "in"), ("SyncBN", "bn")]:
        cfg = {"type": norm, "num_groups": 2} if norm == "GN" else {"type": norm}
        block = ConvModule(4, 8, (1, 3, 3), padding=(0, 1, 1), conv_cfg={"type": "Conv3d"}, norm_cfg=cfg)
        assert block.eval()(x).shape == (2, 8, 3, 5, 5)
        assert block.norm_name == attribute
    reflected = ConvModule(4, 8, 3, padding=1, conv_cfg={"type": "Conv3d"}, padding_mode="replicate")
    assert reflected.conv.padding_mode == "replicate"
    assert "conv.weight_orig" in dict(ConvModule(4, 8, 1, with_spectral_norm=True).named_parameters())


def test_a_norm_config_says_epsilon_and_whether_it_learns() -> None:
    name, norm = build_norm_layer({"type": "BN3d", "eps": 1e-3, "requires_grad": False}, 5, postfix=2)
    assert (name, norm.eps, norm.weight.requires_grad) == ("bn2", 1e-3, False)
    assert build_norm_layer({"type": "mmcv.LN"}, 5)[0] == "ln"
    assert isinstance(build_norm_layer({"type": nn.BatchNorm1d}, 5)[1], nn.BatchNorm1d)


def test_a_layer_of_the_user_is_found_by_its_name() -> None:
    @MODELS.register_module()
    class RootLayerNormOfATest(nn.Module):
        def __init__(self, channels: int, eps: float) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(channels))

    assert build_norm_layer({"type": "RootLayerNormOfATest"}, 5)[0] == "ln"

    class Named(nn.BatchNorm2d):
        _abbr_ = "mine"

    assert build_norm_layer({"type": Named}, 5)[0] == "mine"

    class Plain(RootLayerNormOfATest):
        pass

    assert build_norm_layer({"type": Plain}, 5)[0] == "norm_layer"


@pytest.mark.parametrize("cfg", ["ReLU", "LeakyReLU", "HSwish", "HSigmoid", "Swish", "Clamp", "GELU", "Sigmoid"])
def test_activations_work_on_a_number_line(cfg: str) -> None:
    x = torch.linspace(-9, 9, 19)
    y = build_activation_layer({"type": cfg}, inplace=True)(x.clone())
    expected = {
        "ReLU": x.clamp(min=0),
        "LeakyReLU": torch.where(x > 0, x, 0.01 * x),
        "HSwish": x * ((x + 3) / 6).clamp(0, 1),
        "HSigmoid": ((x + 3) / 6).clamp(0, 1),
        "Swish": x / (1 + torch.exp(-x)),
        "Clamp": x.clamp(-1, 1),
        "GELU": x * 0.5 * (1 + torch.erf(x / 2**0.5)),
        "Sigmoid": 1 / (1 + torch.exp(-x)),
    }[cfg]
    assert torch.allclose(y, expected, atol=1e-5)


def test_wrong_layer_configs_name_the_way_out() -> None:
    with pytest.raises(ConfigError, match=r"norm_cfg names 'BN3', which is no layer: did you mean BN3d"):
        build_norm_layer({"type": "BN3"}, 4)
    with pytest.raises(ConfigError, match=r"conv_cfg names 'zzz', which is no layer: there are: Conv, Conv1d"):
        build_conv_layer({"type": "zzz"}, 3, 4, 1)
    with pytest.raises(ConfigError, match=r"act_cfg must be a dict with 'type', such as .*'ReLU'.*, got 'ReLU'"):
        build_activation_layer("ReLU")
    with pytest.raises(ConfigError, match=r"norm_cfg: BatchNorm3d has no keyword 'epsilon'; its keywords: .*eps"):
        build_norm_layer({"type": "BN3d", "epsilon": 1}, 4)
    with pytest.raises(ConfigError, match=r"order of ConvModule must hold 'conv', 'norm' and 'act' once each"):
        ConvModule(3, 4, 1, order=("conv", "norm"))


def test_a_block_knows_the_numbers_of_its_convolution() -> None:
    block = ConvModule(4, 4, 3, stride=2, padding=1, dilation=2, groups=2)
    assert (block.kernel_size, block.stride, block.dilation) == ((3, 3), (2, 2), (2, 2))
    assert (block.padding, block.groups, block.transposed) == (1, 2, False)


def test_weights_are_drawn_by_kaimings_rule_for_the_activation_until_an_init_cfg_sets_them() -> None:
    torch.manual_seed(0)
    fan_out = 64 * 9
    for act_cfg, gain in (({"type": "ReLU"}, 2), ({"type": "LeakyReLU", "negative_slope": 1.0}, 1), (None, 2)):
        module = ConvModule(64, 64, 3, act_cfg=act_cfg)
        assert module.conv.weight.std().item() == pytest.approx((gain / fan_out) ** 0.5, rel=0.02)
        assert module.conv.bias.eq(0).all()
    owner = Sequential(module, init_cfg={"type": "Constant", "layer": "Conv2d", "val": 3})
    owner.init_weights()
    assert module.conv.weight.eq(3).all()
