import logging

import pytest
import torch
from torch import nn

from kinema.errors import ConfigError, PartArgumentError
from kinema.optim.building import build_optim_wrapper
from kinema.optim.constructors import DefaultOptimWrapperConstructor
from kinema.optim.parameter_groups import build_groups, layer_of, scaled_rate
from kinema.optim.schedules import ConstantLR, Position, apply_schedules
from kinema.optim.wrapper import OptimWrapper
from kinema.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIMIZERS

ADAMW = dict(type="AdamW", lr=0.1, weight_decay=0.5)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.token = nn.Parameter(torch.zeros(1, 1, 2))
        self.flat = nn.Parameter(torch.zeros(3))
        self.conv1 = nn.Conv2d(3, 4, 3)
        self.depthwise = nn.Conv2d(4, 4, 3, groups=4)
        self.bn = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, 2)


class DeformConv2d(nn.Module):  # as mmcv's: the offsets come from a convolution inside
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2, 2, 3, 3))
        self.bias = nn.Parameter(torch.zeros(2))
        self.conv_offset = nn.Conv2d(2, 18, 3)


class Transformer(nn.Module):
    def __init__(self, depth=3):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, 4))
        self.pos_embed = nn.Parameter(torch.zeros(1, 5, 4))
        self.patch_embed = nn.Linear(4, 4)
        self.blocks = nn.ModuleList(nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 4)) for _ in range(depth))
        self.norm = nn.LayerNorm(4)


def recognizer(backbone, head=None):
    model = nn.Module()
    model.backbone = backbone
    model.cls_head = head or nn.Linear(4, 2)
    return model


def settings(model, constructor=None, optimizer=ADAMW, **paramwise):
    """(rate, weight decay) of every parameter in an optimizer."""
    groups = build_groups(model, optimizer, constructor, paramwise)
    built = OPTIMIZERS.build(optimizer, default_args={"params": groups})
    parameters = dict(model.named_parameters())
    result = {}
    for group in built.param_groups:
        assert [parameters[name] for name in group["param_names"]] == group["params"]
        result |= {
            name: (pytest.approx(group["lr"]), pytest.approx(group["weight_decay"])) for name in group["param_names"]
        }
    return result


def test_without_rules_there_is_one_group_of_all_parameters_and_with_rules_one_of_the_trainable():
    model = Net()
    model.conv1.requires_grad_(False)
    (group,) = build_groups(model, ADAMW)
    assert group["param_names"] == [name for name, _ in model.named_parameters()]
    assert group.keys() == {"params", "param_names"}
    (group,) = build_groups(model, ADAMW, paramwise_cfg=dict(norm_decay_mult=1.0))[:1]
    assert not any(name.startswith("conv1") for name in group["param_names"])


def test_a_constructor_that_is_called_makes_a_group_for_each_parameter():
    model = Net()
    names = [name for name, _ in model.named_parameters()]
    for rules, expected in ((dict(norm_decay_mult=0.0), [[name] for name in names]), ({}, [names]), (None, [names])):
        wrapper = DefaultOptimWrapperConstructor(dict(optimizer=dict(ADAMW)), rules)(model)
        assert [group["param_names"] for group in wrapper.param_groups] == expected
    for arguments, message in (
        (({"type": "OptimWrapper"},), "needs the config of"),
        ((dict(optimizer=ADAMW), "x"), "a dict"),
    ):
        with pytest.raises(ConfigError, match=message):
            DefaultOptimWrapperConstructor(*arguments)


def test_rules_by_kind_apply_in_order():
    assert settings(
        Net(), bias_lr_mult=2, bias_decay_mult=0.2, norm_decay_mult=0, dwconv_decay_mult=0.4, flat_decay_mult=0.6
    ) == {
        "token": (0.1, 0.5),
        "flat": (0.1, 0.3),
        "conv1.weight": (0.1, 0.5),
        "conv1.bias": (0.2, 0.1),
        "depthwise.weight": (0.1, 0.2),
        "depthwise.bias": (0.2, 0.1),
        "bn.weight": (0.1, 0.0),
        "bn.bias": (0.1, 0.0),
        "fc.weight": (0.1, 0.5),
        "fc.bias": (0.2, 0.1),
    }
    rest = settings(Net(), dwconv_decay_mult=0.4, flat_decay_mult=0.6)
    assert rest["depthwise.bias"] == (0.1, 0.2)
    assert rest["bn.weight"] == (0.1, 0.3)


