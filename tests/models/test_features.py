"""Parts of a recognizer state their features by attributes, which any module may have."""

import torch
from torch import nn

from kinema.models import I3DHead, ResNetTSM, TSMHead, UniFormer
from kinema.models.features import Features, features_of, joined_frames


class Stating(nn.Module):
    def __init__(self, **stated: object) -> None:
        super().__init__()
        for name, value in stated.items():
            setattr(self, name, value)


def test_what_a_network_states_is_read() -> None:
    assert features_of(Stating(out_channels=64)) == Features(channels=(64,))
    assert features_of(Stating(out_channels=(8, 64))) == Features(channels=(8, 64))
    assert features_of(Stating(num_segments=8, temporal_pool=True)) == Features(frames_per_row=8, halves_frames=True)


def test_what_a_network_does_not_state_is_not_known() -> None:
    assert features_of(nn.Conv2d(3, 8, 3)) == Features(channels=(8,))
    assert features_of(nn.Identity()) == features_of(None) == Features()
    assert features_of(Stating(out_channels="many", num_segments=None)) == Features()


def test_networks_and_heads_state_the_frames_that_they_join() -> None:
    assert features_of(ResNetTSM(18, num_segments=4)) == Features((512,), frames_per_row=4)
    assert features_of(TSMHead(3, 512, num_segments=4)).frames_per_row == 4
    assert features_of(I3DHead(3, 512)).frames_per_row is None


def test_a_model_joins_as_many_frames_as_the_part_that_joins_most() -> None:
    model = nn.Module()
    assert joined_frames(model) is None
    model.backbone, model.cls_head = Stating(num_segments=4), Stating(num_segments=8)
    assert joined_frames(model) == 8
    model.num_segs = 16  # frames of a view that a neck joins
    assert joined_frames(model) == 16


def test_one_clip_is_trained_as_two_of_it() -> None:
    # Torch's batch norm takes a map of one row for one of another layout if its first stride is that of a place.
    model = UniFormer(depth=[1, 1, 1, 1], embed_dim=[4, 4, 4, 8], head_dim=4).eval()
    torch.manual_seed(0)
    clip, weight = torch.randn(1, 3, 4, 64, 64), torch.randn(1, 8, 2, 2, 2)
    gradients = []
    for copies in (1, 2):
        model.zero_grad()
        (model(clip.repeat(copies, 1, 1, 1, 1)) * weight).sum().div(copies).backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-3, atol=1e-4)
