import pytest
import torch
from torch import nn

from kinema.errors import ConfigError
from kinema.models import AvgConsensus, MViTHead, TPNHead, TRNHead, TSMHead, TSNHead
from kinema.registry import MODELS

FEATS = torch.rand(6, 5, 2, 3)


def slow_scores(head, frames) -> torch.Tensor:
    """The scores of a clip, frame by frame."""
    total = torch.zeros(head.num_classes)
    for frame in frames:
        pooled = torch.stack([channel.sum() / channel.numel() for channel in frame])
        total += head.fc_cls.weight @ pooled + head.fc_cls.bias
    return total / len(frames)


def test_average_consensus_is_the_mean_and_keeps_the_dimension() -> None:
    x = torch.rand(2, 3, 4)
    assert torch.equal(MODELS.build({"type": "AvgConsensus", "dim": 1})(x), x.mean(1, keepdim=True))
    assert AvgConsensus(0)(x).shape == (1, 3, 4)


@torch.no_grad()
def test_both_heads_average_over_frames() -> None:
    for head, scores in (
        ((one := TSNHead(4, 5).eval()), one(FEATS, 3)),
        ((two := TSMHead(4, 5, num_segments=3).eval()), two(FEATS)),
    ):
        torch.testing.assert_close(scores, torch.stack([slow_scores(head, FEATS[:3]), slow_scores(head, FEATS[3:])]))


def test_a_backbone_that_pools_time_leaves_half_the_frames() -> None:
    assert TSMHead(4, 5, num_segments=6, temporal_pool=True)(FEATS).shape == (2, 4)
    assert TSMHead(4, 5, num_segments=6, temporal_pool=True, is_shift=False)(FEATS).shape == (1, 4)


def test_pooled_features_and_other_consensus_are_taken() -> None:
    class First(nn.Module):
        def forward(self, x):
            return x[:, :1]

    head = TSNHead(4, 5, spatial_type=None, consensus=First(), dropout_ratio=0)
    pooled = FEATS.mean((2, 3))
    torch.testing.assert_close(head(pooled, 3), head.fc_cls(pooled[::3]))


def test_dropout_and_initialisation_are_as_set() -> None:
    head = TSNHead(100, 100, dropout_ratio=0.25, init_std=0.2)
    head.init_weights()
    assert head.dropout.p == 0.25
    assert head.fc_cls.weight.std().item() == pytest.approx(0.2, rel=0.1)
    assert TSMHead(4, 5, dropout_ratio=0).dropout is None


def test_wrong_settings_say_what_is_wrong() -> None:
    for kind in (TSNHead, TSMHead):
        with pytest.raises(ValueError, match="spatial_type must be 'avg' or None, got 'max'"):
            kind(4, 5, spatial_type="max")
    with pytest.raises(ConfigError, match="TSMHead joins num_segments=4 frames, which do not divide the 6 frames"):
        TSMHead(4, 5, num_segments=4)(FEATS)
    with pytest.raises(ConfigError, match="gives 5 channels, but TSMHead was built with in_channels=9"):
        TSMHead(4, 9)(FEATS)
    for kind in (TSNHead, TSMHead):
        with pytest.raises(ConfigError, match="consensus joins the segments, so it cannot be None: leave it out for"):
            kind(4, 5, consensus=None)
    message = r"consensus \(AvgConsensus\) must join .* \(2, 3, {}\) to .*, it gives \(2, 3, 1\): .* with dim=1"
    with pytest.raises(ConfigError, match=message.format(5)):
        TSNHead(4, 5, consensus=AvgConsensus(2))(FEATS, 3)
    with pytest.raises(ConfigError, match=message.format(4)):
        TSMHead(4, 5, num_segments=3, consensus=AvgConsensus(2))(FEATS)


def test_features_of_clips_and_of_several_stages_are_sent_to_other_heads() -> None:
    clips = torch.rand(8, 5, 2, 3, 3)
    with pytest.raises(
        ConfigError, match=r"TSNHead joins the frames .* num_segs .*: for a backbone of clips .* I3DHead"
    ):
        TSNHead(4, 5)(clips)
    for kind in (TSMHead, TRNHead):
        with pytest.raises(
            ConfigError, match=rf"{kind.__name__} takes features of frames, .*\(8, 5, 2, 3, 3\): .* I3DHead"
        ):
            kind(4, 5)(clips)
    for kind in (TSNHead, TPNHead, TSMHead, TRNHead):
        with pytest.raises(ConfigError, match=f"gives 2 features, but {kind.__name__} takes one: set out_indices"):
            kind(4, 5)((FEATS, FEATS))


def test_the_token_of_the_last_scale_is_taken_from_a_list_or_a_tuple_of_scales() -> None:
    head, token = MViTHead(5, 4).eval(), torch.rand(2, 4)
    scores = head([torch.rand(2, 4, 1, 1, 1), token])
    for scales in ([[None, token]], ([None, None], [None, token])):
        assert torch.equal(head(scales), scores)
