from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from kinema.errors import CheckpointError, ConfigError
from kinema.models.pretraining import MaskedAutoencoder
from kinema.models.pretraining.masks import running_cell_mask, tube_mask
from kinema.registry import MODELS
from kinema.structures import ActionDataSample

BACKBONE = dict(type="VisionTransformer", img_size=16, patch_size=4, embed_dims=24, depth=2, num_heads=2, num_frames=4)
DECODER = dict(embed_dims=16, depth=1, num_heads=2)
MEAN, STD = [120.0, 110.0, 100.0], [60.0, 50.0, 40.0]
NORMALISED = dict(type="ActionDataPreprocessor", mean=MEAN, std=STD, format_shape="NCTHW")


def small(seed: int = 0, **settings: Any) -> MaskedAutoencoder:
    torch.manual_seed(seed)
    settings = {"decoder": DECODER, "mask_ratio": 0.75, "data_preprocessor": NORMALISED, **settings}
    model = MODELS.build({"type": "MaskedAutoencoder", "backbone": BACKBONE, **settings})
    model.init_weights()
    assert isinstance(model, MaskedAutoencoder)
    return model


def pixels(batch: int = 2) -> Tensor:
    return torch.rand(batch, 3, 4, 16, 16, generator=torch.Generator().manual_seed(1)) * 255


def normalised(clips: Tensor) -> Tensor:
    mean, std = (torch.tensor(values).view(3, 1, 1, 1) for values in (MEAN, STD))
    return (clips - mean) / std


def written_out(model: MaskedAutoencoder, clips: Tensor, hidden: Tensor, asked: Tensor) -> list[float]:
    """Loss of each clip, tubelet by tubelet."""
    backbone, decoder = model.backbone, model.decoder
    losses = []
    for clip, own_hidden, own_asked in zip(clips, hidden, asked, strict=True):
        all_tokens = (backbone.patch_embed(normalised(clip)[None]) + backbone.pos_embed)[0]
        seen = [n for n in range(32) if not own_hidden[n]]
        x = all_tokens[seen][None]
        for block in backbone.blocks:
            x = block(x)
        places = model.decoder_positions[0]
        x = model.encoder_to_decoder(backbone.norm(x))[0] + places[seen]
        questions = [n for n in range(32) if own_asked[n]]
        x = torch.cat([x, model.mask_token[0] + places[questions]])[None]
        for block in decoder.blocks:
            x = block(x)
        predicted = decoder.head(decoder.norm(x))[0, len(seen) :]
        errors = []
        for place, values in zip(questions, predicted, strict=True):
            if not own_hidden[place]:
                continue
            frame, row, column = place // 16, place // 4 % 4, place % 4
            cube = clip[:, 2 * frame : 2 * frame + 2, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] / 255
            channels = [(c - c.mean()) / (c.std() + 1e-6) for c in cube] if model.normalize_target else list(cube)
            target = torch.stack(channels, dim=-1).flatten()  # the channels of a pixel stand side by side
            errors.append((values - target).square().mean())
        losses.append(torch.stack(errors).mean().item())
    return losses


@pytest.mark.parametrize("normalize", [True, False])
def test_the_loss_is_the_mean_square_error_at_hidden_tubelets(normalize: bool) -> None:
    model = small(normalize_target=normalize).eval()
    torch.manual_seed(5)
    loss = model(normalised(pixels()), mode="loss")["loss_reconstruction"]
    torch.manual_seed(5)
    hidden = tube_mask(2, model.grid, 0.75)
    expected = written_out(model, pixels(), hidden, hidden)
    assert loss.item() == pytest.approx(sum(expected) / 2, rel=1e-4)


def test_dual_masking_counts_hidden_tubelets_that_the_decoder_is_asked_for() -> None:
    model = small(decoder_mask_ratio=0.5).eval()
    torch.manual_seed(6)
    samples = model(normalised(pixels(1)), mode="predict")
    generator = torch.Generator().manual_seed(0)
    hidden = tube_mask(1, model.grid, 0.75, generator=generator)
    asked = ~running_cell_mask(1, model.grid, 0.5, generator=generator)
    assert samples[0].reconstruction_error.item() == pytest.approx(
        written_out(model, pixels(1), hidden, asked)[0], rel=1e-4
    )


@torch.no_grad()
def test_prediction_hides_the_same_each_time_and_training_does_not() -> None:
    model = small().eval()
    clips = normalised(pixels())
    given = [ActionDataSample(), ActionDataSample()]
    first, second = model(clips, given, mode="predict"), model(clips, mode="predict")
    assert first[0] is given[0]
    assert [float(s.reconstruction_error) for s in first] == [float(s.reconstruction_error) for s in second]
    losses = [model(clips, mode="loss")["loss_reconstruction"].item() for _ in range(2)]
    assert losses[0] != losses[1]


