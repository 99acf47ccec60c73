import re
from functools import cache
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kinema.errors import ConfigError
from kinema.models import zoo
from kinema.models.complexity import OperationCount, count_operations
from kinema.models.layers import NonLocal2d
from kinema.registry import MODELS

# To count all takes half a minute.
FAST = {"compact3d", "c3d", "slowonly_r50", "tsm_mobilenetv2", "tsn_r50"}

# Multiply-adds of ours as a share of what is published, where they are not the same within 2 %.
SHARES = {
    # Non-local blocks of this kind multiply three matrices; ours take the cheaper order.
    "i3d_r50_nl_dot_product": 0.936,
    "tsm_r50_nl_dot_product": 0.849,
    # Norms, ReLUs and pooling were counted too, or norms; these networks have many for their few
    # multiply-adds.
    "x3d_s": 0.952,
    "x3d_m": 0.952,
    "tsm_mobilenetv2": 0.959,
    # Distances of tokens are further channels of queries and keys, and as many zeros of values: no
    # matrix of all pairs is built.
    **dict.fromkeys(("mvit_s", "mvit_s_200e", "mvit_s_sthv2"), 1.070),
    "mvit_s_maskfeat": 1.062,
}


@cache
def alike() -> dict[str, list[str]]:
    """The first name of each network, and all names of it: they differ by weights and number of classes alone."""
    kinds: dict[str, list[str]] = {}
    for name in zoo.names():
        card = zoo.card(name)
        kinds.setdefault(repr((zoo.model_config(name, 5), card.input.view_shape(), card.stated_cost)), []).append(name)
    return {names[0]: names for names in kinds.values()}


def names(*, stated: bool) -> list[object]:
    return [
        pytest.param(name, marks=[] if name in FAST else [pytest.mark.slow])
        for name in alike()
        if zoo.card(name).stated_cost or not stated
    ]


@cache
def built(name: str) -> nn.Module:
    with torch.device("meta"):
        return MODELS.build(zoo.model_config(name))


@cache
def as_stated(name: str) -> OperationCount:
    card = zoo.card(name)
    shape = card.input.view_shape(frames=card.stated_cost.frames, size=card.stated_cost.size)
    return count_operations(built(name), shape)


# ---- layers by hand


class Attend(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.whole = nn.MultiheadAttention(16, 4, batch_first=True)

    def forward(self, x):
        heads = x.unflatten(-1, (4, 4)).transpose(1, 2)  # (B, heads, L, 4)
        return self.whole(x, x, x, need_weights=False)[0] + F.scaled_dot_product_attention(
            heads, heads, heads
        ).transpose(1, 2).flatten(2)


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (nn.Conv2d(8, 12, 3, stride=2, padding=1, groups=4, bias=False), (2, 8, 5, 5), 2 * 12 * 3 * 3 * (8 // 4) * 9),
        (nn.Conv3d(3, 5, (1, 3, 3), padding=(0, 1, 1)), (1, 3, 4, 6, 7), 5 * 4 * 6 * 7 * 3 * 9),
        (nn.Conv3d(6, 6, (5, 1, 1), stride=(2, 1, 1), groups=6), (1, 6, 9, 2, 2), 6 * 3 * 2 * 2 * 5),
        (nn.ConvTranspose2d(4, 6, 2, stride=2), (1, 4, 3, 3), 4 * 6 * 2 * 2 * 9),
        (nn.Linear(7, 11), (2, 3, 7), 2 * 3 * 7 * 11),
        # Projections, twice the comparison and sum of 10 positions in 16 channels, twice over.
        (Attend(), (2, 10, 16), 2 * (4 * 10 * 16 * 16 + 2 * 2 * 10 * 10 * 16)),
    ],
)
def test_layers_cost_what_their_definition_says(layer: nn.Module, shape: tuple[int, ...], expected: int) -> None:
    count = count_operations(layer, shape)
    assert count.multiply_adds == expected
    assert count.element_ops == 0
    assert count.parameters == sum(one.numel() for one in layer.parameters())


@pytest.mark.parametrize(
    ("mode", "products"),
    [
        ("embedded_gaussian", 2 * 100 * 25 * 4),  # 100 positions look at 25, in 4 channels
        ("gaussian", 100 * 25 * 8 + 100 * 25 * 4),
        ("dot_product", 25 * 4 * 4 + 100 * 4 * 4),  # the cheaper order
    ],
)
def test_matrix_products_of_non_local_blocks_are_counted(mode: str, products: int) -> None:
    count = count_operations(NonLocal2d(8, mode=mode, sub_sample=True), (1, 8, 10, 10))
    projections = (2 if mode == "gaussian" else 4) * 100 * 8 * 4
    assert count.multiply_adds == projections + products


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (nn.BatchNorm2d(4), 2 * 256),
        (nn.GroupNorm(2, 4), 2 * 256),
        (nn.LayerNorm(8), 2 * 256),
        (nn.InstanceNorm2d(4), 2 * 256),
        (nn.ReLU(), 256),
        (nn.ReLU(inplace=True), 256),
        (nn.ReLU6(), 256),
        (nn.LeakyReLU(), 256),
        (nn.MaxPool2d(2), 256),
        (nn.AvgPool2d(2), 256),
        (nn.AdaptiveAvgPool2d(1), 256),
        (nn.AdaptiveAvgPool2d(3), 256),
        (nn.Sigmoid(), 0),
    ],
)
def test_elements_of_norms_relus_and_pooling_are_counted_apart(layer: nn.Module, expected: int) -> None:
    count = count_operations(layer, (1, 4, 8, 8))
    assert (count.multiply_adds, count.element_ops) == (0, expected)