def test_the_longest_custom_key_counts_and_shuts_other_rules_out():
    keys = {
        "conv": dict(lr_mult=0.1),
        "conv1.bias": dict(decay_mult=0, eps=1e-3),
        ".token": dict(lr_mult=2),
        "bn.b": dict(decay_mult=0.2),
        "n.bi": dict(decay_mult=0.4),
    }
    result = settings(Net(), custom_keys=keys, bias_lr_mult=10, norm_decay_mult=0)
    assert result["conv1.weight"] == (0.01, 0.5)
    assert result["conv1.bias"] == (0.1, 0.0)
    assert result["token"] == (0.2, 0.5)
    assert result["fc.bias"] == (1.0, 0.5)
    assert result["bn.weight"] == (0.1, 0.0)
    assert result["bn.bias"] == (0.1, 0.1)  # of two keys of four letters the first by alphabet
    groups = build_groups(Net(), ADAMW, paramwise_cfg=dict(custom_keys=keys))
    assert [group["param_names"] for group in groups if group.get("eps") == 1e-3] == [["conv1.bias"]]


def test_groups_are_as_few_as_there_are_settings():
    groups = build_groups(Net(), ADAMW, paramwise_cfg=dict(norm_decay_mult=0, bias_decay_mult=0))
    assert [group["param_names"] for group in groups] == [
        ["token", "flat", "conv1.weight", "depthwise.weight", "fc.weight"],
        ["conv1.bias", "depthwise.bias", "bn.weight", "bn.bias", "fc.bias"],
    ]


def test_offsets_of_deformable_convolutions_have_their_rate():
    model = nn.Sequential(DeformConv2d(), nn.Conv2d(2, 2, 3))
    assert settings(model, dcn_offset_lr_mult=0.1, bias_lr_mult=2, bias_decay_mult=0) == {
        "0.weight": (0.1, 0.5),
        "0.bias": (0.2, 0.0),
        "0.conv_offset.weight": (0.01, 0.5),
        "0.conv_offset.bias": (0.01, 0.5),
        "1.weight": (0.1, 0.5),
        "1.bias": (0.2, 0.0),
    }


def test_a_shared_parameter_is_bypassed_or_refused():
    model = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2)})
    model["b"].weight = model["a"].weight
    expected = [["a.weight", "b.bias", "a.bias"]]
    assert [sorted(group["param_names"]) for group in build_groups(model, ADAMW)] == [sorted(expected[0])]
    with pytest.warns(UserWarning, match=r"b\.weight is duplicate: the rules of its other name hold"):
        assert settings(model, bias_lr_mult=2, bypass_duplicate=True).keys() == set(expected[0])
    with pytest.raises(ConfigError, match=r"b\.weight has another name too; give bypass_duplicate=True"):
        settings(model, bias_lr_mult=2)


def test_a_key_that_fits_no_parameter_is_logged_once(caplog):
    for constructor, paramwise in (
        ("DefaultOptimWrapperConstructor", dict(custom_keys={"fc": dict(lr_mult=2), "fcc": dict(lr_mult=2)})),
        ("SwinOptimWrapperConstructor", dict(fc=dict(lr_mult=2), fcc=dict(lr_mult=2))),
    ):
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="kinema"):
            settings(Net(), constructor, **paramwise)
        (record,) = caplog.records
        assert "'fcc' is in the name of no parameter" in record.getMessage()


def test_a_key_of_a_frozen_part_is_no_mistake(caplog):
    net = Net()
    net.fc.requires_grad_(False)
    for constructor, paramwise in (
        ("DefaultOptimWrapperConstructor", dict(custom_keys=dict(fc=dict(lr_mult=2), bn=dict(lr_mult=2)))),
        ("SwinOptimWrapperConstructor", dict(fc=dict(lr_mult=2))),
    ):
        caplog.clear()
        with caplog.at_level(logging.INFO, logger="kinema"):
            settings(net, constructor, **paramwise)
        (record,) = caplog.records
        assert (record.levelname, "'fc' names frozen parameters only" in record.getMessage()) == ("INFO", True)


