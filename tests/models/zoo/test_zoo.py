import json
import logging
import re

import pytest
import torch
import torch.nn.functional as F

import kinema
from kinema.errors import ConfigError
from kinema.models import Recognizer3D, zoo
from kinema.models.backbones.clips import movinet
from kinema.models.layers.bricks.drop import DropPath
from kinema.models.zoo.cards import Card, Weights
from kinema.models.zoo.creation import published_weights
from kinema.registry import MODELS
from kinema.structures import ActionDataSample

FIXED_SIZE = {"c3d"}  # its last layers are linear over all places
ANY_SIZE = {"SwinTransformer3D", "UniFormer"}  # of the networks over tokens
OPENMMLAB = "https://download.openmmlab.com/mmaction/"
CLASSES = {"UCF101": 101, "Something-Something V1": 174, "Something-Something V2": 174, "Moments in Time V1": 339} | {
    f"Kinetics-{count}": count for count in (400, 600, 700, 710)
}


def architectures() -> list[str]:
    """The first name of each network: others differ by their weights and number of classes alone."""
    kinds: dict[str, str] = {}
    for name in zoo.names():
        kinds.setdefault(repr((zoo.model_config(name, 5), zoo.card(name).input.view_shape())), name)
    return list(kinds.values())


def every_model(*, computed: bool) -> list[object]:
    """All names that can be computed here, of some size and on small clips, or all others; large models are slow."""
    return [
        pytest.param(name, marks=[pytest.mark.slow] if zoo.card(name).params_millions > 1 else [])
        for name in architectures()
        if computed == takes_small_clips(name)
    ]


def takes_small_clips(name: str) -> bool:
    """Networks over tokens mostly have positions for clips of one size, or are large."""
    kind, size = zoo.model_config(name)["backbone"]["type"], zoo.card(name).params_millions
    return size < 30 and kind in ANY_SIZE if ".tokens." in MODELS.get(kind).__module__ else size < 80


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
    """Set norms that start at 0 to 1, and drop no branch: behind one of them nothing gets a gradient."""
    for module in model.modules():
        if isinstance(module, DropPath):
            module.drop_prob = 0.0
        weight = getattr(module, "weight", None)
        if isinstance(weight, torch.nn.Parameter) and weight.dim() == 1 and not weight.any():
            torch.nn.init.ones_(weight)
        if isinstance(module, movinet.Block):  # its branch starts at 0
            torch.nn.init.ones_(module.alpha)


