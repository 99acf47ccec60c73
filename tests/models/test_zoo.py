import json
import re

import pytest
import torch

import kinema
from kinema.errors import ConfigError
from kinema.models import Recognizer3D, zoo
from kinema.registry import MODELS
from kinema.structures import ActionDataSample

FIXED_SIZE = {"c3d"}  # its last layers are linear over all places


def every_model() -> list[object]:
    """All names; large models are slow."""
    return [
        pytest.param(name, marks=[pytest.mark.slow] if zoo.card(name).params_millions > 3 else [])
        for name in zoo.names()
    ]


def clips_for(name: str, views: int = 1) -> torch.Tensor:
    """Clips of two samples, smaller than those of the card where the architecture allows."""
    spec = zoo.card(name).input
    # Attention over a single place, and a channel that sees a single place, get no gradient.
    smallest = 64 if "_nl" in name or "csn" in name else 32
    size, frames = (spec.size, spec.clip_len) if name == "c3d" else (min(spec.size, smallest), min(spec.clip_len, 8))
    torch.manual_seed(0)
    if spec.format_shape == "NCHW":
        return torch.randn(2, views * spec.num_frames, spec.channels, size, size)
    return torch.randn(2, views, spec.channels, frames, size, size)


def open_residuals(model: torch.nn.Module) -> None:
    """Set norms that start at 0 to 1: behind one of them nothing gets a gradient in the first step."""
    for module in model.modules():
        weight = getattr(module, "weight", None)
        if isinstance(weight, torch.nn.Parameter) and weight.dim() == 1 and not weight.any():
            torch.nn.init.ones_(weight)