def test_a_key_behind_longer_ones_is_logged(caplog):
    settings(Net(), custom_keys={key: dict(lr_mult=2) for key in ("fc", "fc.weight", "fc.bias")})
    assert "'fc' is for no parameter: longer keys are in all names that have it" in caplog.text


def test_factors_0_and_1_need_nothing_in_the_optimizers_config():
    result = settings(Net(), optimizer=dict(type="AdamW"), norm_decay_mult=0, bias_lr_mult=1)
    assert result["bn.weight"] == (0.001, 0.0)
    assert result["fc.bias"] == (0.001, 0.01)


# ---- TSM


@pytest.mark.parametrize("fc_lr5", [True, False])
def test_tsm_has_seven_groups_in_order(fc_lr5):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3), nn.Linear(4, 4), nn.Linear(4, 2))
    groups = build_groups(model, ADAMW, "TSMOptimWrapperConstructor", dict(fc_lr5=fc_lr5))
    last = (["4.weight"], ["4.bias"])
    assert [group["param_names"] for group in groups] == [
        ["0.weight"],
        ["0.bias"],
        ["2.weight", "3.weight", *([] if fc_lr5 else last[0])],
        ["2.bias", "3.bias", *([] if fc_lr5 else last[1])],
        ["1.weight", "1.bias"],
        last[0] if fc_lr5 else [],
        last[1] if fc_lr5 else [],
    ]
    assert [group["lr"] for group in groups] == pytest.approx([0.1, 0.2, 0.1, 0.2, 0.1, 0.5, 1.0])
    assert [group["weight_decay"] for group in groups] == [0.5, 0, 0.5, 0, 0, 0.5, 0]
    torch.optim.AdamW(groups)


def test_tsm_trains_a_parameter_beside_the_layers_of_a_module_as_a_weight(caplog):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(4, 2))
    model.scale = nn.Parameter(torch.ones(1))
    with caplog.at_level(logging.WARNING, logger="kinema"):
        groups = build_groups(model, ADAMW, "TSMOptimWrapperConstructor", dict(fc_lr5=True))
    assert groups[2]["param_names"] == ["scale"]
    assert "scale is trained as a weight; MMAction2 leaves it out" in caplog.text


def test_tsm_refuses_parameters_of_other_modules():
    with pytest.raises(ConfigError, match=r"has no rate for 0\.weight of LayerNorm; it knows convolutions, linear"):
        settings(nn.Sequential(nn.LayerNorm(2), nn.Linear(2, 2)), "TSMOptimWrapperConstructor", fc_lr5=True)


# ---- Swin


def test_swins_keys_multiply():
    keys = {"conv1": dict(lr_mult=0.1, decay_mult=0.0), "conv": dict(lr_mult=0.5), "base.bn": dict(decay_mult=0.2)}
    result = settings(Net(), "SwinOptimWrapperConstructor", **keys)
    assert result["conv1.weight"] == (0.005, 0.0)
    assert result["bn.bias"] == (0.1, 0.1)
    assert result["depthwise.bias"] == (0.1, 0.5)


# ---- layer-wise


@pytest.mark.parametrize("num_layers", [3, 5, None])
def test_rates_fall_from_layer_to_layer(num_layers):
    result = settings(
        recognizer(Transformer()),
        "LearningRateDecayOptimizerConstructor",
        **dict(decay_rate=0.5, decay_type="layer_wise", num_layers=num_layers),
    )
    layers = num_layers or 3
    assert result["cls_head.weight"] == (0.1, 0.5)
    assert result["backbone.norm.weight"] == (0.1, 0.0)
    for number in range(3):
        assert result[f"backbone.blocks.{number}.1.weight"] == (0.1 * 0.5 ** (layers - number), 0.5)
        assert result[f"backbone.blocks.{number}.0.weight"] == (0.1 * 0.5 ** (layers - number), 0.0)
        assert result[f"backbone.blocks.{number}.1.bias"] == (0.1 * 0.5 ** (layers - number), 0.0)
    for name in ("cls_token", "pos_embed", "patch_embed.weight"):
        assert result[f"backbone.{name}"] == (0.1 * 0.5 ** (layers + 1), 0.5)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("blocks.3.attn.qkv.weight", 4),
        ("model.encoder.layer.11.output.dense.bias", 12),
        ("transformer.resblocks.0.ln_1.weight", 1),
        ("embeddings.position_embeddings", 0),
        ("patch_embed.proj.weight", 0),
        ("norm.weight", 13),
        ("layer1.0.conv1.weight", 13),
        ("", 13),
    ],
)
def test_the_layer_is_read_from_the_name(name, layer):
    assert layer_of(name, 12) == layer


