"""InternVideo2: its network, its positions, its files."""

import logging
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from kinema.checkpoints.file_formats import load_whole
from kinema.checkpoints.reading import Checkpoint
from kinema.errors import CheckpointError, ConfigError
from kinema.models import InternVideo2, InternVideo2Head
from kinema.models.layers.normed_attention import NormedAttention
from kinema.models.layers.positions import resize_positions, sincos_table

SMALL = dict(num_heads=3, img_size=28, num_frames=2, out_channels=20)


def encoder(**settings: object) -> InternVideo2:
    return InternVideo2(48, 2, **{**SMALL, **settings}).eval()


def randomized(module: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.2)
    return module


def file_of_authors(**changes: Tensor | None) -> dict[str, Tensor]:
    """A fine-tuned file: the encoder's own names, and the classifier's."""
    state = {name: torch.randn_like(tensor) for name, tensor in encoder().state_dict().items()}
    state |= {"fc_norm.weight": torch.randn(20), "fc_norm.bias": torch.randn(20)}
    state |= {"head.weight": torch.randn(5, 20), "head.bias": torch.randn(5)}
    return {name: tensor for name, tensor in (state | changes).items() if tensor is not None}


@pytest.mark.parametrize(
    "settings",
    [{}, dict(sep_pos_embed=True), dict(qk_norm=False, qkv_bias=True, init_values=None), dict(drop_path_rate=0.5)],
)
def test_a_clip_gives_one_vector_and_all_weights_are_trained(settings: dict) -> None:
    model = randomized(encoder(**settings))
    clips = torch.randn(4, 3, 2, 28, 28)
    assert model(clips).shape == (4, model.out_channels) == (4, 20)
    assert torch.allclose(model(clips), model(clips), atol=1e-5)
    model.train()(clips).square().sum().backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_activations_computed_again_change_no_gradient() -> None:
    clips = torch.randn(2, 3, 2, 28, 28)
    gradients = []
    for with_cp in (False, True):
        model = randomized(encoder(with_cp=with_cp)).train()
        model(clips).square().sum().backward()
        gradients.append(model.blocks[0].attn.qkv.weight.grad)
    assert torch.allclose(*gradients, atol=1e-6)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_mixed_precision_gives_nearly_the_same(kind: torch.dtype) -> None:
    model = encoder().to(kind)
    clips = torch.randn(1, 3, 2, 28, 28)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model(clips.to(kind))
    assert mixed.dtype == torch.bfloat16
    expected = model.float()(clips)
    assert torch.allclose(mixed.float(), expected, atol=0.05 * expected.abs().max().item())


def test_queries_and_keys_are_normed_over_all_heads() -> None:
    layer = randomized(NormedAttention(12, 3))
    x = torch.randn(2, 5, 12)
    query, key, value = (x @ layer.qkv.weight.T).chunk(3, -1)

    def normed(y: Tensor, weight: Tensor) -> Tensor:
        return y / (y.square().mean(-1, keepdim=True) + 1e-6).sqrt() * weight

    query, key = normed(query, layer.q_norm.weight), normed(key, layer.k_norm.weight)
    heads = [
        (query[..., part] @ key[..., part].mT / 2).softmax(-1) @ value[..., part]
        for part in (slice(0, 4), slice(4, 8), slice(8, 12))
    ]
    assert torch.allclose(layer(x), layer.proj(torch.cat(heads, -1)), atol=1e-5)


def test_the_mean_of_all_tokens_asks_them_what_they_hold() -> None:
    model = randomized(encoder())
    pool = model.clip_projector
    tokens = model.tokens(torch.randn(2, 3, 2, 28, 28))
    assert tokens.shape == (2, 1 + 8, 48)
    assert {norm.eps for norm in (pool.norm1_q, pool.norm1_k, pool.norm1_v)} == {1e-5}
    assert {norm.eps for norm in model.modules() if isinstance(norm, nn.RMSNorm)} == {1e-6}
    attention = nn.MultiheadAttention(48, 16, batch_first=True)
    own = pool.cross_attn
    with torch.no_grad():
        attention.in_proj_weight.copy_(torch.cat([own.q.weight, own.k.weight, own.v.weight]))
        attention.in_proj_bias.copy_(torch.cat([own.q_bias, own.k_bias, own.v_bias]))
        attention.out_proj.weight.copy_(torch.eye(48))
        attention.out_proj.bias.zero_()
    seen, _ = attention(pool.norm1_q(tokens.mean(1, keepdim=True)), pool.norm1_k(tokens), pool.norm1_v(tokens))
    assert torch.allclose(pool(tokens), own.proj(seen[:, 0]), atol=1e-5)


