"""Transformers over the patches of clips."""

from pathlib import Path

import pytest
import torch

from kinema.errors import ConfigError
from kinema.models import (
    MViT,
    MViTHead,
    Recognizer3D,
    SwinTransformer3D,
    TimeSformer,
    UniFormer,
    UniFormerHead,
    UniFormerV2,
    VisionTransformer,
)
from kinema.models.layers.pooled_attention import relative_rows
from kinema.models.layers.positions import sinusoid_table
from kinema.models.layers.windows import from_windows, relative_positions, shifted_kinds, to_windows

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


ARCH = dict(embed_dims=8, depths=[2, 2], num_heads=[2, 4])


def swin(**settings: object) -> SwinTransformer3D:
    defaults = {"arch": ARCH, "pretrained2d": False, "window_size": (2, 3, 3), "out_indices": (1,)}
    return SwinTransformer3D(**{**defaults, **settings})


def uniformer(**settings: object) -> UniFormer:
    return UniFormer(**{"depth": [1, 1, 1, 1], "embed_dim": [8, 8, 16, 16], "head_dim": 8, **settings})


def test_windows_join_to_what_they_were_cut_from() -> None:
    clip = torch.randn(2, 4, 6, 9, 5)
    windows = to_windows(clip, (2, 3, 3))
    assert windows.shape == (2 * 2 * 2 * 3, 18, 5)
    assert torch.equal(windows[0], clip[0, :2, :3, :3].reshape(18, 5))
    assert torch.equal(from_windows(windows, (2, 3, 3), (4, 6, 9)), clip)
    index = relative_positions((2, 3, 3))
    assert (index.min(), index.max()) == (0, 3 * 5 * 5 - 1)
    assert len(index.diagonal().unique()) == 1


def test_tokens_that_were_apart_do_not_look_at_each_other() -> None:
    kinds = shifted_kinds((4, 6, 9), (2, 3, 3), (1, 1, 0), torch.device("cpu"))
    assert sorted(torch.cat([kind.numbers for kind in kinds]).tolist()) == list(range(2 * 2 * 3))
    assert [kind.far is None for kind in kinds] == [True, False, False, False]
    assert all(torch.equal(kind.far, kind.far.T) for kind in kinds[1:])
    assert kinds[3].far[0].eq(0).sum() == 1 * 2 * 3  # of the last window in frames and rows


@pytest.mark.parametrize(
    "settings", [{}, dict(with_cp=True, drop_path_rate=0.0), dict(qkv_bias=False, patch_norm=False)]
)
def test_windows_give_maps_of_all_sizes_and_all_weights_are_trained(settings: dict) -> None:
    torch.manual_seed(0)
    model = swin(**settings)
    model.init_weights()
    clips = torch.randn(2, 3, 7, 26, 22)
    out = model.train()(clips)
    assert out.shape == (2, 16, 4, 4, 3)
    out.square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert swin(out_indices=(0, 1)).out_channels == (8, 16)
    assert [tuple(part.shape[1:3]) for part in swin(out_indices=(0, 1))(clips)] == [(8, 4), (16, 4)]


def test_stages_of_windows_can_be_frozen() -> None:
    model = swin(frozen_stages=1).train()
    assert not any(
        parameter.requires_grad for parameter in [*model.patch_embed.parameters(), *model.layers[0].parameters()]
    )
    assert all(parameter.requires_grad for parameter in model.layers[1].parameters())