def test_views_are_clips_of_their_own() -> None:
    model = small().eval()
    clips = normalised(pixels(4))
    tokens = model(clips.view(2, 2, 3, 4, 16, 16))
    torch.testing.assert_close(tokens, model(clips))
    assert len(model(clips.view(2, 2, 3, 4, 16, 16), mode="predict")) == 2


def test_all_tokens_are_those_of_the_backbone() -> None:
    model = small().eval()
    clips = normalised(pixels())
    x = model.backbone.patch_embed(clips) + model.backbone.pos_embed
    for block in model.backbone.blocks:
        x = block(x)
    torch.testing.assert_close(model(clips), model.backbone.norm(x), rtol=1e-4, atol=1e-5)


def test_a_reconstruction_keeps_what_was_seen() -> None:
    model = small().eval()
    result = model.reconstruct(normalised(pixels()), seed=2)
    torch.testing.assert_close(result.clips, pixels() / 255, rtol=1e-4, atol=1e-5)
    assert result.hidden.float().mean() == 0.75
    seen = ~result.hidden[:, None].expand_as(result.clips)
    assert torch.equal(result.filled[seen], result.clips[seen])
    assert not torch.equal(result.filled[~seen], result.clips[~seen])


def test_a_perfect_decoder_would_give_the_clips_back() -> None:
    model = small().eval()
    clips = normalised(pixels())
    patches = model._patches(clips)
    target = model._target(model._pixels(patches))

    def answers(tokens: Tensor, visible: Tensor, asked: Tensor) -> Tensor:
        return target.gather(1, asked[..., None].expand(-1, -1, target.shape[-1]))

    model._predict = answers  # type: ignore[method-assign]
    torch.testing.assert_close(model.reconstruct(clips).filled, pixels() / 255, rtol=1e-4, atol=1e-4)


def test_training_changes_every_parameter() -> None:
    model = small(decoder_mask_ratio=0.5)
    model(normalised(pixels()), mode="loss")["loss_reconstruction"].backward()
    without = [name for name, value in model.named_parameters() if value.grad is None or not value.grad.any()]
    assert not without


def test_without_a_preprocessor_pixels_are_taken_as_they_are() -> None:
    model = small(data_preprocessor=None, normalize_target=False).eval()
    torch.testing.assert_close(model.reconstruct(pixels()).clips, pixels() / 255)


def test_a_decoder_is_half_as_wide_as_its_encoder_where_nothing_is_said() -> None:
    backbone = dict(BACKBONE, embed_dims=384, num_heads=6, depth=1)
    with torch.device("meta"):
        decoder = MaskedAutoencoder(backbone).decoder
    assert (decoder.embed_dims, len(decoder.blocks), decoder.blocks[0].attn.num_heads) == (192, 4, 3)


def test_a_recognizer_starts_from_the_weights(tmp_path: Path) -> None:
    model = small()
    torch.save(model.state_dict(), tmp_path / "pretrained.pth")
    recognizer = MODELS.build(
        dict(
            type="Recognizer3D",
            backbone=dict(BACKBONE, pretrained=str(tmp_path / "pretrained.pth")),
            cls_head=dict(type="TimeSformerHead", num_classes=3, in_channels=24),
        )
    )
    recognizer.init_weights()
    own, given = recognizer.backbone.state_dict(), model.backbone.state_dict()
    assert set(own) - set(given) == {"fc_norm.weight", "fc_norm.bias"}
    assert all(torch.equal(own[name], given[name]) for name in own if name in given)


# ---- files


