import math

import pytest
import torch
from torch import nn

from kinema.errors import CheckpointError, ConfigError
from kinema.models import BaseModule
from kinema.models.init import (
    BaseInit,
    KaimingInit,
    NormalInit,
    bias_init_with_prob,
    caffe2_xavier_init,
    constant_init,
    initialize,
    kaiming_init,
    normal_init,
    trunc_normal_init,
    uniform_init,
    xavier_init,
)
from kinema.registry import WEIGHT_INITIALIZERS

# fan_in = 40 * 27 = 1080, fan_out = 60 * 27 = 1620
FAN_IN, FAN_OUT = 1080, 1620


def conv() -> nn.Conv3d:
    torch.manual_seed(0)
    return nn.Conv3d(40, 60, 3)


@pytest.mark.parametrize(
    ("apply", "mean", "std", "limit"),
    [
        (lambda m: constant_init(m, 3, bias=0.5), 3, 0, 3),
        (lambda m: xavier_init(m, gain=2, bias=0.5), 0, 2 * math.sqrt(2 / (FAN_IN + FAN_OUT)), None),
        (
            lambda m: xavier_init(m, bias=0.5, distribution="uniform"),
            0,
            math.sqrt(2 / (FAN_IN + FAN_OUT)),
            math.sqrt(6 / (FAN_IN + FAN_OUT)),
        ),
        (lambda m: normal_init(m, mean=1, std=0.2, bias=0.5), 1, 0.2, None),
        (lambda m: trunc_normal_init(m, std=1, a=-1, b=1, bias=0.5), 0, 0.5396, 1),
        (lambda m: uniform_init(m, a=-1, b=3, bias=0.5), 1, 4 / math.sqrt(12), 3),
        (lambda m: kaiming_init(m, bias=0.5), 0, math.sqrt(2 / FAN_OUT), None),
        (
            lambda m: kaiming_init(m, a=1, mode="fan_in", nonlinearity="leaky_relu", bias=0.5, distribution="uniform"),
            0,
            math.sqrt(1 / FAN_IN),
            math.sqrt(3 / FAN_IN),
        ),
        (lambda m: caffe2_xavier_init(m, bias=0.5), 0, math.sqrt(1 / FAN_IN), math.sqrt(3 / FAN_IN)),
    ],
    ids=["constant", "xavier", "xavier-u", "normal", "trunc", "uniform", "kaiming", "kaiming-u", "caffe2"],
)
def test_functions_draw_with_the_stated_mean_deviation_and_limit(apply, mean, std, limit) -> None:
    layer = conv()
    apply(layer)
    weight = layer.weight.detach()
    assert float(weight.mean()) == pytest.approx(mean, abs=0.02 * max(std, 1e-6) + 1e-6)
    assert float(weight.std()) == pytest.approx(std, rel=0.02, abs=1e-6)
    if limit is not None:
        assert 0.99 * limit < float(weight.max()) <= limit * (1 + 1e-6)
    assert (layer.bias == 0.5).all()


def test_functions_take_layers_without_weight_or_bias() -> None:
    normal_init(nn.ReLU())
    layer = nn.Linear(2, 2, bias=False)
    constant_init(layer, 2)
    assert (layer.weight == 2).all()


def test_a_wrong_distribution_is_named() -> None:
    with pytest.raises(ValueError, match="distribution must be 'normal' or 'uniform', got 'gauss'"):
        xavier_init(conv(), distribution="gauss")


def test_bias_init_with_prob_inverts_the_sigmoid() -> None:
    assert torch.sigmoid(torch.tensor(bias_init_with_prob(0.01))) == pytest.approx(0.01)
    with pytest.raises(ValueError, match="a prior probability lies between 0 and 1, got 1"):
        bias_init_with_prob(1)
    layer = nn.Linear(2, 2)
    initialize(layer, {"type": "Normal", "layer": "Linear", "bias": 3, "bias_prob": 0.25})
    torch.testing.assert_close(torch.sigmoid(layer.bias), torch.full((2,), 0.25))


@pytest.mark.parametrize(
    ("cfg", "text"),
    [
        ({"type": "Constant", "val": 1}, "ConstantInit: val=1, bias=0"),
        ({"type": "Xavier"}, "XavierInit: gain=1, distribution=normal, bias=0"),
        ({"type": "Normal", "std": 0.01}, "NormalInit: mean=0, std=0.01, bias=0"),
        ({"type": "TruncNormal"}, "TruncNormalInit: a=-2, b=2, mean=0, std=1, bias=0"),
        ({"type": "Uniform"}, "UniformInit: a=0, b=1, bias=0"),
        ({"type": "Kaiming"}, "KaimingInit: a=0, mode=fan_out, nonlinearity=relu, distribution =normal, bias=0"),
        (
            {"type": "Caffe2Xavier"},
            "Caffe2XavierInit: a=1, mode=fan_in, nonlinearity=leaky_relu, distribution =uniform, bias=0",
        ),
        ({"type": "Pretrained", "checkpoint": "a.pth"}, "PretrainedInit: load from a.pth"),
    ],
)
def test_every_initialiser_is_registered_and_says_its_settings(cfg, text) -> None:
    assert repr(WEIGHT_INITIALIZERS.build(cfg)) == text


@pytest.mark.parametrize("kind", ["Xavier", "Normal", "TruncNormal", "Uniform", "Kaiming", "Caffe2Xavier"])
def test_every_initialiser_changes_the_layers_it_names_and_no_other(kind) -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.Conv3d(2, 2, 1))
    before = net[1].weight.clone()
    initialize(net, {"type": kind, "layer": "Linear", "bias": 9})
    assert (net[0].bias == 9).all()
    assert torch.equal(net[1].weight, before)


