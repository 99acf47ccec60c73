import json

import pytest
import torch

import kinema
from kinema.errors import ConfigError
from kinema.models import Recognizer3D, zoo
from kinema.registry import MODELS
from kinema.structures import ActionDataSample

# Sizes that differ from another model only in depth, frames or places: built and counted, but not run, for they take minutes.
TWINS = {"slowonly_r101", "slowonly_r50_8x8", "slowfast_r101", "slowfast_r50_8x8", "ircsn_r152", "tsn_r101", "tsm_r101"} | {
    "tsm_r50_16f", "tsn_r18", "i3d_r50_nl_gaussian", "i3d_r50_nl_dot_product", "tsm_r50_nl_gaussian", "x3d_l", "x3d_xs", "x3d_m"
}  # fmt: skip


def every_model() -> list[object]:
    """All names but twins; large models are slow."""
    return [
        pytest.param(name, marks=[pytest.mark.slow] if zoo.card(name).params_millions > 3 else [])
        for name in zoo.names()
        if name not in TWINS
    ]


def clips_for(name: str, views: int = 1) -> torch.Tensor:
    """Clips of two samples, smaller than those of the card where the architecture allows."""
    spec = zoo.card(name).input
    # Attention over a single place, and a channel that sees a single place, get no gradient.
    smallest = 64 if "_nl_" in name or "csn" in name else 32
    size, frames = (spec.size, spec.clip_len) if name == "c3d" else (min(spec.size, smallest), min(spec.clip_len, 8))
    torch.manual_seed(0)
    if spec.format_shape == "NCHW":
        return torch.randn(2, views * spec.num_clips, 3, size, size)
    return torch.randn(2, views, 3, frames, size, size)


def open_residuals(model: torch.nn.Module) -> None:
    """Set norms that start at 0 to 1: behind one of them nothing gets a gradient in the first step."""
    for module in model.modules():
        weight = getattr(module, "weight", None)
        if isinstance(weight, torch.nn.Parameter) and weight.dim() == 1 and not weight.any():
            torch.nn.init.ones_(weight)


@pytest.mark.parametrize("name", every_model())
def test_every_model_trains_every_parameter(name: str) -> None:
    model = zoo.create_model(name, num_classes=5)
    open_residuals(model)
    samples = [ActionDataSample().set_gt_label(label) for label in (0, 4)]
    loss, _ = model.parse_losses(model(clips_for(name), samples, mode="loss"))
    loss.backward()
    assert [key for key, one in model.named_parameters() if one.grad is None or not one.grad.abs().sum()] == []


@pytest.mark.parametrize("name", every_model())
def test_every_model_predicts_the_same_twice_and_after_a_state_round_trip(name: str) -> None:
    model = zoo.create_model(name, num_classes=5).eval()
    other = MODELS.build(zoo.model_config(name, num_classes=5)).eval()
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        first, again, copied = (one(clips_for(name, 2), mode="predict")[0] for one in (model, model, other))
    assert first.pred_score.shape == (5,)
    assert first.pred_score.sum().item() == pytest.approx(1, abs=1e-5)
    assert torch.equal(first.pred_score, again.pred_score)
    assert torch.equal(first.pred_score, copied.pred_score)


@pytest.mark.parametrize("name", zoo.names())
def test_every_card_tells_the_parameters_and_is_json(name: str) -> None:
    card = zoo.card(name)
    with torch.device("meta"):
        model = MODELS.build(zoo.model_config(name, num_classes=card.num_classes))
    counted = sum(one.numel() for one in model.parameters()) / 1e6
    assert card.params_millions == pytest.approx(counted, rel=0.02)
    assert json.loads(json.dumps(card.as_dict()))["input"]["clip_len"] == card.input.clip_len


def test_a_model_is_created_by_name_and_initialised() -> None:
    model = kinema.create_model("compact3d", num_classes=3)
    assert isinstance(model, Recognizer3D)
    assert model.is_init
    assert model.cls_head.num_classes == 3
    assert kinema.list_models("comp*") == ["compact3d"]
    assert zoo.names("nothing*") == []


def test_a_card_can_be_changed_without_changing_the_zoo() -> None:
    zoo.card("compact3d").training["optim_wrapper"]["optimizer"]["lr"] = 9
    assert zoo.card("compact3d").training["optim_wrapper"]["optimizer"]["lr"] != 9


def test_wrong_requests_name_the_way_out() -> None:
    with pytest.raises(ConfigError, match=r"no model is called 'compakt3d': did you mean compact3d\?"):
        zoo.create_model("compakt3d", num_classes=3)
    with pytest.raises(ConfigError, match=r"no model is called 'zzz': there are: .*compact3d"):
        zoo.card("zzz")
    with pytest.raises(ConfigError, match="a model needs at least 1 class, got num_classes=0"):
        zoo.model_config("compact3d", 0)


def test_a_second_model_of_a_name_is_refused() -> None:
    def compact3d(num_classes: int) -> dict:
        return {}

    with pytest.raises(ConfigError, match=r"the zoo has a model 'compact3d' already, from kinema\.models\.zoo"):
        zoo.model(params_millions=1, source="", inputs=zoo.card("compact3d").input)(compact3d)
