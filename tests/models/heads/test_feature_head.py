import pytest
import torch

from kinema.errors import ConfigError
from kinema.models import FeatureHead, Recognizer3D

CLIPS, FRAMES = torch.rand(4, 6, 5, 3, 3), torch.rand(8, 6, 3, 3)


def test_features_are_pooled_over_space_and_time() -> None:
    torch.testing.assert_close(FeatureHead()(CLIPS), CLIPS.mean((2, 3, 4)))
    torch.testing.assert_close(FeatureHead("max", "avg")(CLIPS), CLIPS.amax((3, 4)).mean(2))
    assert FeatureHead(None)(CLIPS).shape == (4, 6, 3, 3)
    assert FeatureHead("avg", None)(CLIPS).shape == (4, 6, 5)
    assert FeatureHead(backbone_name="gcn")(CLIPS).shape == (4, 5)


def test_features_of_frames_are_joined_and_those_of_pathways_put_side_by_side() -> None:
    expected = FRAMES.unflatten(0, (2, 4)).mean((1, 3, 4))
    torch.testing.assert_close(FeatureHead()(FRAMES, 4), expected)
    torch.testing.assert_close(FeatureHead(num_segments=4)(FRAMES, 8), expected)
    assert FeatureHead(None)(FRAMES, 4).shape == (2, 6, 3, 3)
    assert FeatureHead("avg", None)(FRAMES, 4).shape == (2, 4, 6)
    assert torch.equal(FeatureHead()((CLIPS[:, :2], CLIPS)), FeatureHead()(torch.cat([CLIPS[:, :2], CLIPS], 1)))
    assert FeatureHead()(expected) is expected


def test_a_recognizer_predicts_features_averaged_over_views() -> None:
    model = Recognizer3D(torch.nn.Identity(), FeatureHead(average_clips="score")).eval()
    views = torch.rand(2, 3, 6, 4, 5, 5)
    torch.testing.assert_close(model(views, mode="predict"), views.mean((1, 3, 4, 5)))
    model.cls_head.average_clips = None
    assert model(views, mode="predict").shape == (2, 3, 6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: FeatureHead("sum"), "spatial_type of FeatureHead must be 'avg', 'max' or None, got 'sum'"),
        (lambda: FeatureHead()((CLIPS,) * 3), "takes one feature, or those of two pathways, got 3"),
        (lambda: FeatureHead()(CLIPS[:, :, 0, 0]), r"takes features of clips, frames or pooled ones, got \(4, 6, 3\)"),
        (lambda: FeatureHead()(FRAMES), "FeatureHead joins the frames of a sample"),
        (lambda: FeatureHead().loss(CLIPS, []), "FeatureHead gives features, no scores"),
    ],
)
def test_what_it_cannot_pool_is_refused(call, message) -> None:
    with pytest.raises((ValueError, ConfigError), match=message):
        call()