def test_gelu_is_the_tanh_form_of_the_released_weights_unless_said_otherwise() -> None:
    assert encoder().blocks[0].mlp.act.approximate == "tanh"
    assert encoder(act_cfg=dict(type="GELU")).blocks[0].mlp.act.approximate == "none"


def test_positions_start_as_sines_of_frame_column_and_row() -> None:
    table = sincos_table((3, 2, 2), 16)[0]
    assert table.shape == (12, 16)
    token = table[2 * 4 + 1 * 2 + 0]  # frame 2, row 1, column 0
    angles = torch.tensor([2.0, 0.02])
    assert torch.allclose(token[:4], torch.cat([angles.sin(), angles.cos()]))
    frequencies = 10000 ** (-torch.arange(3) / 3)
    assert torch.allclose(token[4:10], torch.tensor([0.0, 0, 0, 1, 1, 1]))
    assert torch.allclose(token[10:], torch.cat([frequencies.sin(), frequencies.cos()]))
    start = encoder().pos_embed
    assert not start[:, 0].any()
    assert torch.equal(start[:, 1:], sincos_table((2, 2, 2), 48))


def test_positions_of_other_clips_are_stretched_without_the_class() -> None:
    model = randomized(encoder(num_frames=4, img_size=42, pos_grid=(2, 2, 2)))
    assert model.pos_embed.shape == (1, 9, 48)
    positions = model.positions()
    assert torch.equal(positions[:, :1], model.pos_embed[:, :1])
    assert torch.equal(positions[:, 1:], resize_positions(model.pos_embed[:, 1:], (2, 2, 2), (4, 3, 3)))
    assert model(torch.randn(1, 3, 4, 42, 42)).shape == (1, 20)
    # Frames: half-pixel centres, so that new frame 1 lies between old frames 0 and 1, nearer to 0.
    in_time = randomized(encoder(num_frames=4, pos_grid=(2, 2, 2)))
    old = in_time.pos_embed[0, 1:].unflatten(0, (2, 4))
    new = in_time.positions()[0, 1:].unflatten(0, (4, 4))
    assert torch.allclose(new[1], 0.75 * old[0] + 0.25 * old[1], atol=1e-6)


def test_separate_tables_are_added() -> None:
    model = randomized(encoder(sep_pos_embed=True))
    positions = model.positions()[0]
    assert torch.equal(positions[0], model.pos_embed_cls[0, 0])
    assert torch.allclose(positions[1 + 4 + 3], model.pos_embed_temporal[0, 1] + model.pos_embed_spatial[0, 3])
    longer = encoder(sep_pos_embed=True, num_frames=4, img_size=(28, 42), pos_grid=(2, 2, 2))
    assert longer(torch.randn(1, 3, 4, 28, 42)).shape == (1, 20)


def test_a_map_of_features_keeps_places_and_times() -> None:
    model = randomized(encoder(return_feat_map=True, img_size=(28, 42)))
    clips = torch.randn(1, 3, 2, 28, 42)
    assert model(clips).shape == (1, 48, 2, 2, 3)
    assert torch.allclose(model(clips)[0, :, 1, 0, 2], model.tokens(clips)[0, 1 + 6 + 2], atol=1e-4)


@pytest.mark.parametrize("extra_mlp", [False, True])
def test_the_head_norms_and_classifies(extra_mlp: bool) -> None:
    head = randomized(InternVideo2Head(4, 20, extra_mlp=extra_mlp).eval())
    x = torch.randn(2, 20)
    before = x + head.extra_mlp(x) if extra_mlp else x
    assert torch.equal(head(x), head.fc_cls(head.fc_norm(before)))
    assert head.fc_norm.eps == 1e-5
    if extra_mlp:
        assert head.extra_mlp[1].fc1.out_features == 80