def test_layer_matches_names_of_base_classes_too() -> None:
    net = nn.Sequential(nn.BatchNorm3d(2), nn.Conv2d(2, 2, 1), nn.GroupNorm(1, 2), nn.Linear(2, 2))
    initialize(net, {"type": "Constant", "layer": ["_BatchNorm", "_ConvNd"], "val": 8})
    assert [bool((layer.weight == 8).all()) for layer in net] == [True, True, False, False]


def test_an_initialiser_without_layer_takes_the_whole_module() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 2))
    KaimingInit(bias=2)(net)
    assert (net[2].bias == 2).all()
    NormalInit(mean=5, std=0)(net)
    assert all((layer.weight == 5).all() for layer in net)


def test_layer_must_be_names() -> None:
    with pytest.raises(TypeError, match=r"layer must be a class name or a list of them, got <class"):
        NormalInit(layer=nn.Linear)


def test_the_base_initialiser_is_abstract() -> None:
    with pytest.raises(NotImplementedError):
        BaseInit().init_layer(nn.Linear(1, 1))
    assert repr(BaseInit(bias=2)) == "BaseInit: bias=2"
    with pytest.raises(TypeError, match="bias_prob of BaseInit must be a number, got '1'"):
        BaseInit(bias_prob="1")


def test_an_initialiser_written_for_mmengine_says_what_it_did() -> None:
    class Fill(BaseInit):
        def __call__(self, module: nn.Module) -> None:
            for layer in module.modules():
                if self.wholemodule or {type(layer).__name__, *(base.__name__ for base in type(layer).__bases__)} & {
                    *self.layer
                }:
                    layer.weight.data.fill_(self.bias)

        def _get_init_info(self) -> str:
            return "filled"

    linear = nn.Linear(1, 1)
    Fill(bias=3, layer="Linear")(linear)
    assert linear.weight.item() == 3
    assert repr(Fill(layer="Linear")) == "filled"


class TwoParts(BaseModule):
    def __init__(self, init_cfg=None):
        super().__init__(init_cfg)
        self.feat = nn.Linear(2, 2)
        self.reg = nn.Sequential(nn.Linear(2, 2))


def test_override_initialises_a_submodule_after_the_rest() -> None:
    net = TwoParts(
        {
            "type": "Constant",
            "layer": "Linear",
            "val": 1,
            "override": {"name": "reg", "type": "Constant", "val": 2, "bias": 3},
        }
    )
    net.init_weights()
    assert (net.feat.weight == 1).all()
    assert (net.reg[0].weight == 2).all()
    assert (net.reg[0].bias == 3).all()


def test_override_with_only_a_name_uses_the_settings_beside_it() -> None:
    net = TwoParts({"type": "Constant", "val": 6, "override": [{"name": "reg"}]})
    before = net.feat.weight.clone()
    net.init_weights()
    assert (net.reg[0].weight == 6).all()
    assert torch.equal(net.feat.weight, before)


@pytest.mark.parametrize(
    ("cfg", "message"),
    [
        ({"type": "Constant", "val": 1}, r"initialises nothing: give 'layer' or 'override'"),
        ({"type": "Constant", "val": 1, "override": {"type": "Normal"}}, r"override needs the 'name' of a submodule"),
        (
            {"type": "Constant", "val": 1, "override": {"name": "reg", "val": 2}},
            r"override of 'reg' needs 'type', got only val",
        ),
        (
            {"type": "Constant", "val": 1, "override": {"name": "rg"}},
            r"TwoParts has no such submodule; it has feat, reg",
        ),
        (
            {"type": "Kaimin", "layer": "Linear"},
            r"Kaimin is not in the weight initializer registry: did you mean Kaiming",
        ),
    ],
)
def test_wrong_init_cfgs_say_what_is_wrong(cfg, message) -> None:
    with pytest.raises(ConfigError, match=message):
        TwoParts(cfg).init_weights()


def test_an_init_cfg_that_is_no_dict_is_refused() -> None:
    with pytest.raises(TypeError, match="init_cfg must be a dict or a list of dicts, got 'Kaiming'"):
        initialize(TwoParts(), ["Kaiming"])


def test_pretrained_loads_after_the_children_and_takes_a_prefix(tmp_path, caplog) -> None:
    source = TwoParts()
    state = {f"backbone.{name}": tensor for name, tensor in source.state_dict().items()}
    torch.save({"state_dict": {**state, "cls_head.x": torch.zeros(1)}}, tmp_path / "a.pth")
    net = TwoParts(
        [
            {"type": "Pretrained", "checkpoint": str(tmp_path / "a.pth"), "prefix": "backbone"},
            {"type": "Constant", "layer": "Linear", "val": 1},
        ]
    )
    with caplog.at_level("INFO", "kinema"):
        net.init_weights()
    assert torch.equal(net.feat.weight, source.feat.weight)
    assert "a.pth: loaded 4 of 4 tensors" in caplog.text
    assert f"PretrainedInit: load from {tmp_path / 'a.pth'}" in caplog.text


def test_pretrained_with_a_prefix_that_is_not_there_says_which_names_are(tmp_path) -> None:
    torch.save(TwoParts().state_dict(), tmp_path / "a.pth")
    net = TwoParts({"type": "Pretrained", "checkpoint": tmp_path / "a.pth", "prefix": "backbone."})
    with pytest.raises(
        CheckpointError, match=r"a\.pth: no weight's name starts with 'backbone\.'; there are feat\.weight"
    ):
        net.init_weights()
