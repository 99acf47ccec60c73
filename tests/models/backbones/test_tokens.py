"""Transformers over the patches of clips."""

from pathlib import Path

import pytest
import torch

from kinema.errors import ConfigError
from kinema.models import Recognizer3D, TimeSformer, VisionTransformer
from kinema.models.layers.positions import sinusoid_table

KINDS = ("divided_space_time", "joint_space_time", "space_only")
SMALL = dict(embed_dims=16, num_heads=2)


def timesformer(**settings: object) -> TimeSformer:
    return TimeSformer(
        **{"num_frames": 2, "img_size": 32, "patch_size": 16, "num_transformer_layers": 2, **SMALL, **settings}
    )


def videomae(**settings: object) -> VisionTransformer:
    return VisionTransformer(**{"num_frames": 4, "img_size": 32, "depth": 2, **SMALL, **settings})


@pytest.mark.parametrize("kind", KINDS)
def test_a_clip_gives_one_vector_and_all_weights_are_trained(kind: str) -> None:
    torch.manual_seed(0)
    model = timesformer(attention_type=kind)
    model.init_weights()
    if kind == "divided_space_time":  # starts as a network over frames
        assert all(not layer.attentions[0].temporal_fc.weight.any() for layer in model.transformer_layers.layers)
        for layer in model.transformer_layers.layers:
            torch.nn.init.normal_(layer.attentions[0].temporal_fc.weight)
    clips = torch.randn(3, 3, 2, 32, 32)
    assert model.eval()(clips).shape == (3, 16)
    model(clips).square().sum().backward()
    assert all(parameter.grad.any() for parameter in model.parameters())
    assert model.out_channels == 16


def test_the_order_of_frames_counts_unless_each_is_seen_by_itself() -> None:
    torch.manual_seed(0)
    clips = torch.randn(1, 3, 2, 32, 32)
    for kind in KINDS:
        model = timesformer(attention_type=kind).eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        same = torch.allclose(model(clips), model(clips.flip(2)), atol=1e-5)
        assert same == (kind == "space_only")


def test_an_image_transformer_starts_both_attentions(tmp_path: Path) -> None:
    image = timesformer(attention_type="space_only")
    for parameter in image.parameters():
        torch.nn.init.normal_(parameter)
    torch.save({"state_dict": image.state_dict()}, tmp_path / "vit.pth")
    model = timesformer(pretrained=str(tmp_path / "vit.pth"))
    model.init_weights()
    source, layer = image.transformer_layers.layers[1], model.transformer_layers.layers[1]
    for attention in layer.attentions:
        assert torch.equal(attention.attn.in_proj_weight, source.attentions[0].attn.in_proj_weight)
        assert torch.equal(attention.norm.weight, source.norms[0].weight)
    assert torch.equal(layer.ffns[0].norm.bias, source.norms[1].bias)
    assert torch.equal(model.pos_embed, image.pos_embed)
    assert not layer.attentions[0].temporal_fc.weight.any()
    same = timesformer(pretrained=str(tmp_path / "vit.pth"), attention_type="joint_space_time")
    same.init_weights()
    assert torch.equal(
        same.transformer_layers.layers[0].norms[0].weight, image.transformer_layers.layers[0].norms[0].weight
    )


@pytest.mark.parametrize(
    "settings",
    [
        {},
        dict(init_values=0.1, qkv_bias=False),
        dict(use_learnable_pos_emb=True),
        dict(use_mean_pooling=False),
        dict(drop_path_rate=0.5, drop_rate=0.1),
    ],
)
def test_tubelets_give_one_vector_and_all_weights_are_trained(settings: dict) -> None:
    torch.manual_seed(0)
    model = videomae(**settings)
    model.init_weights()
    clips = torch.randn(2, 3, 4, 32, 32)
    assert model.eval()(clips).shape == (2, 16)
    assert torch.equal(model(clips), model(clips))
    model.train()(clips).square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_a_map_of_features_keeps_places_and_times() -> None:
    model = videomae(return_feat_map=True, img_size=48).eval()
    assert model(torch.randn(1, 3, 4, 48, 48)).shape == (1, 16, 2, 3, 3)


def test_positions_are_sines_and_cosines_that_are_no_weights() -> None:
    table = sinusoid_table(5, 4)
    assert table.shape == (1, 5, 4)
    assert table[0, 3].tolist() == pytest.approx([0.1411200, -0.9899925, 0.0299955, 0.9995500])
    model = videomae()
    assert "pos_embed" in model.state_dict()
    assert "pos_embed" not in dict(model.named_parameters())


WRONG = [
    (lambda: videomae(num_heads=3), r"VisionTransformer: num_heads=3 does not divide embed_dims=16"),
    (lambda: videomae(patch_size=15), r"VisionTransformer: patch_size=15 does not divide img_size=32"),
    (lambda: videomae(num_frames=5), r"VisionTransformer: tubelet_size=2 does not divide num_frames=5"),
    (lambda: timesformer(num_heads=5), r"TimeSformer: num_heads=5 does not divide embed_dims=16"),
    (lambda: timesformer(patch_size=10), r"TimeSformer: patch_size=10 does not divide img_size=32"),
    (
        lambda: timesformer(attention_type="time_only"),
        r"attention_type must be one of divided_space_time, .* 'time_only'",
    ),
    (lambda: timesformer(transformer_layers={}), r"transformer_layers must be None: attention_type chooses"),
    (
        lambda: timesformer()(torch.zeros(1, 3, 4, 32, 32)),
        r"built for 2 frames of 32 x 32 .* have 4 of 32 x 32: set clip_len",
    ),
    (
        lambda: videomae()(torch.zeros(1, 3, 4, 64, 32)),
        r"built for 4 frames of 32 x 32 .* have 4 of 64 x 32: set clip_len",
    ),
]


@pytest.mark.parametrize(("call", "message"), WRONG)
def test_what_does_not_fit_is_named(call, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        call()


def test_a_recognizer_trains_and_predicts_with_them() -> None:
    backbone = dict(type="VisionTransformer", num_frames=4, img_size=32, depth=1, **SMALL)
    model = Recognizer3D(backbone, dict(type="TimeSformerHead", num_classes=3, in_channels=16, dropout_ratio=0.5))
    model.init_weights()
    assert model(torch.randn(2, 1, 3, 4, 32, 32), mode="tensor").shape == (2, 16)
    with pytest.raises(ConfigError, match="in_channels=8"):
        Recognizer3D(backbone, dict(type="TimeSformerHead", num_classes=3, in_channels=8))
