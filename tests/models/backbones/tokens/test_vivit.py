"""ViViT and the files of transformers for it and for TimeSformer."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from kinema.checkpoints.file_formats import load_whole
from kinema.errors import CheckpointError, ConfigError
from kinema.models import TimeSformer, TimeSformerHead, ViViT
from kinema.models.backbones.tokens import timesformer_files
from kinema.models.backbones.tokens.vivit import (
    classifier_of_transformers,
    names_of_transformers,
    older_names_of_transformers,
)
from kinema.models.layers.positions import resize_positions

SMALL = {"img_size": 32, "num_frames": 4, "embed_dims": 24, "depth": 2, "num_heads": 2}
CLIPS = torch.randn(2, 3, 4, 32, 32, generator=torch.Generator().manual_seed(0))
Views = Callable[[nn.Module], dict[str, Tensor]]


def filled(network: nn.Module) -> nn.Module:
    torch.manual_seed(1)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return network.eval()


def timesformer(**settings: object) -> TimeSformer:
    sizes = {"num_frames": 4, "img_size": 32, "patch_size": 16, "embed_dims": 24, "num_heads": 2}
    return TimeSformer(**{**sizes, "num_transformer_layers": 2, **settings})


def test_a_clip_gives_the_class_token_and_all_weights_are_trained() -> None:
    network = ViViT(**SMALL, drop_path_rate=0.1)
    network.init_weights()
    assert network.cls_token.any()
    assert network.pos_embed.any()
    assert network.grid_size == (2, 2, 2)
    filled(network)
    assert torch.equal(network(CLIPS), network.tokens(CLIPS)[:, 0])
    assert not torch.allclose(network(CLIPS), network(CLIPS.flip(2)))
    torch.manual_seed(0)
    network.train()(CLIPS).square().sum().backward()
    assert all(parameter.grad.any() for parameter in network.parameters())


@pytest.mark.parametrize("views", [names_of_transformers, older_names_of_transformers])
def test_both_kinds_of_names_that_transformers_writes_are_read_in_full(tmp_path: Path, views: Views) -> None:
    source, head = filled(ViViT(**SMALL)), filled(TimeSformerHead(3, 24))
    weights = {f"vivit.{name}": tensor.clone() for name, tensor in views(source).items()}
    weights |= {name: tensor.clone() for name, tensor in classifier_of_transformers(head).items()}
    torch.save(weights, tmp_path / "vivit.pt")
    network, own_head = ViViT(**SMALL).eval(), TimeSformerHead(3, 24).eval()
    assert load_whole(tmp_path / "vivit.pt", network.file_formats, network, own_head).is_complete
    assert torch.equal(own_head(network(CLIPS)), head(source(CLIPS)))
    weights["vivit.pooler.dense.weight"] = torch.zeros(24, 24)
    torch.save(weights, tmp_path / "vivit.pt")
    again = ViViT(**SMALL, pretrained=str(tmp_path / "vivit.pt")).eval()
    again.init_weights()
    assert torch.equal(again(CLIPS), source(CLIPS))


@pytest.mark.parametrize("kind", ["divided_space_time", "joint_space_time", "space_only"])
@pytest.mark.parametrize(
    ("views", "prefix"),
    [(timesformer_files.names_of_transformers, "timesformer."), (timesformer_files.names_of_authors, "model.")],
)
def test_timesformer_is_read_from_files_of_transformers_and_of_its_authors(
    tmp_path: Path, kind: str, views: Views, prefix: str
) -> None:
    source = filled(timesformer(attention_type=kind))
    weights = {f"{prefix}{name}": tensor.clone() for name, tensor in views(source).items()}
    torch.save({"model_state": weights}, tmp_path / "timesformer.pt")
    network = timesformer(attention_type=kind, pretrained=str(tmp_path / "timesformer.pt"))
    network.init_weights()
    assert torch.equal(network.eval()(CLIPS), source(CLIPS))
    weights[f"{prefix}extra"] = torch.zeros(1)
    torch.save({"model_state": weights}, tmp_path / "timesformer.pt")
    with pytest.raises(CheckpointError, match="unexpected: extra"):
        network.load_pretrained(str(tmp_path / "timesformer.pt"))


def test_timesformer_has_as_many_hidden_channels_and_as_much_drop_path_as_asked_for() -> None:
    network = timesformer(feedforward_channels=40, drop_path_rate=0.5)
    layer = network.transformer_layers.layers[-1]
    assert layer.ffns[0].layers[0][0].out_features == 40
    assert layer.attentions[0].dropout_layer.drop_prob == 0.5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_heads": 5}, "ViViT: num_heads=5 does not divide embed_dims=24"),
        ({"tubelet_size": (3, 16, 16)}, r"tubelet_size=\(3, 16, 16\) does not divide num_frames=4"),
        ({"tubelet_size": (2, 16, 64)}, r"tubelet_size=\(2, 16, 64\) does not divide img_size=32"),
        ({"pos_grid": (2, 2)}, r"ViViT: pos_grid must be \(frames, rows, columns\) of tokens, got \(2, 2\)"),
        ({"tubelet_size": (2, 16)}, r"tubelet_size is \(frames, rows, columns\), got \(2, 16\)"),
    ],
)
def test_what_does_not_fit_together_is_said_in_one_line(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ViViT(**{**SMALL, **settings})


def test_clips_of_another_size_are_refused() -> None:
    message = r"4 frames of 32 x 32 pixels \(num_frames, img_size\), but the clips have 2 of 32 x 48: set clip_len and"
    with pytest.raises(ConfigError, match=message):
        ViViT(**SMALL)(torch.zeros(1, 3, 2, 32, 48))


def test_positions_of_other_clips_are_stretched() -> None:
    """In transformers this takes the table for a square of places, and fails."""
    small = filled(ViViT(**SMALL))
    large = ViViT(**{**SMALL, "img_size": (48, 64), "num_frames": 8}, pos_grid=(2, 2, 2)).eval()
    large.load_state_dict(small.state_dict())
    native = ViViT(**{**SMALL, "img_size": (48, 64), "num_frames": 8}).eval()
    positions = resize_positions(small.pos_embed.detach(), (2, 2, 2), (4, 3, 4), num_first=1)
    native.load_state_dict({**small.state_dict(), "pos_embed": positions})
    clips = torch.randn(1, 3, 8, 48, 64)
    assert torch.equal(large(clips), native(clips))


@pytest.mark.parametrize("kind", ["divided_space_time", "joint_space_time", "space_only"])
def test_timesformer_takes_the_nearest_positions_for_other_clips(kind: str) -> None:
    small = filled(timesformer(attention_type=kind))
    large = timesformer(attention_type=kind, num_frames=6, img_size=64, pos_grid=(4, 2, 2)).eval()
    large.load_state_dict(small.state_dict())
    native = timesformer(attention_type=kind, num_frames=6, img_size=64).eval()
    places = [0, *(1 + 2 * (row // 2) + column // 2 for row in range(4) for column in range(4))]
    weights = {**small.state_dict(), "pos_embed": small.pos_embed[:, places]}
    if kind != "space_only":
        weights["time_embed"] = small.time_embed[:, [0, 0, 1, 2, 2, 3]]
    native.load_state_dict(weights)
    clips = torch.randn(1, 3, 6, 64, 64)
    torch.testing.assert_close(large(clips), native(clips))
    with pytest.raises(ConfigError, match=r"pos_grid must be \(frames, rows, columns\) of patches, got \(2, 2\)"):
        timesformer(pos_grid=(2, 2))


def test_tokens_of_timesformer_lie_place_by_place_with_time_fastest() -> None:
    network = filled(timesformer())
    for layer in network.transformer_layers.layers:  # of which nothing passes, so that tokens stay where they are
        for name, weight in layer.named_parameters():
            if "temporal_fc" in name or "out_proj" in name or "layers.1" in name:
                nn.init.zeros_(weight)
    clips = CLIPS[:1].clone()
    clips[:, :, 1, 16:, :16] += 1  # the third place, at the second time
    changed = (network.tokens(clips) - network.tokens(CLIPS[:1])).abs().sum(2)[0].nonzero().flatten()
    assert changed.tolist() == [1 + 2 * 4 + 1]
