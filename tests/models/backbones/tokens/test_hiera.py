"""Hiera: tokens of mask units, pooled, and what files of its weights may hold."""

import logging
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from kinema.checkpoints.file_formats import load_whole
from kinema.errors import CheckpointError, ConfigError
from kinema.models import Hiera, Recognizer3D, TimeSformerHead, zoo
from kinema.models.backbones.tokens.hiera_layers import UnitAttention, pool, reroll, unroll


def small(**settings: object) -> Hiera:
    """2 x 16 x 16 tokens in 2 x 2 x 2 mask units, four stages."""
    torch.manual_seed(0)
    model = Hiera(64, 4, **{"embed_dims": 8, "stages": (1, 1, 2, 1), **settings})
    model.init_weights()
    return model


@pytest.mark.parametrize(("stride", "poolings"), [((1, 2, 2), 3), ((2, 2, 1), 1), ((1, 3, 2), 2)])
def test_tokens_that_a_pooling_joins_are_neighbours(stride: tuple[int, int, int], poolings: int) -> None:
    units = (2, 2, 3)
    sizes = [count * step**poolings for count, step in zip(units, stride, strict=True)]
    x = torch.randn(2, *sizes, 5)
    tokens = unroll(x, stride, poolings)
    assert tokens.shape == (2, 12, math.prod(stride) ** poolings, 5)
    assert torch.equal(reroll(tokens, units, stride, poolings), x)
    expected = x.permute(0, 4, 1, 2, 3)
    for left in reversed(range(poolings)):
        tokens = pool(tokens, math.prod(stride))
        expected = F.max_pool3d(expected, stride)
        assert torch.equal(reroll(tokens, units, stride, left), expected.permute(0, 2, 3, 4, 1))


def test_attention_stays_in_a_unit_where_it_is_local() -> None:
    torch.manual_seed(0)
    local, everywhere = (UnitAttention(8, 12, 2, 1, is_local, True) for is_local in (True, False))
    everywhere.load_state_dict(local.state_dict())
    x = torch.randn(2, 3, 16, 8)
    by_unit = torch.stack([everywhere(x[:, unit : unit + 1]) for unit in range(3)], 1)[:, :, 0]
    assert torch.allclose(local(x), by_unit, atol=1e-6)
    query, key, value = (part.unflatten(-1, (2, 6)) for part in everywhere.qkv(x.flatten(1, 2)).chunk(3, -1))
    weights = torch.einsum("bnhd,bmhd->bhnm", query, key).div(math.sqrt(6)).softmax(-1)
    expected = everywhere.proj(torch.einsum("bhnm,bmhd->bnhd", weights, value).flatten(2))
    assert torch.allclose(everywhere(x).flatten(1, 2), expected, atol=1e-6)


def test_a_stage_begins_with_the_attention_of_the_one_before() -> None:
    model = Hiera(64, 4, embed_dims=8, stages=(2, 3, 4, 3))
    local = [block.attn.is_local for block in model.blocks]
    assert local == [True] * 2 + [True] * 3 + [True] + [False] * 3 + [False] * 3
    assert [block.attn.joined for block in model.blocks] == [1, 1, 4, 1, 1, 4, 1, 1, 1, 4, 1, 1]
    assert [block.attn.num_heads for block in model.blocks] == [1] * 2 + [2] * 3 + [4] * 4 + [8] * 3
    assert {block.norm1.eps for block in model.blocks} | {model.norm.eps} == {1e-6}


def test_the_shortcut_is_pooled_behind_the_projection_of_the_norm() -> None:
    block = small().blocks[1]
    x = torch.randn(1, 8, 64, 8)
    block.attn.proj.weight.data.zero_()
    block.attn.proj.bias.data.zero_()
    block.mlp.fc2.weight.data.zero_()
    block.mlp.fc2.bias.data.zero_()
    assert torch.allclose(block(x), pool(block.proj(block.norm1(x)), 4))
    assert not torch.allclose(block(x), block.proj(pool(block.norm1(x), 4)))


def test_a_clip_gives_the_norm_of_the_mean_and_a_map_of_each_stage() -> None:
    model = small().eval()
    clips = torch.randn(2, 3, 4, 64, 64)
    maps = model.stage_maps(clips)
    assert [tuple(level.shape) for level in maps] == [
        (2, 8, 2, 16, 16),
        (2, 16, 2, 8, 8),
        (2, 32, 2, 4, 4),
        (2, 64, 2, 2, 2),
    ]
    assert torch.allclose(model(clips), model.norm(maps[-1].mean((2, 3, 4))), atol=1e-6)
    assert (model.out_channels, model.widths) == (64, [8, 16, 32, 64])
    fewer = small(q_pool=2, sep_pos_embed=False).eval()
    assert [tuple(level.shape[2:]) for level in fewer.stage_maps(clips)] == [
        (2, 16, 16),
        (2, 8, 8),
        (2, 4, 4),
        (2, 4, 4),
    ]


def test_a_mask_leaves_units_out() -> None:
    model = small().eval()
    clips = torch.randn(2, 3, 4, 64, 64)
    every = torch.ones(2, 8, dtype=torch.bool)
    assert torch.allclose(model.norm(model(clips, every).mean(1)), model(clips), atol=1e-6)
    some = every.clone()
    some[:, [1, 6]] = False
    assert model(clips, some).shape == (2, 6, 64)
    changed = clips.clone()
    changed[:, :, :2, 36:60, :28] += 1  # seen by unit 2 alone
    assert not torch.allclose(model(changed, some), model(clips, some))
    some[:, 2] = False
    assert torch.equal(model(changed, some), model(clips, some))
    with pytest.raises(ValueError, match=r"the mask of Hiera must be 2 x 8, clips x mask units, got \(2, 4\)"):
        model(clips, every[:, :4])
    every[1, 0] = False
    with pytest.raises(ValueError, match=r"must keep as many units of each clip, got \[8, 7\]"):
        model(clips, every)