def test_groups_of_layers_say_what_they_are():
    groups = build_groups(
        recognizer(Transformer()), ADAMW, "LearningRateDecayOptimizerConstructor", dict(decay_rate=0.5)
    )
    labels = {group["param_names"][0]: (group["group_name"], group["lr_scale"]) for group in groups}
    assert labels["backbone.cls_token"] == ("layer_0_decay", 0.5**4)
    assert labels["backbone.blocks.2.0.weight"] == ("layer_3_no_decay", 0.5)
    assert all(group["lr"] == ADAMW["lr"] * group["lr_scale"] for group in groups)


def test_numbers_in_a_head_are_no_layers():
    model = recognizer(Transformer(), head=nn.ModuleDict({"blocks": nn.ModuleList([nn.Linear(4, 4)])}))
    result = settings(model, "LearningRateDecayOptimizerConstructor", decay_rate=0.5)
    assert result["cls_head.blocks.0.weight"] == (0.1, 0.5)


def test_a_bare_transformer_has_layers_too():
    assert settings(Transformer(), "LearningRateDecayOptimizerConstructor", decay_rate=0.5)["norm.bias"] == (0.1, 0.0)


# ---- constructors


def test_a_constructor_builds_the_wrapper():
    config = dict(type="OptimWrapper", optimizer=dict(ADAMW), clip_grad=dict(max_norm=1.0))
    constructor = OPTIM_WRAPPER_CONSTRUCTORS.build(
        dict(type="DefaultOptimWrapperConstructor", optim_wrapper_cfg=config, paramwise_cfg=dict(norm_decay_mult=0))
    )
    wrapper = constructor(Net())
    assert isinstance(wrapper.optimizer, torch.optim.AdamW)
    assert wrapper.clip_grad_kwargs == {"max_norm": 1.0}
    decays = {group["param_names"][0]: group["weight_decay"] for group in wrapper.param_groups}
    assert (decays["fc.weight"], decays["bn.weight"]) == (0.5, 0.0)
    assert config["optimizer"] == ADAMW


def test_a_config_may_name_rules_and_their_constructor():
    config = dict(
        optimizer=dict(ADAMW), paramwise_cfg=dict(fc=dict(lr_mult=10)), constructor="SwinOptimWrapperConstructor"
    )
    wrapper = build_optim_wrapper(Net(), dict(config, accumulative_counts=2, type="AmpOptimWrapper", dtype="bfloat16"))
    assert wrapper.get_lr() == {"lr": pytest.approx([0.1, 1.0]), "base_lr": [0.1]}
    apply_schedules([ConstantLR(factor=0.5, end=4)], wrapper, Position(epoch=0, step=0, steps_per_epoch=2))
    assert wrapper.get_lr()["base_lr"] == [0.05]
    assert wrapper.accumulative_counts == 2
    assert wrapper.precision.name == "bf16"


def test_a_constructor_of_the_user_is_called_as_openmmlab_calls_it():
    class OnlyTheHead:
        def __init__(self, optim_wrapper_cfg, paramwise_cfg=None):
            self.rate = optim_wrapper_cfg["optimizer"]["lr"] * paramwise_cfg["times"]

        def __call__(self, model):
            return OptimWrapper(torch.optim.SGD(model.fc.parameters(), lr=self.rate))

    wrapper = build_optim_wrapper(
        Net(), dict(optimizer=dict(ADAMW), constructor=OnlyTheHead, paramwise_cfg=dict(times=2))
    )
    assert wrapper.get_lr() == {"lr": [0.2]}