def test_a_network_of_windows_starts_from_one_over_images(tmp_path: Path) -> None:
    image = swin(window_size=(1, 3, 3), patch_size=(1, 4, 4))
    for parameter in image.parameters():
        torch.nn.init.normal_(parameter)
    state = {
        name.replace("norm1.", "norm.") if name.startswith("norm1.") else name: tensor
        for name, tensor in image.state_dict().items()
    }
    state["patch_embed.proj.weight"] = state["patch_embed.proj.weight"][:, :, 0]
    torch.save({"model": state}, tmp_path / "image.pth")
    model = swin(pretrained2d=True, pretrained=str(tmp_path / "image.pth"))
    model.init_weights()
    table = "layers.1.blocks.0.attn.relative_position_bias_table"
    assert torch.equal(model.state_dict()[table], state[table].repeat(3, 1))
    assert torch.allclose(model.patch_embed.proj.weight.sum(2), state["patch_embed.proj.weight"])
    assert torch.equal(model.norm1.weight, state["norm.weight"])
    wider = swin(pretrained2d=True, pretrained=str(tmp_path / "image.pth"), window_size=(2, 4, 4))
    wider.init_weights()
    assert wider.state_dict()[table].shape == (3 * 7 * 7, 4)


def test_convolutions_and_attention_give_a_map_and_all_weights_are_trained() -> None:
    torch.manual_seed(0)
    model = uniformer(drop_path_rate=0.1)
    model.init_weights()
    clips = torch.randn(2, 3, 4, 64, 32)
    out = model.train()(clips)
    assert out.shape == (2, 16, 2, 2, 1)
    out.square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert uniformer(pretrained="uniformer_small_in1k").pretrained.startswith("https://")


def test_kernels_over_images_are_the_middle_of_those_over_time(tmp_path: Path) -> None:
    source = uniformer()
    state = {name: tensor[:, :, 0] if tensor.dim() == 5 else tensor for name, tensor in source.state_dict().items()}
    torch.save(state, tmp_path / "image.pth")
    model = uniformer(pretrained=str(tmp_path / "image.pth"))
    model.init_weights()
    kernel = model.patch_embed1.proj.weight
    assert torch.equal(kernel[:, :, 1], state["patch_embed1.proj.weight"])
    assert not kernel[:, :, (0, 2)].any()


POOLED = dict(embed_dims=8, num_layers=4, num_heads=1, downscale_indices=[1, 3])


def mvit(**settings: object) -> MViT:
    return MViT(**{"arch": POOLED, "spatial_size": 32, "temporal_size": 4, **settings})


