"""The attentive head: clips of a crop are pooled together, crops are averaged."""

import pytest
import torch
from torch import nn

from kinema.errors import ConfigError
from kinema.models.heads.attentive import AttentiveHead, joined_tokens
from kinema.registry import MODELS
from kinema.structures import ActionDataSample


def tiny(**settings: object) -> AttentiveHead:
    torch.manual_seed(0)
    head = MODELS.build(
        {"type": "AttentiveHead", "num_classes": 3, "in_channels": 8, "num_heads": 2, "depth": 2, **settings}
    )
    for parameter in head.parameters():
        nn.init.normal_(parameter, std=0.3)
    return head.eval()


def test_the_tokens_of_the_clips_of_a_crop_are_pooled_together_and_crops_averaged_as_probabilities() -> None:
    head = tiny(num_clips=2, average_clips="prob")
    feats = torch.randn(2 * 3 * 2, 8, 1, 2, 2)  # samples, crops, clips
    samples = head.predict(feats, [ActionDataSample(), ActionDataSample()])
    tokens = feats.flatten(2).transpose(1, 2).reshape(2, 3, 2 * 4, 8)
    for sample, crops in zip(samples, tokens, strict=True):
        scores = torch.stack([head.linear(head.pooler(crop[None])[0, 0]).softmax(-1) for crop in crops]).mean(0)
        assert torch.allclose(sample.pred_score, scores, atol=1e-6)
    apart = tiny(average_clips="prob").predict(feats, [ActionDataSample(), ActionDataSample()])
    assert not torch.allclose(samples[0].pred_score, apart[0].pred_score, atol=1e-4)


def test_a_sample_with_one_clip_is_scored_by_this() -> None:
    head, feats = tiny(num_clips=2, average_clips="prob"), torch.randn(2, 8, 1, 2, 2)
    scores = [sample.pred_score for sample in head.predict(feats, [ActionDataSample(), ActionDataSample()])]
    assert torch.allclose(torch.stack(scores), head(feats).softmax(-1), atol=1e-6)
    labels = [ActionDataSample().set_gt_label(label) for label in (0, 2)]
    assert head.loss(feats, labels)["loss_cls"].item() > 0


def test_levels_are_joined_along_the_tokens() -> None:
    levels = tuple(torch.randn(2, 8, 1, 2, 2) for _ in range(3))
    tokens = joined_tokens(levels)
    assert tokens.shape == (2, 12, 8)
    head = tiny()
    assert torch.allclose(head(levels), head(tokens), atol=1e-6)


def test_other_features_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"AttentiveHead takes features of shape .* got \[\(2, 8\)\]"):
        tiny()(torch.zeros(2, 8))
    with pytest.raises(ConfigError, match=r"gives 9 channels, but AttentiveHead was built with in_channels=8"):
        tiny()(torch.zeros(1, 9, 1, 2, 2))
    with pytest.raises(ConfigError, match="num_clips must be a whole number from 1, got 0"):
        tiny(num_clips=0)
    with pytest.raises(ConfigError, match="num_clips=2 clips together, which do not divide the 3 views of a sample"):
        tiny(num_clips=2).predict(torch.zeros(3, 8, 1, 1, 1), [ActionDataSample()])


def test_a_head_says_when_it_is_built_that_the_encoder_has_other_channels() -> None:
    backbone = {"type": "VJEPA2", "embed_dims": 24, "depth": 2, "num_heads": 2, "out_indices": (0, 1)}
    head = {"type": "AttentiveHead", "num_classes": 3, "in_channels": 8, "num_heads": 2}
    with pytest.raises(ConfigError, match=r"the backbone \(VJEPA2\) gives 24 channels, but AttentiveHead"):
        MODELS.build({"type": "Recognizer3D", "backbone": backbone, "cls_head": head})