def test_a_subclass_may_give_groups_of_its_own():
    class HeadFirst(DefaultOptimWrapperConstructor):
        def add_params(self, params, module, **kwargs):
            params.append({"params": module.fc.weight, "lr": self.base_lr * self.paramwise_cfg["head"]})

    (group,) = HeadFirst(dict(optimizer=ADAMW), dict(head=3))(Net()).param_groups
    assert group["lr"] == pytest.approx(0.3)
    assert group["param_names"] == ["fc.weight"]


def test_a_subclass_may_leave_the_rest_to_the_default():
    class FrozenHead(DefaultOptimWrapperConstructor):
        def add_params(self, params, module, **kwargs):
            for name, child in module.named_children():
                if name != "fc":
                    super().add_params(params, child, prefix=name)

    names = [name for group in FrozenHead(dict(optimizer=ADAMW)).groups(Net()) for name in group["param_names"]]
    assert names == [name for name, _ in Net().named_parameters() if "." in name and "fc" not in name]


@pytest.mark.parametrize(
    ("constructor", "paramwise", "message"),
    [
        (None, dict(norm_decay=0), r"no key 'norm_decay' \(did you mean norm_decay_mult\?\); its keys: custom_keys"),
        (None, dict(custom_keys={"fc": 0.1}), r"custom_keys must be a dict such as .* got \{'fc': 0\.1\}"),
        (None, dict(norm_decay_mult="0"), "weight_decay can be multiplied by a number only, got '0'"),
        ("SwinOptimWrapperConstructor", dict(fc=dict(lr=0.1)), r"paramwise_cfg\['fc'\] has no key 'lr'.* lr_mult"),
        ("SwinOptimWrapperConstructor", dict(norm_decay_mult=0.1), "paramwise_cfg must be a dict such as"),
        ("TSMOptimWrapperConstructor", dict(lr5=True), r"no key 'lr5'.*; its keys: fc_lr5"),
        ("LearningRateDecayOptimizerConstructor", {}, "needs the number decay_rate"),
        (
            "LearningRateDecayOptimizerConstructor",
            dict(decay_rate=0.5, decay_type="stage_wise"),
            "decay_type must be 'layer_wise', got 'stage_wise'",
        ),
        (
            "LearningRateDecayOptimizerConstructor",
            dict(decay_rate=0.5),
            "the model has batch norms: bn",
        ),
    ],
)
def test_rules_that_mean_nothing_are_refused(constructor, paramwise, message):
    with pytest.raises(ConfigError, match=message):
        settings(Net(), constructor, **paramwise)


def test_a_custom_key_with_an_option_that_the_optimizer_does_not_have_is_refused():
    with pytest.raises(PartArgumentError, match=r"custom_keys\['fc'\]: AdamW has no keyword 'lr_mul'"):
        settings(Net(), custom_keys={"fc": dict(lr_mul=0.1)})


def test_a_multiple_of_nothing_is_refused():
    with pytest.raises(ConfigError, match=r"optimizer: give weight_decay, which paramwise_cfg multiplies"):
        settings(Net(), optimizer=dict(type="SGD", lr=0.1), norm_decay_mult=0.1)


def test_layers_that_do_not_suit_the_model_are_refused():
    with pytest.raises(ConfigError, match=r"num_layers is 2, but there is blocks\.2\."):
        settings(Transformer(), "LearningRateDecayOptimizerConstructor", decay_rate=0.5, num_layers=2)
    with pytest.raises(ConfigError, match="the model has no blocks.N"):
        settings(nn.Linear(2, 2), "LearningRateDecayOptimizerConstructor", decay_rate=0.5)


def test_values_that_the_optimizer_does_not_take_are_named():
    constructor = DefaultOptimWrapperConstructor(dict(optimizer=dict(type="SGD", lr=-1.0)))
    with pytest.raises(
        ConfigError, match=r"optim_wrapper\.optimizer: SGD takes no such values: Invalid learning rate: -1\.0"
    ):
        constructor(Net())


# ---- rates for other batch sizes


def test_the_rate_is_in_proportion_to_the_batch():
    assert scaled_rate(0.01, 256, 64) == pytest.approx(0.0025)
    with pytest.raises(ValueError, match="need batch sizes of at least 1, got base_batch_size=0, real_batch_size=8"):
        scaled_rate(0.01, 0, 8)