class Scores(torch.nn.Module):
    """What is exported: inputs -> (B, N)."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.stack([sample.pred_score for sample in self.model(inputs, mode="predict")])


def as_tuple(one: object) -> tuple:
    return one if isinstance(one, tuple) else (one,)


@pytest.mark.parametrize("name", every_model(computed=False))
def test_large_models_take_the_clips_of_their_cards_and_train_all_parameters(name: str) -> None:
    """The contract without values, so that no model is too large."""
    spec = zoo.card(name).input
    with torch.device("meta"):
        model = MODELS.build(zoo.model_config(name, num_classes=5))
        other = MODELS.build(zoo.model_config(name, num_classes=5))
        clips = torch.empty(2, *spec.view_shape()[1:])
        labels = torch.empty(2, dtype=torch.long)
    assert list(other.state_dict()) == list(model.state_dict())
    samples = [ActionDataSample().set_gt_label(label) for label in (0, 4)]
    features, options = model.extract_feat(clips, data_samples=samples)
    auxiliary = options.pop("loss_aux", {})
    scores = model.cls_head(features, **options)
    assert scores.shape == (2, 5)
    loss = F.cross_entropy(scores, labels) + sum(auxiliary.values())
    loss.backward()
    trained = [(key, one) for key, one in model.named_parameters() if one.requires_grad]
    assert len(trained) > 0.9 * len(list(model.parameters()))
    assert [key for key, one in trained if one.grad is None] == []


@pytest.mark.filterwarnings("ignore:(?s).*get_attr:UserWarning")  # of an export, in torch 2.6
@pytest.mark.parametrize("name", every_model(computed=True))
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
def test_every_result_says_its_data_and_protocol(name: str) -> None:
    card = zoo.card(name)
    assert 0 < card.result.top1 < (card.result.top5 or 100)
    assert re.fullmatch(r"\d+ x \d+", card.result.protocol)
    assert card.result.size in (card.input.size, card.input.short_side)
    assert card.num_classes == CLASSES.get(card.result.dataset, card.num_classes)


@pytest.mark.parametrize("name", [name for name in zoo.names() if zoo.card(name).weights or zoo.card(name).encoder])
def test_published_weights_say_their_licence_and_their_data(name: str) -> None:
    card = zoo.card(name)
    for weights in filter(None, (card.weights, card.encoder)):
        assert re.fullmatch(
            r"https://\S+(\.(pth|pt|pyth|bin|safetensors|npz|ckpt)|_statedict_v3\?raw=true)", weights.url
        )
        assert re.fullmatch(r"Apache-2\.0|MIT|BSD-3-Clause|CC-BY(-NC)?-4\.0|CC-BY-NC-SA-4\.0", weights.licence)
        assert "Trained on " in weights.origin
        assert weights.origin.endswith("the data's own terms apply.")
    if card.weights:
        assert f"Trained on {card.result.dataset}" in card.weights.origin


def of_openmmlab() -> list[str]:
    cards = map(zoo.card, zoo.names())
    return [card.name for card in cards if card.weights and card.weights.url.startswith(OPENMMLAB)]


@pytest.mark.parametrize("name", of_openmmlab())
def test_files_of_openmmlab_are_those_of_the_network_and_the_data(name: str) -> None:
    card = zoo.card(name)
    file = card.weights.url.rpartition("/")[2]
    assert re.search(r"_20\d{6}-[0-9a-f]{8}\.pth$", file)
    assert name.partition("_")[0] in file
    assert all(depth in file for depth in re.findall(r"r\d+", name))
    assert card.weights.licence == "Apache-2.0" or "whose licence this is" in card.weights.origin
    slug = {"UCF101": "ucf101", "Moments in Time V1": "mitv1"}.get(card.result.dataset)
    slug = slug or card.result.dataset.replace("Something-Something V", "sthv").replace("Kinetics-", "kinetics-?")
    assert re.search(rf"[-_]{slug}(-rgb)?_", file)
    # The name says how clips were sampled: frames, their distance (SlowFast: of its slow pathway),
    # clips in training; or frames spread over the video.
    sampled = re.search(r"[-_](\d+)x(\d+)x(\d+)[-_]", file)
    if sampled is None:
        assert card.input.spread
        assert re.search(rf"[-_]u{card.input.clip_len}[-_]", file)
    else:
        frames, interval, clips = map(int, sampled.groups())
        assert frames * interval == card.input.clip_len * card.input.frame_interval
        if card.input.format_shape == "NCHW":
            assert clips == card.input.num_clips
    if f"/{card.result.config}" not in card.weights.url:  # an older release, or a converted file
        assert name == "ipcsn_r152" or "converted from" in card.weights.origin


def test_weights_that_are_not_for_commerce_are_loaded_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    free = zoo.card("slowonly_r50")
    bound = Weights("https://example.org/a.pth", "CC-BY-NC-4.0", "Published by A.")
    assert (free.weights.non_commercial, bound.non_commercial) == (False, True)
    card = Card("net", "A net.", 1, 1, "A 2020", free.input, encoder=bound)
    with caplog.at_level(logging.WARNING, "kinema"):
        assert published_weights(free) == free.weights.url
        assert not caplog.records
        assert published_weights(card) == bound.url
    assert "net: the licence of these weights, CC-BY-NC-4.0, forbids commercial use" in caplog.text


def test_no_two_models_have_the_same_weights() -> None:
    # An encoder may have several probes.
    weights = [card.weights for card in map(zoo.card, zoo.names()) if card.weights]
    addresses = [(one.url, one.head_url) for one in weights]
    assert len(set(addresses)) == len(addresses)
    alone = [card.encoder.url for card in map(zoo.card, zoo.names()) if card.encoder]
    assert len(set(alone)) == len(alone)


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
    with pytest.raises(
        ConfigError, match=r"other libraries go into a config, as backbone=dict\(type='timm\.resnet18'\)"
    ):
        zoo.card("timm.resnet18")
    with pytest.raises(ConfigError, match="a model needs at least 1 class, got num_classes=0"):
        zoo.model_config("compact3d", 0)


def test_a_second_model_of_a_name_is_refused() -> None:
    def compact3d(num_classes: int) -> dict:
        return {}

    with pytest.raises(ConfigError, match=r"the zoo has a model 'compact3d' already, from kinema\.models\.zoo"):
        zoo.model(params_millions=1, gflops=1, source="", inputs=zoo.card("compact3d").input)(compact3d)
