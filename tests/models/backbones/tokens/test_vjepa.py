"""The encoders of V-JEPA 2 and 2.1, tiny."""

import pytest
import torch
from torch import nn

from kinema.errors import ConfigError
from kinema.models.backbones.tokens.vjepa import LEVELS, VJEPA2, keep_tokens
from kinema.models.backbones.tokens.vjepa_predictor import VJEPA2Predictor
from kinema.registry import MODELS

OF_2_1 = {
    "rotary": "interleaved",
    "rescaled_grid": 16,
    "image_tubelets": True,
    "modality_embedding": True,
    "level_norms": (0, 2),
}


def tiny(depth: int = 3, **settings: object) -> VJEPA2:
    torch.manual_seed(0)
    encoder = MODELS.build({"type": "VJEPA2", "embed_dims": 24, "depth": depth, "num_heads": 2, **settings})
    for parameter in encoder.parameters():
        nn.init.normal_(parameter, std=0.2)
    return encoder.eval()


def test_tokens_lie_on_the_grid_of_the_clip_whatever_its_size() -> None:
    encoder, clips = tiny(), torch.randn(2, 3, 4, 32, 48)
    features = encoder(clips)
    assert features.shape == (2, 24, 2, 2, 3)
    assert torch.allclose(features.flatten(2).transpose(1, 2), encoder.tokens(clips)[0], atol=1e-5)


def test_masked_tokens_keep_their_places() -> None:
    encoder, clips = tiny(1), torch.randn(2, 3, 4, 32, 32)
    mask = torch.tensor([[1, 3, 6], [0, 2, 7]])
    kept = encoder.tokens(clips, mask)[0]
    # The same with all tokens, of which the hidden ones are seen by nobody.
    hidden = torch.ones(2, 8, dtype=torch.bool).scatter_(1, mask, False)
    tokens = encoder.patch_embed(clips).flatten(2).transpose(1, 2)
    seen = []

    def attend(query, key, value):  # type: ignore[no-untyped-def]
        seen.append(True)
        bias = torch.zeros(2, 1, 1, 8).masked_fill(hidden[:, None, None], -torch.inf)
        return ((query @ key.transpose(-2, -1)) / query.shape[-1] ** 0.5 + bias).softmax(-1) @ value

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kinema.models.layers.prenorm.F.scaled_dot_product_attention", attend)
        everything = encoder.tokens(clips)[0]
    assert seen
    assert tokens.shape == (2, 8, 24)
    assert torch.allclose(kept, everything.gather(1, mask[..., None].expand(-1, -1, 24)), atol=1e-5)


def test_several_masks_give_their_tokens_one_after_the_other() -> None:
    encoder, clips = tiny(), torch.randn(2, 3, 4, 32, 32)
    first, second = torch.tensor([[1, 3], [0, 2]]), torch.tensor([[7, 6], [5, 4]])
    both = encoder.tokens(clips, [first, second])[0]
    assert torch.allclose(both[:2], encoder.tokens(clips, first)[0], atol=1e-6)
    assert torch.allclose(both[2:], encoder.tokens(clips, second)[0], atol=1e-6)


def test_levels_go_through_the_same_norm_or_each_through_its_own() -> None:
    clips = torch.randn(1, 3, 2, 32, 32)
    levels = tiny(out_indices=(0, 2))
    last = tiny()
    assert levels.out_channels == (24, 24)
    assert torch.equal(levels(clips)[1], last(clips))
    first = tiny(1)
    first.load_state_dict({name: last.state_dict()[name] for name in first.state_dict()})
    assert torch.equal(levels(clips)[0], first(clips))
    own = tiny(**OF_2_1, out_indices=(0, 2))
    own.norms_block[0].weight.data.zero_()
    assert own(clips)[0].std((2, 3, 4)).max() < 1e-6
    assert own(clips)[1].std() > 0.1


def test_a_single_frame_has_tubelets_and_an_embedding_of_its_own() -> None:
    encoder = tiny(**OF_2_1)
    frame = torch.randn(1, 3, 1, 32, 32)
    features = encoder(frame)
    assert features.shape == (1, 24, 1, 2, 2)
    assert not torch.allclose(features, encoder(frame.repeat(1, 1, 2, 1, 1)), atol=0.1)
    encoder.video_mod_embed.data.add_(1)
    encoder.patch_embed.proj.weight.data.add_(1)
    assert torch.equal(features, encoder(frame))
    encoder.img_mod_embed.data.add_(torch.linspace(0, 1, 24))
    assert not torch.allclose(features, encoder(frame))


def test_all_norms_of_an_encoder_have_the_eps_of_its_authors() -> None:
    for settings in ({}, OF_2_1):
        norms = [module for module in tiny(**settings).modules() if isinstance(module, nn.LayerNorm)]
        assert len(norms) == (8 if settings else 7)
        assert {norm.eps for norm in norms} == {1e-6}


