from collections import Counter

import pytest
import torch
from torch import nn

from kinema.compat.parts.analysis.tables import get_model_complexity_info, parameter_count
from kinema.compat.parts.analysis.tracing import FlopAnalyzer, JitModelAnalysis, activation_count, flop_count
from kinema.models import Recognizer2D
from kinema.models.layers.bricks import MultiheadAttention


class Inner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(2, 3, 1)
        self.fc = nn.Linear(15, 4)

    def forward(self, x):
        return self.fc(self.conv(x).flatten(1))


class Outer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Inner()
        self.again = self.inner
        self.unused = nn.Linear(1, 1)
        self.box = nn.ModuleList([nn.Linear(4, 2)])

    def forward(self, x):
        return self.box[0](self.inner(x)).sigmoid()


X = torch.rand(2, 2, 5)


def test_costs_count_for_a_module_and_its_owners() -> None:
    analysis = FlopAnalyzer(Outer(), X)
    assert analysis.by_module() == Counter(
        {"": 196, "inner": 180, "inner.conv": 60, "inner.fc": 120, "box": 16, "box.0": 16, "unused": 0}
    )
    assert analysis.by_operator("again") == {"conv": 60, "linear": 120}
    assert analysis.canonical_module_name("again.fc") == "inner.fc"
    assert analysis.uncalled_modules() == {"unused"}
    assert analysis.unsupported_ops() == {"aten::sigmoid": 1}
    assert analysis.ancestor_mode("caller").total("box") == 0
    assert analysis.copy(new_inputs=X[:1]).total() == 98
    with pytest.raises(KeyError, match="Outer has no module 'nope'"):
        analysis.total("nope")


def test_operations_are_counted_by_functions() -> None:
    analysis = JitModelAnalysis(Outer(), X)
    assert analysis.total() == 0
    analysis.set_op_handle("aten::sigmoid", lambda inputs, outputs: Counter(curve=7), "aten::linear", None)
    assert analysis.by_operator() == {"curve": 7}
    assert analysis.clear_op_handles().total() == 0
    for call, message in (
        (lambda: analysis.set_op_handle("aten::sigmoid"), "pairs"),
        (lambda: analysis.set_op_handle(1, None), "an operation is named by a text"),
    ):
        with pytest.raises(TypeError, match=message):
            call()
    with pytest.raises(ValueError, match="ancestor_mode is 'owner' or 'caller', not 'x'"):
        analysis.ancestor_mode("x")
    with pytest.raises(ValueError, match="tracer_warnings is 'all'"):
        analysis.tracer_warnings("x")


@pytest.mark.parametrize(
    ("model", "shape", "expected"),
    [
        (nn.ConvTranspose2d(3, 8, 3, stride=2), (1, 3, 5, 5), {"conv": 5400}),
        (nn.BatchNorm2d(3).eval(), (2, 3, 4, 4), {"batch_norm": 192}),
        (nn.BatchNorm2d(3), (2, 3, 4, 4), {"batch_norm": 480}),
        (nn.LayerNorm(4, elementwise_affine=False), (2, 3, 4), {"layer_norm": 96}),
        (nn.Upsample(scale_factor=2, mode="bilinear"), (1, 3, 4, 4), {"upsample_bilinear2d": 768}),
        # Projections of 3 x 2 positions, and twice 3 x 3 pairs of 4 channels for each of 2 samples.
        (MultiheadAttention(4, 2), (3, 2, 4), {"linear": 384, "scaled_dot_product_attention": 144}),
    ],
)
def test_layers_cost_what_their_formula_says(model: nn.Module, shape: tuple[int, ...], expected: dict) -> None:
    counts, _ = flop_count(model, (torch.rand(shape),))
    assert {name: round(value * 1e9) for name, value in counts.items()} == expected


def test_products_by_equation_and_activations_are_counted() -> None:
    class Product(nn.Module):
        def forward(self, a, b, c):
            return torch.einsum("ij,jk,kl->il", a, b, c), torch.einsum("ij,jk->ik", a, b)

    inputs = (torch.rand(2, 3), torch.rand(3, 4), torch.rand(4, 5))
    assert flop_count(Product(), inputs)[0]["einsum"] * 1e9 == pytest.approx(2 * 3 * 4 + 2 * 4 * 5 + 2 * 3 * 4)
    assert activation_count(Outer(), (X,))[0] == {"conv": 30e-6, "linear": 12e-6}


def test_a_report_shows_numbers_table_and_modules() -> None:
    model = Outer()
    report = get_model_complexity_info(model, input_shape=(2, 5))
    assert (report["flops"], report["activations"], report["params"]) == (98, 21, parameter_count(model)[""])
    assert report["params_str"] == "85"
    assert "|  inner.conv" in report["out_table"].replace("|   inner", "|  inner")
    assert "#params: 10, #flops: 8, #acts: 2" in report["out_arch"]
    assert "#flops: N/A" in report["out_arch"]
    big = get_model_complexity_info(
        nn.Conv2d(3, 8, 3), inputs=torch.rand(1, 3, 10, 10), show_table=False, show_arch=False
    )
    assert (big["flops_str"], big["activations_str"], big["out_table"]) == ("13.824K", "0.512K", "")
    with pytest.raises(ValueError, match="give one of input_shape and inputs"):
        get_model_complexity_info(model)


def test_a_shape_that_the_model_does_not_take_is_named_in_numbers() -> None:
    model = Recognizer2D(dict(type="MobileNetV2"), dict(type="TSNHead", num_classes=2, in_channels=1280))
    model.forward = model.extract_feat
    with pytest.raises(ValueError, match=r"got \(1, 3, 32, 32\): set input_format='NCHW' in FormatShape"):
        get_model_complexity_info(model, (3, 32, 32))