class Scores(torch.nn.Module):
    """What is exported: inputs -> (B, N)."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.stack([sample.pred_score for sample in self.model(inputs, mode="predict")])


def as_tuple(one: object) -> tuple:
    return one if isinstance(one, tuple) else (one,)


@pytest.mark.filterwarnings("ignore:(?s).*get_attr:UserWarning")  # of an export, in torch 2.6
@pytest.mark.parametrize("name", every_model())
def test_every_model_keeps_the_contract(name: str) -> None:
    model = zoo.create_model(name, num_classes=5)
    open_residuals(model)
    # It trains every parameter.
    samples = [ActionDataSample().set_gt_label(label) for label in (0, 4)]
    loss, _ = model.parse_losses(model(clips_for(name), samples, mode="loss"))
    loss.backward()
    assert [key for key, one in model.named_parameters() if one.grad is None or not one.grad.abs().sum()] == []
    model.zero_grad(set_to_none=True)
    # In evaluation it is itself, deterministic, and the same after its state went elsewhere.
    assert model.eval() is model
    scores, inputs = Scores(model), clips_for(name, 2)[:1]
    other = MODELS.build(zoo.model_config(name, num_classes=5)).eval()
    assert list(other.state_dict()) == list(model.state_dict())
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        first = scores(inputs)
        assert first.shape == (1, 5)
        assert first.sum().item() == pytest.approx(1, abs=1e-5)
        assert torch.equal(first, scores(inputs))
        assert torch.equal(first, Scores(other)(inputs))
        # It says how many channels it gives,
        features = as_tuple(model.backbone(inputs.flatten(0, 1)))
        assert tuple(feature.shape[1] for feature in features) == as_tuple(model.backbone.out_channels)
        # takes inputs of other sizes,
        if name not in FIXED_SIZE:
            assert scores(torch.nn.functional.pad(inputs, (0, 16, 0, 32))).shape == (1, 5)
        # and gives the same after export.
        exported = torch.export.export(scores, (inputs,)).module()
        assert torch.allclose(exported(inputs), first, atol=1e-5)


@pytest.mark.parametrize("name", zoo.names())
def test_every_card_is_json_and_says_what_its_model_is(name: str) -> None:
    card = zoo.card(name)
    read = json.loads(json.dumps(card.as_dict()))
    assert read["name"] == name
    assert re.fullmatch(r"[A-Z0-9].*\.", read["description"])
    assert read["num_classes"] == zoo.model_config(name)["cls_head"]["num_classes"]
    normalize = zoo.model_config(name)["data_preprocessor"]
    assert (read["input"]["mean"], read["input"]["std"]) == (list(normalize["mean"]), list(normalize["std"]))
    assert normalize["format_shape"] == read["input"]["format_shape"]


@pytest.mark.parametrize("name", [name for name in zoo.names() if zoo.card(name).result])
def test_published_weights_are_those_of_the_result(name: str) -> None:
    card = zoo.card(name)
    assert 0 < card.result.top1 < (card.result.top5 or 100)
    assert re.fullmatch(r"\d+ x \d+", card.result.protocol)
    assert card.result.size in (card.input.size, card.input.short_side)
    classes = {"Kinetics-400": 400, "UCF101": 101, "Something-Something V1": 174, "Something-Something V2": 174}
    assert card.num_classes == classes[card.result.dataset]
    if card.weights is None:
        assert name == "tsm_mobilenetv2"
        return
    assert re.fullmatch(r"https://download\.openmmlab\.com/mmaction/\S+_20\d{6}-[0-9a-f]{8}\.pth", card.weights.url)
    file = card.weights.url.rpartition("/")[2]
    assert name.partition("_")[0] in file
    assert all(depth in file for depth in re.findall(r"r\d+", name))
    slug = {"Kinetics-400": "kinetics400", "UCF101": "ucf101"}.get(
        card.result.dataset, f"sthv{card.result.dataset[-1]}"
    )
    assert re.search(rf"[-_]{slug}[-_]rgb_", file)
    # The name says how clips were sampled: frames, their distance (SlowFast: of its slow pathway),
    # clips in training.
    frames, interval, clips = map(int, re.search(r"[-_](\d+)x(\d+)x(\d+)[-_]", file).groups())
    assert frames * interval == card.input.clip_len * card.input.frame_interval
    if card.input.format_shape == "NCHW":
        assert clips == card.input.num_clips
    if name != "ipcsn_r152":  # the file of an older release
        assert f"/{card.result.config}" in card.weights.url
    assert card.weights.licence == "Apache-2.0"
    assert f"Trained on {card.result.dataset}" in card.weights.origin
    assert card.weights.origin.endswith("the data's own terms apply.")


def test_no_two_models_have_the_same_weights() -> None:
    addresses = [card.weights.url for card in map(zoo.card, zoo.names()) if card.weights]
    assert len(set(addresses)) == len(addresses)


def test_inputs_say_the_shape_of_a_view() -> None:
    shapes = {name: zoo.card(name).input.view_shape() for name in ("slowonly_r50", "tsn_r50", "c2d_r50_nopool")}
    assert shapes == {
        "slowonly_r50": (1, 1, 3, 4, 224, 224),
        "tsn_r50": (1, 8, 3, 224, 224),
        "c2d_r50_nopool": (1, 8, 3, 224, 224),
    }
    # Of flow, 5 frames of 2 values make an image of 10 channels, and a frame of a clip has 2.
    assert zoo.card("tsn_r50_flow").input.view_shape() == (1, 3, 10, 224, 224)
    assert zoo.card("slowonly_r50_flow").input.view_shape(frames=4, size=32) == (1, 1, 2, 4, 32, 32)


def test_a_model_is_created_by_name_and_initialised() -> None:
    model = kinema.create_model("compact3d", num_classes=3)
    assert isinstance(model, Recognizer3D)
    assert model.is_init
    assert model.cls_head.num_classes == 3
    assert kinema.list_models("comp*") == ["compact3d"]
    assert zoo.names("nothing*") == []
    assert kinema.create_model("compact3d").cls_head.num_classes == zoo.card("compact3d").num_classes


def test_a_card_can_be_changed_without_changing_the_zoo() -> None:
    zoo.card("compact3d").training["optim_wrapper"]["optimizer"]["lr"] = 9
    assert zoo.card("compact3d").training["optim_wrapper"]["optimizer"]["lr"] != 9


def mutable_parts(part: object) -> list[object]:
    """All dicts, lists and other objects of a config that can be changed."""
    if isinstance(part, str | int | float | None):
        return []
    children = part.values() if isinstance(part, dict) else part if isinstance(part, list | tuple) else ()
    own = [] if isinstance(part, tuple) else [part]
    return own + [inner for child in children for inner in mutable_parts(child)]


def test_no_two_configs_share_an_object_that_can_be_changed() -> None:
    configs = [zoo.model_config(name) for name in (*zoo.names(), *zoo.names())]
    parts = [part for config in configs for part in mutable_parts(config)]
    assert len(parts) > 3 * len(configs)
    assert len({id(part) for part in parts}) == len(parts)


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
        zoo.model(params_millions=1, gflops=1, source="", inputs=zoo.card("compact3d").input)(compact3d)