def test_2_1_has_norms_at_four_depths_of_each_size() -> None:
    assert LEVELS[48] == (11, 23, 37, 47)
    assert all(len(levels) == 4 and levels[-1] == depth - 1 for depth, levels in LEVELS.items())


def test_frozen_stages_hold_embeddings_blocks_and_norms() -> None:
    encoder = tiny(**OF_2_1, frozen_stages=3)
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    half = tiny(frozen_stages=1)
    assert {name.split(".")[1] for name, p in half.named_parameters() if p.requires_grad and "blocks" in name} == {
        "1",
        "2",
    }


def test_what_clips_do_not_go_through_is_not_trained() -> None:
    encoder = tiny(**OF_2_1, out_indices=(0,)).train()
    encoder(torch.randn(1, 3, 2, 32, 32))[0].square().sum().backward()
    trained = {name for name, parameter in encoder.named_parameters() if parameter.requires_grad}
    assert trained == {name for name, parameter in encoder.named_parameters() if parameter.grad is not None}
    assert {name.partition(".")[0] for name in trained} == {"video_mod_embed", "patch_embed", "blocks", "norms_block"}


def test_activations_computed_again_give_the_same_gradients_of_tokens() -> None:
    clips = torch.randn(1, 3, 2, 32, 32)
    plain, again = tiny().train(), tiny(with_cp=True).train()
    for encoder in (plain, again):
        encoder(clips).square().sum().backward()
    assert torch.allclose(plain.blocks[0].attn.qkv.weight.grad, again.blocks[0].attn.qkv.weight.grad, rtol=1e-4)


def test_a_predictor_computes_hidden_tokens_from_visible_ones_and_their_places() -> None:
    predictor = VJEPA2Predictor(24, 12, depth=2, num_heads=2, num_mask_tokens=3)
    torch.manual_seed(0)
    for parameter in predictor.parameters():
        nn.init.normal_(parameter, std=0.3)
    tokens, visible, hidden = torch.randn(1, 8, 24), torch.tensor([[0, 1, 2]]), torch.tensor([[5, 7]])
    predicted = predictor(tokens, (2, 2, 2), visible, hidden)
    assert predicted.shape == (1, 2, 24)
    tokens[:, 3:] = 0  # what is not visible has no effect
    assert torch.allclose(predicted, predictor(tokens, (2, 2, 2), visible, hidden))
    assert torch.allclose(predicted.flip(1), predictor(tokens, (2, 2, 2), visible, hidden.flip(1)), atol=1e-6)
    assert torch.equal(predicted, predictor(tokens, (2, 2, 2), visible, hidden, mask_token=4))
    assert not torch.allclose(predicted, predictor(tokens, (2, 2, 2), visible, hidden, mask_token=2), atol=1e-3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_heads": 5}, "VJEPA2: num_heads=5 does not divide embed_dims=24"),
        ({"num_heads": 12}, "a head of 2 channels is too narrow"),
        ({"rotary": "half"}, "rotary must be one of tiled, interleaved, got 'half'"),
        ({"depth": 0}, "VJEPA2: depth must be a whole number from 1, got 0"),
        ({"out_indices": (3,)}, r"out_indices of VJEPA2 names blocks from 0 to 2, each once, got \(3,\)"),
        ({"level_norms": (1, 1)}, r"level_norms of VJEPA2 names blocks from 0 to 2, each once, got \(1, 1\)"),
        ({"out_indices": ()}, "out_indices of VJEPA2 names no block: leave it out for the last one"),
        ({"level_norms": (0, 1)}, r"level_norms of VJEPA2 must hold the last block, 2, got \(0, 1\)"),
        (
            {"level_norms": (0, 2), "out_indices": (1, 2)},
            r"asks for blocks \[1\], but only \(0, 2\) have a norm \(level_norms\)",
        ),
    ],
)
def test_settings_that_do_not_fit_are_named(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny(**settings)


@pytest.mark.parametrize(
    ("shape", "settings", "message"),
    [
        ((1, 3, 3, 32, 32), {}, "joins tubelet_size=2 frames, which do not divide the 3 of the clips: set clip_len"),
        ((1, 3, 1, 32, 32), {}, "do not divide the 1 of the clips"),
        ((1, 3, 2, 40, 32), {}, r"patches of 16 x 16 pixels \(patch_size\), which do not divide frames of 40 x 32"),
        ((1, 3, 2, 16, 48), OF_2_1, "the clips are 1 x 3 patches"),
    ],
)
def test_clips_that_do_not_fit_are_named(shape: tuple, settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny(**settings)(torch.zeros(shape))


def test_masks_and_predictors_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"of 1 samples with 8 tokens each, got one of shape \(1, 1\) with .* up to 8"):
        keep_tokens(torch.zeros(1, 8, 4), torch.zeros(8, 3), torch.tensor([[8]]))
    with pytest.raises(ConfigError, match="VJEPA2Predictor needs at least 1 mask token, got num_mask_tokens=0"):
        VJEPA2Predictor(24, 12, num_heads=2, num_mask_tokens=0)