@pytest.mark.parametrize(
    "settings",
    [{}, dict(dim_mul_in_attention=False, drop_path_rate=0.2), dict(use_abs_pos_embed=True), dict(rel_pos_embed=False)],
)
def test_pooled_tokens_give_a_map_and_a_class_token(settings: dict) -> None:
    torch.manual_seed(0)
    model = mvit(**settings)
    model.init_weights()
    for clips in (torch.randn(2, 3, 4, 32, 32), torch.randn(1, 3, 8, 32, 64)):  # other sizes work as well
        ((feature_map, token),) = model.train()(clips)
        batch, _, frames, rows, columns = clips.shape
        assert feature_map.shape == (batch, 32, frames // 2, rows // 16, columns // 16)
        assert token.shape == (batch, 32)
    (feature_map.square().sum() + token.square().sum()).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_pooled_tokens_start_from_tables_of_another_size(tmp_path: Path) -> None:
    source = mvit(spatial_size=64)
    state = {f"backbone.{name}": tensor for name, tensor in source.state_dict().items()}
    state["backbone.patch_embed.projection.weight"] = state["backbone.patch_embed.projection.weight"][:, :, 0]
    torch.save({"state_dict": state}, tmp_path / "source.pth")
    model = mvit(pretrained=str(tmp_path / "source.pth"))
    model.init_weights()
    assert torch.equal(model.blocks[2].attn.qkv.weight, source.blocks[2].attn.qkv.weight)
    assert len(model.blocks[0].attn.rel_pos_h) == 15
    assert torch.allclose(model.patch_embed.projection.weight.sum(2), source.patch_embed.projection.weight[:, :, 0])


def test_scales_of_pooled_tokens_can_be_chosen() -> None:
    model = mvit(out_scales=(0, -1), with_cls_token=False, output_cls_token=False)
    assert model.out_channels == (8, 32)
    assert [tuple(out.shape[1:]) for out in model(torch.randn(1, 3, 4, 32, 32))] == [(8, 2, 8, 8), (32, 2, 2, 2)]
    assert not model.cls_token.requires_grad


def test_distances_of_pooled_keys_are_those_of_their_middle() -> None:
    table = torch.arange(7.0)[:, None]
    assert relative_rows(table, 4, 2)[..., 0].tolist() == [[2, 0], [3, 1], [4, 2], [5, 3]]
    assert relative_rows(table, 2, 2).shape == (2, 2, 1)  # interpolated to 3 distances


def test_a_head_takes_the_class_token_or_the_mean_of_the_map() -> None:
    feats = ([torch.randn(2, 4, 1, 2, 2), torch.randn(2, 4)],)
    head = MViTHead(3, 4, dropout_ratio=0.0, init_scale=0.5)
    torch.manual_seed(0)
    head.init_weights()
    torch.manual_seed(0)
    whole = MViTHead(3, 4, init_scale=1.0)
    whole.init_weights()
    assert head(feats).shape == (2, 3)
    assert torch.equal(head.pre_logits(feats), feats[0][1])
    assert torch.equal(MViTHead(3, 4, with_cls_token=False).pre_logits(feats), feats[0][0].mean((2, 3, 4)))
    with pytest.raises(ConfigError, match="needs a backbone with output_cls_token=True"):
        head((feats[0][0],))


def uniformer_v2(**settings: object) -> UniFormerV2:
    defaults = dict(
        input_resolution=32, width=16, layers=2, heads=2, return_list=[0, 1], n_layers=2, n_dim=16, n_head=2
    )
    return UniFormerV2(**{**defaults, "mlp_dropout": [0.0, 0.0], "clip_pretrained": False, **settings})


@pytest.mark.parametrize("settings", [{}, dict(no_lmhra=False, double_lmhra=True), dict(temporal_downsample=True)])
def test_a_class_token_gathers_a_clip_from_frames(settings: dict) -> None:
    torch.manual_seed(0)
    model = uniformer_v2(**settings)
    model.init_weights()
    clips = torch.randn(2, 3, 4, 32, 32)
    assert model.eval()(clips).shape == (2, 16)
    model.train()(clips).square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    if "no_lmhra" in settings:  # starts as a network over images
        assert all(not block.lmhra1(torch.randn(1, 16, 2, 2, 2)).any() for block in model.transformer.resblocks)


def test_a_network_over_images_starts_one_with_more_patches(tmp_path: Path) -> None:
    source = uniformer_v2()
    state = {
        name: tensor[:, :, 0] if tensor.dim() == 5 and "conv1" in name else tensor
        for name, tensor in source.state_dict().items()
    }
    torch.save(state, tmp_path / "clip.pth")
    model = uniformer_v2(pretrained=str(tmp_path / "clip.pth"), temporal_downsample=True, input_resolution=48)
    model.init_weights()
    assert torch.equal(model.conv1.weight[:, :, 1], state["conv1.weight"])
    assert not model.conv1.weight[:, :, (0, 2)].any()
    assert model.positional_embedding.shape == (10, 16)
    assert torch.equal(model.positional_embedding[0], source.positional_embedding[0])
    assert uniformer_v2(pretrained="ViT-B/16").pretrained.endswith("b8a5da86.pth")


def test_a_head_takes_the_rows_of_a_larger_one(tmp_path: Path) -> None:
    (tmp_path / "map.json").write_text("[4, 0]")
    larger, head = UniFormerHead(5, 3), UniFormerHead(2, 3, channel_map=str(tmp_path / "map.json"))
    head.load_state_dict(larger.state_dict())
    assert torch.equal(head.fc_cls.weight, larger.fc_cls.weight[[4, 0]])
    again = UniFormerHead(2, 3, channel_map=str(tmp_path / "map.json"))
    again.load_state_dict(head.state_dict())
    assert torch.equal(again.fc_cls.bias, head.fc_cls.bias)
    with pytest.raises(ConfigError, match=r"map\.json: channel_map must be a list of num_classes=3 numbers"):
        UniFormerHead(3, 3, channel_map=str(tmp_path / "map.json"))
    without = UniFormerHead(3, 3, channel_map=str(tmp_path / "none.json"))  # as configs are read elsewhere
    without.load_state_dict(UniFormerHead(3, 3).state_dict())
    with pytest.raises(ConfigError, match=r"none\.json: channel_map cannot be read"):
        without.load_state_dict(larger.state_dict())


WRONG = [
    (lambda: uniformer_v2(heads=3), r"UniFormerV2: heads=3 does not divide width=16"),
    (lambda: uniformer_v2(patch_size=15), r"patch_size=15 does not divide input_resolution=32"),
    (lambda: uniformer_v2(n_dim=8), r"n_dim=8 must be width=16"),
    (
        lambda: uniformer_v2(return_list=[0, 2]),
        r"must have n_layers=2 entries, different blocks of 0 to 1, got \[0, 2\]",
    ),
    (lambda: uniformer_v2()(torch.zeros(1, 3, 2, 32, 48)), r"built for 32 x 32 pixels .* have 32 x 48: set the crops"),
    (
        lambda: mvit(pretrained_type="kinetics"),
        r"pretrained_type must be 'imagenet', 'maskfeat' or None, got 'kinetics'",
    ),
    (lambda: mvit(arch="huge"), r"arch must be one of tiny, small, base, large, or a dict, got 'huge'"),
    (lambda: mvit(arch=dict(embed_dims=8)), r"num_layers, num_heads, downscale_indices missing"),
    (lambda: mvit(out_scales=3), r"out_scales must be stages from 0 to 2, got 3"),
    (lambda: mvit(with_cls_token=False), r"output_cls_token=True needs with_cls_token=True"),
    (lambda: mvit(arch={**POOLED, "num_heads": 3}), r"num_heads=3 does not divide embed_dims=8"),
    (lambda: swin(arch="giant"), r"arch must be one of tiny, small, base, large, or a dict, got 'giant'"),
    (
        lambda: swin(arch=dict(embed_dims=8, depths=[2], num_heads=[2, 4])),
        r"must be a dict of embed_dims, depths and num_heads",
    ),
    (
        lambda: swin(arch=dict(embed_dims=8, depths=[1, 1], num_heads=[3, 4])),
        r"num_heads=3 does not divide embed_dims=8",
    ),
    (lambda: swin(out_indices=(2,)), r"out_indices must be stages from 0 to 1, got \(2,\)"),
    (lambda: swin(window_size=(2, 3)), r"window_size must be three numbers"),
    (lambda: uniformer(depth=[1, 1]), r"UniFormer has four stages, got depth=\[1, 1\]"),
    (lambda: uniformer(head_dim=5), r"head_dim=5 does not divide the channels \[16, 16\]"),
    (lambda: videomae(num_heads=3), r"VisionTransformer: num_heads=3 does not divide embed_dims=16"),
    (lambda: videomae(patch_size=15), r"VisionTransformer: patch_size=15 does not divide img_size=32"),
    (lambda: videomae(num_frames=5), r"VisionTransformer: tubelet_size=2 does not divide num_frames=5"),
    (lambda: timesformer(num_heads=5), r"TimeSformer: num_heads=5 does not divide embed_dims=16"),
    (lambda: timesformer(patch_size=10), r"TimeSformer: patch_size=10 does not divide img_size=32"),
    (
        lambda: timesformer(attention_type="time_only"),
        r"attention_type must be one of divided_space_time, .* 'time_only'",
    ),
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