# ---- which layer


class Twice(nn.Module):
    """Calls one layer twice, and another's child but never itself."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Linear(3, 3, bias=False)
        self.part = nn.Sequential(nn.Linear(3, 5))
        self.again = self.shared

    def forward(self, x):
        return self.part[0](self.shared(self.again(x)))


def test_each_layer_has_its_place_type_parameters_and_output() -> None:
    count = count_operations(Twice(), (2, 3))
    assert [(layer.path, layer.type, layer.depth) for layer in count.layers] == [
        ("", "Twice", 0),
        ("shared", "Linear", 1),
        ("part", "Sequential", 1),
        ("part.0", "Linear", 2),
    ]
    assert [layer.parameters for layer in count.layers] == [29, 9, 20, 20]
    assert [layer.own_parameters for layer in count.layers] == [0, 9, 0, 20]
    assert [layer.multiply_adds for layer in count.layers] == [66, 36, 30, 30]
    assert [layer.output_shapes for layer in count.layers] == [((2, 5),), ((2, 3),), (), ((2, 5),)]
    assert [layer.path for layer in count.to_depth(1)] == ["", "shared", "part"]
    assert count.as_dict()["layers"][3]["multiply_adds"] == 30


def test_children_add_up_to_their_parents() -> None:
    count = count_operations(built("slowfast_r50"), zoo.card("slowfast_r50").input.view_shape())
    layers = {layer.path: layer for layer in count.layers}
    slow, fast = layers["backbone.slow_path"], layers["backbone.fast_path"]
    assert slow.multiply_adds + fast.multiply_adds == layers["backbone"].multiply_adds
    assert sum(layer.own_parameters for layer in count.layers) == count.parameters
    assert layers["backbone"].output_shapes == ((1, 2048, 4, 7, 7), (1, 256, 32, 7, 7))


def test_the_model_stays_as_it_is() -> None:
    model = zoo.create_model("compact3d", num_classes=3).train()
    model.backbone.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    state = torch.get_rng_state()
    one = count_operations(model, (1, 1, 3, 8, 56, 56))
    two = count_operations(model, (1, 2, 3, 8, 56, 56))
    assert two.multiply_adds == 2 * one.multiply_adds
    assert modes == [module.training for module in model.modules()]
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert not any(module._forward_hooks for module in model.modules())


def test_a_recognizer_without_head_and_half_precision_are_counted() -> None:
    model = zoo.create_model("compact3d", num_classes=3)
    whole = count_operations(model, (1, 1, 3, 8, 56, 56))
    model.cls_head = None
    features = count_operations(model.half(), (1, 1, 3, 8, 56, 56))
    assert whole.multiply_adds - features.multiply_adds == 96 * 3


# ---- errors


class Peeking(nn.Module):
    def forward(self, x):
        return x if x.sum().item() > 0 else -x


def test_wrong_requests_name_the_way_out() -> None:
    for shape in ((), (1, 0), (1, 2.5)):
        with pytest.raises(ValueError, match="input_shape must be whole numbers from 1, got"):
            count_operations(nn.Linear(2, 2), shape)
    with pytest.raises(
        ConfigError, match=r"cannot count Peeking: .* asks for values.* Count its parts, such as model\.b"
    ):
        count_operations(Peeking(), (2, 2))
    with pytest.raises(ConfigError, match="the clips have 4 channels, but X3D was built with in_channels=3"):
        count_operations(built("x3d_s"), (1, 1, 4, 13, 160, 160))
    with pytest.raises(RuntimeError, match="must have same reduction dim"):
        count_operations(nn.Linear(2, 2), (2, 3))


# ---- the zoo


@pytest.mark.parametrize("name", names(stated=False))
def test_cards_tell_what_is_counted(name: str) -> None:
    card = zoo.card(name)
    count = count_operations(built(name), card.input.view_shape())
    assert card.params_millions == pytest.approx(count.parameters / 1e6, abs=0.0051)
    assert card.gflops == pytest.approx(count.multiply_adds / 1e9, abs=0.0051 if card.gflops > 1 else 0.0006)


def test_cards_of_the_same_network_differ_by_their_classes_alone() -> None:
    for first, others in alike().items():
        card = zoo.card(first)
        width = zoo.model_config(first)["cls_head"].get("in_channels")
        for other in map(zoo.card, others):
            assert other.gflops == pytest.approx(card.gflops, abs=0.011), other.name
            if width is not None and other.num_classes != card.num_classes:
                more = (other.num_classes - card.num_classes) * (width + 1) / 1e6
                assert other.params_millions - card.params_millions == pytest.approx(more, abs=0.011), other.name


@pytest.mark.parametrize("name", names(stated=True))
def test_multiply_adds_are_the_published_ones(name: str) -> None:
    share = as_stated(name).multiply_adds / 1e9 / zoo.card(name).stated_cost.gflops
    assert share == pytest.approx(SHARES.get(name, 1), abs=0.002 if name in SHARES else 0.02)


@pytest.mark.parametrize("name", names(stated=True))
def test_with_what_was_counted_beside_them_they_are_the_published_ones_to_a_percent(name: str) -> None:
    stated = zoo.card(name).stated_cost
    # That of the other order, which has the same layers.
    count = as_stated(name.replace("dot_product", "embedded_gaussian"))
    norms = sum(layer.element_ops for layer in count.layers if "BatchNorm" in layer.type)
    total = (count.multiply_adds + (norms if stated.counts == "norms" else count.element_ops)) / 1e9
    rounding = 0.5 if stated.gflops.is_integer() else 0
    expected = stated.gflops * max(SHARES.get(name, 1), 1)
    assert total == pytest.approx(expected, abs=0.01 * stated.gflops + rounding)


@pytest.mark.parametrize(
    ("name", "published"), [("x3d_s", 2967543760), pytest.param("x3d_m", 6490866832, marks=pytest.mark.slow)]
)
def test_published_figures_of_x3d_are_reproduced_to_the_last_digit(name: str, published: int) -> None:
    count = as_stated(name)
    # Theirs has a step for each output of a convolution with a bias, ours one for each score that
    # is averaged over views.
    assert count.multiply_adds + count.element_ops == published - 3720 + 400


def test_the_documented_code_runs_and_the_documented_shares_are_those_tested() -> None:
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    scope: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL):
        exec(block, scope)
    assert scope["card"].input.view_shape() == (1, 1, 3, 13, 160, 160)
    rows = re.findall(r"^\| (`.*`) \| (\d\.\d+) \|", page, flags=re.MULTILINE)
    assert {name: float(share) for names, share in rows for name in re.findall(r"`(\w+)`", names)} == SHARES
