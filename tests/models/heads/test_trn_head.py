from itertools import combinations

import numpy as np
import pytest
import torch

from kinema.errors import ConfigError
from kinema.models import TRNHead
from kinema.models.heads import RelationModule, RelationModuleMultiScale


def of_frames(layers, x: torch.Tensor, frames) -> torch.Tensor:
    """What the layers of a scale say of some frames of (B, T, C)."""
    return layers(torch.cat([x[:, frame] for frame in frames], 1))


def test_all_frames_in_their_order_make_one_relation() -> None:
    module = RelationModule(4, 3, 5)
    x = torch.randn(2, 3, 4)
    torch.testing.assert_close(module(x), of_frames(module.classifier, x, (0, 1, 2)))


@torch.no_grad()
def test_training_adds_up_three_drawn_subsets_of_each_scale() -> None:
    module = RelationModuleMultiScale(4, 5, 6).train()
    x = torch.randn(2, 5, 4)
    np.random.seed(3)
    scores = module(x)
    np.random.seed(3)
    expected = torch.zeros(2, 6)
    for scale, layers in zip((5, 4, 3, 2), module.fc_fusion_scales, strict=True):
        relations = list(combinations(range(5), scale))
        for drawn in np.random.choice(len(relations), min(3, len(relations)), replace=False):
            expected += of_frames(layers, x, relations[drawn])
    torch.testing.assert_close(scores, expected)


@torch.no_grad()
def test_evaluation_takes_the_expectation_of_the_draws() -> None:
    module = RelationModuleMultiScale(4, 5, 6).eval()
    x = torch.randn(2, 5, 4)
    expected = torch.zeros(2, 6)
    for scale, layers in zip((5, 4, 3, 2), module.fc_fusion_scales, strict=True):
        relations = list(combinations(range(5), scale))
        mean = torch.stack([of_frames(layers, x, relation) for relation in relations]).mean(0)
        expected += min(3, len(relations)) * mean
    torch.testing.assert_close(module(x), expected)
    assert torch.equal(module(x), module(x))


def test_the_head_has_the_names_and_shapes_of_published_files() -> None:
    state = {name: tuple(one.shape) for name, one in TRNHead(174, 2048).state_dict().items()}
    assert list(state)[:2] == ["consensus.fc_fusion_scales.0.1.weight", "consensus.fc_fusion_scales.0.1.bias"]
    assert list(state)[-2:] == ["fc_cls.weight", "fc_cls.bias"]
    assert state["consensus.fc_fusion_scales.0.1.weight"] == (256, 2048)
    assert state["consensus.fc_fusion_scales.6.3.weight"] == (174, 256)
    assert state["fc_cls.weight"] == (256, 2048)
    assert len(state) == 30


def test_the_head_gives_a_row_a_view() -> None:
    head = TRNHead(6, 5, num_segments=3, hidden_dim=4, dropout_ratio=0).eval()
    head.init_weights()
    feats = torch.rand(6, 5, 2, 2)
    expected = head.consensus(head.fc_cls(feats.mean((2, 3))).unflatten(0, (2, 3)))
    torch.testing.assert_close(head(feats, num_segs=6), expected)
    assert head.fc_cls.weight.std() < 0.005
    assert head.consensus.fc_fusion_scales[0][1].weight.std() > 0.05
    assert TRNHead(6, 5, relation_type="TRN", num_segments=3)(feats).shape == (2, 6)


def test_what_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match="relation_type of TRNHead must be 'TRN' or 'TRNMultiScale', got 'NL'"):
        TRNHead(6, 5, relation_type="NL")
    with pytest.raises(ConfigError, match=r"need num_segments from 2 to 16, got 32: .* relation_type='TRN' takes all"):
        TRNHead(6, 5, num_segments=32)
