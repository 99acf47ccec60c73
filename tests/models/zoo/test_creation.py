"""Models by name, with weights, and back into a folder."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import kinema
from kinema.errors import CheckpointError, ConfigError
from kinema.models import load_checkpoint, save_pretrained, zoo
from kinema.models.zoo.creation import _checkpoint_activations, _published_classes
from kinema.registry import MODELS

SMALL = "tsm_mobilenetv2"


def test_weights_of_a_file_leave_a_classifier_for_other_classes_fresh_and_say_so(tmp_path: Path, caplog) -> None:
    source = kinema.create_model(SMALL, num_classes=7)
    torch.save({"state_dict": source.state_dict()}, tmp_path / "a.pth")
    with caplog.at_level(logging.INFO, logger="kinema"):
        model = kinema.create_model(SMALL, num_classes=3, pretrained=tmp_path / "a.pth")
    assert torch.equal(model.backbone.conv1.conv.weight, source.backbone.conv1.conv.weight)
    assert model.cls_head.fc_cls.weight.shape == (3, 1280)
    (record,) = [one for one in caplog.records if "a.pth" in one.message]
    assert record.levelno == logging.INFO
    assert "the classifier is new, for 3 classes in place of 7" in record.message
    with caplog.at_level(logging.INFO, logger="kinema"):
        same = kinema.create_model(SMALL, num_classes=7, pretrained=tmp_path / "a.pth")
    assert torch.equal(same.cls_head.fc_cls.weight, source.cls_head.fc_cls.weight)


def test_classes_of_a_larger_data_set_become_those_of_the_model_by_a_label_map(tmp_path: Path) -> None:
    source = kinema.create_model(SMALL, num_classes=7)
    torch.save({"state_dict": source.state_dict()}, tmp_path / "a.pth")
    (tmp_path / "map.json").write_text("[4, 0, 6]")
    chosen = {"pretrained": tmp_path / "a.pth", "label_map": tmp_path / "map.json"}
    model = kinema.create_model(SMALL, num_classes=3, **chosen)
    assert torch.equal(model.cls_head.fc_cls.weight, source.cls_head.fc_cls.weight[[4, 0, 6]])
    with pytest.raises(ConfigError, match="label_map must be a list of num_classes=4 numbers from 0, got 3"):
        kinema.create_model(SMALL, num_classes=4, **chosen)
    with pytest.raises(ConfigError, match=f"{SMALL}: label_map takes classes of weights: name these by pretrained"):
        kinema.create_model(SMALL, num_classes=3, label_map=tmp_path / "map.json")


def test_published_weights_are_fetched_by_the_card(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    url = zoo.card("x3d_s").weights.url
    cached = tmp_path / "hub" / "checkpoints" / url.rpartition("/")[2]
    cached.parent.mkdir(parents=True)
    # A file that somebody put there by hand, but another one than was published.
    torch.save(MODELS.build(zoo.model_config("x3d_s")).state_dict(), cached)
    with pytest.raises(CheckpointError, match="x3d_s_13x6x1_facebook-kinetics400-rgb_20201027-623825a0"):
        kinema.create_model("x3d_s", pretrained=True)


def test_a_model_without_published_weights_says_so() -> None:
    with pytest.raises(ConfigError, match="compact3d: nobody published weights of it; pretrained may also be a file"):
        kinema.create_model("compact3d", pretrained=True)
    with pytest.raises(ConfigError, match=f"{SMALL}: its weights are not published"):
        kinema.create_model(SMALL, pretrained=True)


@pytest.mark.parametrize("name", ["tsn_r18", "x3d_xs"])
def test_activations_computed_again_give_the_same_gradients(name: str) -> None:
    torch.manual_seed(0)
    plain = kinema.create_model(name, num_classes=3)
    again = kinema.create_model(name, num_classes=3, activation_checkpointing=True)
    again.load_state_dict(plain.state_dict())
    inputs = torch.randn(zoo.card(name).input.view_shape(size=32)).repeat_interleave(2, 0)
    for model in (plain, again):
        model.train()
        features = model.backbone(inputs.flatten(0, 1))
        features.sum().backward()
    gradients = [dict(model.named_parameters())["backbone.layer1.0.conv1.conv.weight"].grad for model in (plain, again)]
    assert torch.allclose(*gradients, atol=1e-4)


WITHOUT_BLOCKS = ("c3d", "compact3d", "tsm_mobileone_s4")


@pytest.mark.slow
def test_every_residual_model_can_compute_activations_again() -> None:
    smallest: dict[str, tuple[float, dict]] = {}
    for name in zoo.names():
        config = zoo.model_config(name)
        if name in WITHOUT_BLOCKS:
            continue
        _checkpoint_activations(name, config)
        backbone, size = config["backbone"], zoo.card(name).params_millions
        kind = " ".join(str(part["type"]) for part in (backbone, *filter(_is_part, backbone.values())))
        smallest[kind] = min(smallest.get(kind, (size, backbone)), (size, backbone), key=lambda pair: pair[0])
    for _, backbone in smallest.values():
        with torch.device("meta"):
            network = MODELS.build(backbone)
        assert any(getattr(module, "with_cp", False) for module in network.modules())


@pytest.mark.parametrize("name", WITHOUT_BLOCKS)
def test_networks_without_residual_blocks_refuse_to_compute_activations_again(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}: [A-Za-z0-9]+ has no residual blocks, so no activations"):
        kinema.create_model(name, activation_checkpointing=True)


def _is_part(value: object) -> bool:
    return isinstance(value, dict) and "type" in value


def test_activation_checkpointing_of_one_model_leaves_the_others_alone() -> None:
    before = {name: zoo.model_config(name) for name in zoo.names()}
    for name in ("tsn_r18", "slowfast_r50"):
        with torch.device("meta"):
            model = kinema.create_model(name, activation_checkpointing=True)
        assert any(getattr(module, "with_cp", False) for module in model.modules())
    assert {name: zoo.model_config(name) for name in zoo.names()} == before


def test_a_created_model_is_saved_with_all_that_prediction_needs(tmp_path: Path, make_video) -> None:
    model = kinema.create_model("compact3d", num_classes=2)
    folder = model.save_pretrained(tmp_path / "saved", classes=["sit", "run"])
    recognizer = kinema.load(folder)
    assert recognizer.classes == ("sit", "run")
    assert recognizer.contract.zoo_name == "compact3d"
    assert recognizer.predict(make_video()).label in ("sit", "run")
    assert "A video action recognizer (`compact3d`): CompactNet3D with I3DHead" in (folder / "README.md").read_text()
    assert load_checkpoint(kinema.create_model("compact3d", num_classes=2), folder, strict=True).is_complete


def test_what_could_not_be_loaded_again_is_not_saved(tmp_path: Path) -> None:
    model = kinema.create_model("compact3d", num_classes=2)
    with pytest.raises(CheckpointError, match="not saved: 3 class names for 2 classes"):
        model.save_pretrained(tmp_path / "a", classes=["a", "b", "c"])
    config = zoo.model_config("compact3d", 2)
    built = MODELS.build(config)
    with pytest.raises(CheckpointError, match="not saved, for it could not be loaded again: give model=CONFIG"):
        built.save_pretrained(tmp_path / "a")
    with pytest.raises(CheckpointError, match=r"give pipeline=\[\.\.\.\], which opens and decodes a video"):
        built.save_pretrained(tmp_path / "a", model=config)
    assert not list(tmp_path.iterdir())
    pipeline = zoo.video_pipeline(zoo.card("compact3d"))
    assert kinema.load(built.save_pretrained(tmp_path / "a", model=config, pipeline=pipeline)).classes == ()


def test_networks_over_optical_flow_take_no_video_files(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="tsn_r50_flow takes optical flow, which video files do not hold: write a config"
    ):
        zoo.video_pipeline(zoo.card("tsn_r50_flow"))


def test_a_card_without_classes_and_numbers_is_short(tmp_path: Path) -> None:
    folder = save_pretrained(torch.nn.Linear(2, 2), tmp_path / "a", config={}, card=True)
    text = (folder / "README.md").read_text()
    assert "A video action recognizer: a network, 0.00 million parameters." in text
    assert "## Classes" not in text
    assert "## Input" not in text


def test_published_weights_bring_the_names_of_their_classes() -> None:
    def classes(name: str, num_classes: int) -> tuple[str, ...]:
        card = zoo.card(name)
        return _published_classes(card, SimpleNamespace(num_classes=num_classes))

    assert classes("slowonly_r50", 400)[6] == "arm wrestling"
    assert classes("slowonly_r50", 7) == ()
    assert classes("compact3d", zoo.card("compact3d").num_classes) == ()
    for card in map(zoo.card, zoo.names()):
        if card.weights is not None and card.result.dataset in ("Kinetics-400", "Something-Something V2"):
            # Classes in an order of their own have no names here.
            expected = 0 if card.weights.own_order else card.num_classes
            assert len(classes(card.name, card.num_classes)) == expected, card.name
