"""The cards of V-JEPA 2 and 2.1: sizes and costs of the authors, and their two kinds of files."""

import logging
from pathlib import Path

import pytest
import torch
from torch import nn

import kinema
from kinema.errors import CheckpointError
from kinema.models import complexity, zoo
from kinema.models.backbones.tokens import vjepa_files
from kinema.models.zoo.cards import InputSpec, ModelConfig
from kinema.models.zoo.vjepa import _encoder, _encoder_2_1, _probed
from kinema.registry import MODELS

# Parameters of the encoder, and its billions of multiply-adds for a clip of the card.
OF_ENCODERS = {
    "vjepa2_vit_large": (303_885_312, 828),
    "vjepa2_vit_huge": (631_648_000, None),
    "vjepa2_vit_giant": (1_012_173_952, None),
    "vjepa2_vit_giant_384": (1_012_173_952, 56911),
    "vjepa2_1_vit_base": (86_833_152, 788),
    "vjepa2_1_vit_large": (304_680_960, 2442),
    "vjepa2_1_vit_giant": (1_013_267_968, 56911),
    "vjepa2_1_vit_gigantic": (1_845_216_768, 88238),
}
PROBES = {768: 27_895_470, 1024: 49_514_670, 1280: 77_294_254, 1408: 93_494_190, 1664: 130_514_350}
TINY = InputSpec(4, 2, 2, size=32, short_side=36, in_parts=True)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name == "vjepa2_1_vit_base" else [pytest.mark.slow]) for name in OF_ENCODERS],
)
def test_encoders_and_probes_have_the_size_and_the_cost_of_the_authors(name: str) -> None:
    with torch.device("meta"):
        model = MODELS.build(zoo.model_config(name))
    parameters, cost = OF_ENCODERS[name]
    count = complexity.count_operations(model, zoo.card(name).input.view_shape())
    layers = {layer.path: layer for layer in count.layers}
    assert layers["backbone"].parameters == parameters
    assert layers["cls_head"].parameters == PROBES[model.backbone.embed_dims]
    if cost is not None:
        assert layers["backbone"].multiply_adds / 1e9 == pytest.approx(cost, abs=0.6)


def test_published_probes_see_the_clips_of_their_protocol() -> None:
    pipeline = zoo.video_pipeline(zoo.card("vjepa2_vit_giant_384"))
    assert pipeline[1] == {
        "type": "SegmentSampleFrames",
        "clip_len": 64,
        "frame_interval": 2,
        "num_clips": 2,
        "test_mode": True,
    }
    assert pipeline[3]["scale"] == (-1, 438)
    assert zoo.card("vjepa2_vit_large").input.short_side == 292
    assert zoo.model_config("vjepa2_vit_giant_384")["cls_head"]["num_clips"] == 2
    # A training on clips of one's own lets a clip span them.
    assert zoo.video_pipeline(zoo.card("vjepa2_vit_large"), frame_interval=3)[1]["type"] == "SampleFrames"


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small network in the place of ViT-L."""

    def small(num_classes: int) -> ModelConfig:
        return _probed(num_classes, TINY, _encoder(96, 2, 3))

    monkeypatch.setitem(zoo.cards._builders, "vjepa2_vit_large", small)


def drawn(seed: int, **settings: object) -> nn.Module:
    torch.manual_seed(seed)
    config = _probed(174, TINY, _encoder(96, 2, 3))
    config["cls_head"] |= settings
    return MODELS.build(config)


@pytest.mark.usefixtures("tiny")
def test_encoder_and_probe_come_from_two_files_and_a_probe_alone_is_refused(tmp_path: Path, caplog) -> None:
    source = drawn(1)
    encoder = {f"module.backbone.{name}": tensor for name, tensor in source.backbone.state_dict().items()}
    torch.save({"target_encoder": encoder}, tmp_path / "encoder.pt")
    torch.save({"classifiers": [source.cls_head.state_dict()]}, tmp_path / "probe.pt")
    files = [tmp_path / "encoder.pt", tmp_path / "probe.pt"]
    model = kinema.create_model("vjepa2_vit_large", pretrained=files)
    assert all(
        torch.equal(a, b) for a, b in zip(model.state_dict().values(), source.state_dict().values(), strict=True)
    )
    with caplog.at_level(logging.INFO, "kinema"):
        kinema.create_model("vjepa2_vit_large", num_classes=3, pretrained=files)
    assert "the classifier is new, for 3 classes in place of 174" in caplog.text
    with pytest.raises(CheckpointError, match=r"probe\.pt holds a classifier alone: give the encoder's weights too"):
        kinema.create_model("vjepa2_vit_large", pretrained=files[1])


@pytest.mark.usefixtures("tiny")
def test_a_head_of_transformers_keeps_its_own_settings_and_so_does_what_is_saved(tmp_path: Path) -> None:
    source = drawn(1, num_heads=3, norm_eps=1e-6)
    state = vjepa_files.transformers_encoder(source.backbone) | vjepa_files.transformers_head(source.cls_head)
    torch.save({name: tensor.clone() for name, tensor in state.items()}, tmp_path / "model.pt")
    model = kinema.create_model("vjepa2_vit_large", pretrained=tmp_path / "model.pt").eval()
    assert (model.cls_head.num_heads, model.cls_head.norm_eps) == (3, 1e-6)
    assert {norm.eps for norm in model.cls_head.modules() if isinstance(norm, nn.LayerNorm)} == {1e-6}
    clips = torch.randn(1, 2, 3, 4, 32, 32)
    (expected,) = source.eval()(clips, mode="predict")
    model.save_pretrained(tmp_path / "saved")
    loaded = kinema.load(tmp_path / "saved").model.eval()
    assert torch.allclose(loaded(clips, mode="predict")[0].pred_score, expected.pred_score, atol=1e-6)


def test_2_1_is_built_from_its_own_class() -> None:
    config = _encoder_2_1(1664, 48, 26)
    assert (config["rotary"], config["rescaled_grid"], config["level_norms"]) == ("interleaved", 16, (11, 23, 37, 47))