def test_a_file_of_the_authors_is_read_in_full(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    state = file_of_authors()
    torch.save({"module": {f"backbone.{name}": tensor for name, tensor in state.items()}}, tmp_path / "model.pth")
    model, head = encoder(), InternVideo2Head(5, 20)
    report = load_whole(tmp_path / "model.pth", model.file_formats, model, head)
    assert report.is_complete
    assert torch.equal(head.fc_cls.weight, state["head.weight"])
    assert torch.equal(head.fc_norm.bias, state["fc_norm.bias"])
    assert torch.equal(model.blocks[1].ls2.gamma, state["blocks.1.ls2.gamma"])
    # A file of the distillation has decoders and no classifier.
    distilled = {name: tensor for name, tensor in state.items() if not name.startswith(("head.", "fc_norm."))}
    distilled |= {"clip_decoder.0.head.weight": torch.zeros(1), "final_clip_decoder.norm.bias": torch.zeros(1)}
    distilled |= {"clip_pos_embed": torch.zeros(1)}
    with caplog.at_level(logging.INFO, "kinema"):
        load_whole(Checkpoint(distilled), model.file_formats, model, head)
    assert "the file has no head: the classifier is new; not needed: clip_decoder.0.head.weight" in caplog.text


@pytest.mark.parametrize(
    ("changes", "settings", "problem"),
    [
        ({"blocks.1.ls2.gamma": None}, {}, r"missing: blocks\.1\.ls2\.gamma"),
        ({}, dict(num_frames=4), r"pos_embed \(1x9x48 there, 1x17x48 here\)\. .* set pos_grid=\(frames, rows"),
        (
            {},
            dict(sep_pos_embed=True),
            "missing: pos_embed_spatial, pos_embed_temporal, pos_embed_cls; unexpected: pos_",
        ),
        ({"extra_mlp.0.weight": torch.zeros(20)}, {}, r"unexpected: extra_mlp\.0\.weight"),
    ],
)
def test_a_file_of_another_network_is_refused(changes: dict, settings: dict, problem: str) -> None:
    model = encoder(**settings)
    with pytest.raises(CheckpointError, match=problem):
        load_whole(Checkpoint(file_of_authors(**changes)), model.file_formats, model, InternVideo2Head(5, 20))


def test_a_file_of_fewer_frames_is_read_where_its_positions_are_to_be_stretched() -> None:
    model = encoder(num_frames=4, pos_grid=(2, 2, 2))
    state = file_of_authors()
    load_whole(Checkpoint(state), model.file_formats, model)
    assert torch.equal(model.pos_embed, state["pos_embed"])


def test_kernels_over_frames_become_kernels_over_tubelets() -> None:
    model, flat = encoder(num_frames=4, tubelet_size=2), encoder()
    state = file_of_authors()
    for network in (model, flat):
        load_whole(Checkpoint(state), network.file_formats, network)
    frames = torch.randn(1, 3, 2, 28, 28)
    twice = frames.repeat_interleave(2, 2)
    assert torch.allclose(model.patch_embed(twice), flat.patch_embed(frames), atol=1e-5)


@pytest.mark.parametrize(
    ("width", "settings", "problem"),
    [
        (48, dict(num_frames=3, tubelet_size=2), "tubelet_size=2 does not divide num_frames=3"),
        (48, dict(img_size=32), "patch_size=14 does not divide img_size=32"),
        (48, dict(img_size=(28, 30)), "patch_size=14 does not divide img_size=30"),
        (48, dict(num_heads=5), "num_heads=5 does not divide embed_dims=48"),
        (48, dict(pool_heads=5), "InternVideo2's pooling: num_heads=5 does not divide embed_dims=48"),
        (24, dict(num_heads=3), "embed_dims=24 is not a multiple of 16"),
        (48, dict(pos_grid=(2, 0, 2)), r"pos_grid must be \(frames, rows, columns\) of tokens, got \(2, 0, 2\)"),
        (48, dict(depth=0), "depth must be a whole number from 1, got 0"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(width: int, settings: dict, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        InternVideo2(width, **{"depth": 1, **SMALL, **settings})


def test_clips_of_another_size_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"built for 2 frames of 28 x 28 pixels .* have 4 frames of 28 x 42: set clip_"
    ):
        encoder()(torch.randn(1, 3, 4, 28, 42))