def test_every_weight_is_trained_and_activations_may_be_computed_again() -> None:
    plain, again = small(drop_path_rate=0.0), small(with_cp=True)
    again.load_state_dict(plain.state_dict())
    clips = torch.randn(2, 3, 4, 64, 64)
    for model in (plain, again):
        model(clips).square().sum().backward()
    for (name, own), other in zip(plain.named_parameters(), again.parameters(), strict=True):
        assert own.grad.any(), name
        assert torch.allclose(own.grad, other.grad, atol=1e-6), name


def test_a_file_of_meta_is_read_whole(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model, head = small(), TimeSformerHead(5, 64)
    state = {name: torch.randn_like(tensor) for name, tensor in model.state_dict().items()}
    weights = {"head.projection.weight": torch.randn(5, 64), "head.projection.bias": torch.randn(5)}
    torch.save({"model_state": {**state, **weights}}, tmp_path / "hiera.pth")
    load_whole(tmp_path / "hiera.pth", Hiera.file_formats, model, head)
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(head.fc_cls.weight, weights["head.projection.weight"])
    state.pop("norm.bias")
    torch.save({"model_state": state}, tmp_path / "part.pth")
    with pytest.raises(CheckpointError, match="read as Hiera of Meta: missing: norm.bias"):
        load_whole(tmp_path / "part.pth", Hiera.file_formats, model)


def test_a_file_of_masked_autoencoding_gives_the_encoder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model, head = small(), TimeSformerHead(5, 64)
    model.norm.weight.data.fill_(9)
    before = head.fc_cls.weight.clone()
    state = {name: torch.randn_like(t) for name, t in model.state_dict().items() if not name.startswith("norm.")}
    names = ("decoder_pos_embed", "decoder_blocks.0.norm1.weight", "mask_token", "encoder_norm.weight")
    decoder = {name: torch.randn(3) for name in (*names, "multi_scale_fusion_heads.0.bias")}
    torch.save({"model_state": {**state, **decoder}}, tmp_path / "mae.pth")
    with caplog.at_level(logging.INFO, logger="kinema"):
        load_whole(tmp_path / "mae.pth", Hiera.file_formats, model, head)
    assert "the file has no head: the classifier is new; not needed: decoder_pos_embed" in caplog.text
    assert "encoder_norm.weight" in caplog.text
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in state.items())
    assert bool((model.norm.weight == 1).all())
    assert torch.equal(head.fc_cls.weight, before)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stages": (1, 0)}, r"stages must be whole numbers from 1, got \(1, 0\)"),
        ({"q_pool": 4}, "q_pool of Hiera must be from 0 to 3, the stages but one, got 4"),
        ({"mask_unit_attn": (True,)}, r"must have an entry for each of the 4 stages, got \[True\]"),
        ({"mask_unit_size": (1, 4, 4)}, r"power of the 3 stages behind the first, \[1, 8, 8\], got \[1, 4, 4\]"),
        ({"q_stride": (2, 2)}, r"q_stride must be three numbers \(frames, rows, columns\), got \(2, 2\)"),
        (
            {"img_size": 48},
            r"makes 2 x 12 x 12 tokens .* of num_frames and img_size 4 x 48 x 48: mask_unit_size=\[1, 8, 8\]",
        ),
        ({"num_heads": 3}, "Hiera: num_heads=3 does not divide embed_dims=8"),
    ],
)
def test_sizes_that_do_not_fit_one_another_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Hiera(**{"img_size": 64, "num_frames": 4, "embed_dims": 8, "stages": (1, 1, 2, 1), **settings})


def test_clips_of_another_size_are_refused() -> None:
    message = r"built for 4 frames of 64 x 64 pixels \(num_frames, img_size\), but the clips have 4 of 64 x 32"
    with pytest.raises(ConfigError, match=message):
        small()(torch.zeros(1, 3, 4, 64, 32))
    wide = Hiera((64, 32), 4, embed_dims=8, stages=(1, 1, 2, 1))
    assert wide(torch.zeros(1, 3, 4, 64, 32)).shape == (1, 64)


def test_scores_are_made_probabilities_once() -> None:
    head = TimeSformerHead(5, 64, average_clips="prob")
    model = Recognizer3D(small(), head).eval()
    torch.nn.init.normal_(head.fc_cls.weight)
    clips = torch.randn(1, 2, 3, 4, 64, 64)
    with torch.no_grad():
        (sample,) = model(clips, mode="predict")
        logits = head(model.backbone(clips[0]))
    assert torch.allclose(sample.pred_score, logits.softmax(-1).mean(0), atol=1e-6)


def test_the_cards_normalise_as_the_weights_were_trained() -> None:
    for name in zoo.names("hiera_*"):
        spec = zoo.card(name).input
        assert ({value / 255 for value in spec.mean}, {value / 255 for value in spec.std}) == ({0.45}, {0.225})
        assert (spec.clip_len, spec.frame_interval, spec.num_clips, spec.size) == (16, 4, 5, 224)
        assert zoo.card(name).weights.non_commercial
        assert zoo.card(name).encoder.non_commercial