def file_of_the_authors(seed: int = 9) -> dict[str, Tensor]:
    """Weights under the names of a VideoMAE pretraining, for the small model."""
    shapes: dict[str, tuple[int, ...]] = {
        "mask_token": (1, 1, 16),
        "encoder_to_decoder.weight": (16, 24),
        "encoder.patch_embed.proj.weight": (24, 3, 2, 4, 4),
        "encoder.patch_embed.proj.bias": (24,),
        "encoder.norm.weight": (24,),
        "encoder.norm.bias": (24,),
        "decoder.norm.weight": (16,),
        "decoder.norm.bias": (16,),
        "decoder.head.weight": (96, 16),
        "decoder.head.bias": (96,),
    }
    for block, width in (("encoder.blocks.0", 24), ("encoder.blocks.1", 24), ("decoder.blocks.0", 16)):
        for name in ("norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias", "attn.proj.bias", "mlp.fc2.bias"):
            shapes[f"{block}.{name}"] = (width,)
        shapes |= {f"{block}.attn.q_bias": (width,), f"{block}.attn.v_bias": (width,)}
        shapes |= {f"{block}.attn.qkv.weight": (3 * width, width), f"{block}.attn.proj.weight": (width, width)}
        shapes |= {f"{block}.mlp.fc1.weight": (4 * width, width), f"{block}.mlp.fc1.bias": (4 * width,)}
        shapes[f"{block}.mlp.fc2.weight"] = (width, 4 * width)
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def test_a_pretraining_file_of_the_authors_is_read_in_full(tmp_path: Path) -> None:
    weights = file_of_the_authors()
    torch.save({"model": weights, "epoch": 799}, tmp_path / "checkpoint.pth")
    model = small(pretrained=tmp_path / "checkpoint.pth")
    assert torch.equal(model.backbone.blocks[1].mlp.layers[0][0].weight, weights["encoder.blocks.1.mlp.fc1.weight"])
    assert torch.equal(model.decoder.blocks[0].attn.q_bias, weights["decoder.blocks.0.attn.q_bias"])
    assert torch.equal(model.mask_token, weights["mask_token"])
    assert torch.equal(model.backbone.patch_embed.projection.bias, weights["encoder.patch_embed.proj.bias"])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"decoder.norm.bias": None}, r"missing: decoder\.norm\.bias"),
        ({"decoder.blocks.1.norm1.bias": torch.zeros(16)}, r"unexpected: decoder\.blocks\.1\.norm1\.bias"),
        ({"mask_token": torch.zeros(1, 1, 8)}, r"mask_token \(1x1x8 there, 1x1x16 here\)"),
    ],
)
def test_a_file_that_does_not_fit_in_full_is_refused(
    tmp_path: Path, change: dict[str, Tensor | None], problem: str
) -> None:
    weights = {name: tensor for name, tensor in {**file_of_the_authors(), **change}.items() if tensor is not None}
    torch.save({"model": weights}, tmp_path / "checkpoint.pth")
    with pytest.raises(CheckpointError, match=problem):
        small(pretrained=tmp_path / "checkpoint.pth")


def test_a_pretraining_resumes_from_weights_of_its_own(tmp_path: Path) -> None:
    before = small(seed=4)
    torch.save(before.state_dict(), tmp_path / "own.pth")
    after = small(seed=5, pretrained=tmp_path / "own.pth").state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.state_dict().items())


# ---- what is refused


def test_clips_of_another_size_are_refused() -> None:
    with pytest.raises(ConfigError, match="built for 4 frames of 16 x 16 pixels .* the clips have 4 of 24 x 16"):
        small()(torch.zeros(1, 3, 4, 24, 16))
    with pytest.raises(ValueError, match=r"takes clips \(B, 3, T, H, W\) or .* got \(1, 4, 4, 16, 16\)"):
        small()(torch.zeros(1, 4, 4, 16, 16))
    with pytest.raises(ValueError, match="mode must be 'tensor', 'loss' or 'predict', got 'train'"):
        small()(pixels(), mode="train")


def test_a_backbone_without_tokens_is_refused() -> None:
    with pytest.raises(ConfigError, match="hides tokens of a VisionTransformer .*got a CompactNet3D"):
        MaskedAutoencoder(MODELS.build(dict(type="CompactNet3D")))
    with pytest.raises(ConfigError, match="needs use_mean_pooling=False"):
        MaskedAutoencoder(MODELS.build(BACKBONE))


@pytest.mark.parametrize(
    ("decoder", "problem"),
    [
        (dict(width=8), "decoder has no setting 'width': it has embed_dims, depth, num_heads, mlp_ratio"),
        (dict(depth=0), "depth of the decoder must be a whole number from 1, got 0"),
        (dict(embed_dims=7.5), r"embed_dims of the decoder must be a whole number from 1, got 7\.5"),
        (dict(embed_dims=16, num_heads=3), "decoder: num_heads=3 does not divide embed_dims=16"),
        (dict(embed_dims=16, num_heads=2, mlp_ratio=0), "mlp_ratio of the decoder must be above 0, got 0"),
    ],
)
def test_a_decoder_of_nonsense_is_refused(decoder: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        small(decoder=decoder)


def test_ratios_are_checked_when_the_model_is_built() -> None:
    with pytest.raises(ConfigError, match="mask_ratio=1 hides 16 of the 16 patches"):
        small(mask_ratio=1.0)
    with pytest.raises(ConfigError, match="decoder_mask_ratio must be"):
        small(decoder_mask_ratio=0.6)
