import pytest
import torch
from torch import nn

from kinema.errors import ConfigError
from kinema.models import I3DHead, Recognizer2D, ResNet, TSMHead, TSNHead
from kinema.registry import MODELS
from kinema.structures import ActionDataSample

FRAMES = torch.rand(2, 6, 3, 5, 5)


class Counting(nn.Module):
    """Doubles the frames and remembers how many it saw at once."""

    def __init__(self, num_segments=None):
        super().__init__()
        self.sizes = []
        if num_segments:
            self.num_segments = num_segments

    def forward(self, x):
        self.sizes.append(len(x))
        return 2 * x


class Levels(Counting):
    def forward(self, x):
        return x, 3 * super().forward(x)


class SumNeck(nn.Module):
    """Joins two levels and all frames, with a loss of its own where there are labels."""

    def forward(self, feats, data_samples):
        self.shapes = [tuple(level.shape) for level in feats]
        losses = {} if data_samples is None else {"loss_aux": feats[0].sum()}
        return (feats[0] + feats[1]).mean(2, keepdim=True), losses


def head(kind=TSNHead, **settings):
    return kind(4, 3, dropout_ratio=0, average_clips="prob", **settings)


def labelled(*labels) -> list[ActionDataSample]:
    return [ActionDataSample().set_gt_label(label) for label in labels]


def test_tensor_mode_gives_the_features_of_all_frames() -> None:
    model = Recognizer2D(Counting(), head())
    assert torch.equal(model(FRAMES), 2 * FRAMES.flatten(0, 1))


def test_loss_mode_averages_the_frames_of_each_sample_before_it_classifies() -> None:
    model = Recognizer2D(Counting(), head())
    losses = model(FRAMES, labelled(0, 3), mode="loss")
    scores = model.cls_head.fc_cls(2 * FRAMES.mean((1, 3, 4)))
    torch.testing.assert_close(losses["loss_cls"], nn.functional.cross_entropy(scores, torch.tensor([0, 3])))
    assert list(losses) == ["top1_acc", "loss_cls"]


def test_predict_mode_gives_each_view_its_own_scores_where_the_head_knows_the_frames_of_a_view() -> None:
    model = Recognizer2D(Counting(), head(TSMHead, num_segments=3)).eval()
    given = labelled(0, 1)
    result = model(FRAMES, given, mode="predict")
    views = (2 * FRAMES).mean((3, 4)) @ model.cls_head.fc_cls.weight.T + model.cls_head.fc_cls.bias  # (2, 6, 4)
    expected = views.unflatten(1, (2, 3)).mean(2).softmax(-1).mean(1)
    torch.testing.assert_close(result[1].pred_score, expected[1])
    assert result[0] is given[0]
    assert model(FRAMES, mode="predict")[0].pred_label.shape == (1,)


@pytest.mark.parametrize("backbone", [Counting, Levels])
def test_max_testing_views_bounds_the_frames_at_once_and_changes_no_score(backbone) -> None:
    neck = SumNeck() if backbone is Levels else None
    whole = Recognizer2D(backbone(), head(), neck=neck)
    parts = Recognizer2D(backbone(), whole.cls_head, neck=neck, test_cfg={"max_testing_views": 5})
    for one, other in zip(whole(FRAMES, mode="predict"), parts(FRAMES, mode="predict"), strict=True):
        torch.testing.assert_close(one.pred_score, other.pred_score)
    assert parts.backbone.sizes == [5, 5, 2]


def test_a_neck_gets_the_frames_of_a_view_as_time() -> None:
    model = Recognizer2D(Levels(num_segments=3), head(), neck=SumNeck())
    losses = model(FRAMES, labelled(0, 3), mode="loss")
    assert model.neck.shapes == [(4, 3, 3, 5, 5)] * 2
    assert "loss_aux" in losses
    free = Recognizer2D(Levels(), head(), neck=SumNeck())
    features = free(FRAMES)
    assert features.shape == (2, 3, 1, 5, 5)
    torch.testing.assert_close(features[:, :, 0], 7 * FRAMES.mean(1))
    expected = free.cls_head.fc_cls(7 * FRAMES.mean((1, 3, 4))).softmax(-1)
    torch.testing.assert_close(free(FRAMES, mode="predict")[0].pred_score, expected[0])


def test_the_whole_builds_from_an_original_config_and_trains_on_a_loaders_batch() -> None:
    model = MODELS.build(
        {
            "type": "mmaction.Recognizer2D",
            "backbone": {"type": "ResNet", "pretrained": None, "depth": 18, "norm_eval": False},
            "cls_head": {
                "type": "TSNHead",
                "num_classes": 4,
                "in_channels": 512,
                "spatial_type": "avg",
                "consensus": {"type": "AvgConsensus", "dim": 1},
                "dropout_ratio": 0.4,
                "init_std": 0.01,
                "average_clips": "prob",
            },
            "data_preprocessor": {
                "type": "ActionDataPreprocessor",
                "mean": [1, 2, 3],
                "std": [1, 1, 1],
                "format_shape": "NCHW",
            },
            "train_cfg": None,
            "test_cfg": None,
        }
    )
    batch = {"inputs": [torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)] * 2, "data_samples": labelled(0, 3)}
    assert model.train_step(batch)["loss_cls"].requires_grad
    assert model.eval().val_step(batch)[0].pred_score.shape == (4,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"test_cfg": {"views": 2}}, "has no key 'views'; its keys: fcn_test, num_segs, max_testing_views"),
        ({"test_cfg": {"fcn_test": True}}, r"fcn_test=True, but the head \(TSNHead\) cannot classify as a convolution"),
        ({"test_cfg": {"max_testing_views": 4}}, "max_testing_views=4 .* must be a multiple of the 3 frames"),
    ],
)
def test_wrong_settings_are_refused(arguments, message) -> None:
    with pytest.raises(ConfigError, match=message):
        Recognizer2D(Counting(num_segments=3), head(), **arguments)


def test_frames_that_do_not_make_whole_clips_are_refused_though_the_batch_would_divide() -> None:
    message = r"a sample has 6 frames, but the {} joins num_segments=4 of them: sample a multiple of 4 frames"
    with pytest.raises(ConfigError, match=message.format(r"backbone \(Counting\)")):
        Recognizer2D(Counting(num_segments=4), head())(FRAMES)
    model = Recognizer2D(Counting(), head(TSMHead, num_segments=4))
    labels = [ActionDataSample().set_gt_label(0)] * 2
    for scored in (
        lambda: model(FRAMES, mode="predict"),
        lambda: model(FRAMES, labels, mode="loss"),
        lambda: model.extract_feat(FRAMES, stage="head"),
    ):
        with pytest.raises(ConfigError, match=message.format(r"cls_head \(TSMHead\)")):
            scored()
    assert model(FRAMES).shape == (12, 3, 5, 5), "features need no head"


def tsm(num_segments: int, joined: int, pooled: bool = False, told: bool = False) -> Recognizer2D:
    backbone = {"type": "ResNetTSM", "depth": 18, "num_segments": num_segments, "temporal_pool": pooled}
    return Recognizer2D(backbone, TSMHead(4, 512, num_segments=joined, temporal_pool=told, average_clips="score"))


def test_backbone_and_head_must_agree_about_the_frames_of_a_clip() -> None:
    with pytest.raises(
        ConfigError, match=r"\(ResNetTSM\) joins num_segments=4 frames, but TSMHead .*=6: set num_segments=4"
    ):
        tsm(4, 6)
    with pytest.raises(ConfigError, match=r"\(ResNetTSM\) halves the frames .* set temporal_pool=True in cls_head"):
        tsm(4, 4, pooled=True)
    frames = torch.rand(1, 4, 3, 32, 32)
    halves = tsm(4, 2).eval()
    assert halves(frames, mode="predict")[0].pred_score.shape == (4,), "halves of a clip are averaged like views"
    with pytest.raises(ConfigError, match=r"joins num_segments=4 .* \(TSMHead\) scores 2 of them: set num_segments=4"):
        halves(frames, labelled(0), mode="loss")
    assert "loss_cls" in tsm(2, 4)(frames, labelled(0), mode="loss")


def test_a_head_of_2d_networks_is_checked_when_the_recognizer_is_built() -> None:
    for kind in ("TSNHead", "TSMHead", "TRNHead", "TPNHead"):
        message = (
            rf"backbone \(ResNet\) gives 512 channels, but {kind} .* in_channels=2048: set in_channels=512 in cls_head"
        )
        with torch.device("meta"), pytest.raises(ConfigError, match=message):
            Recognizer2D({"type": "ResNet", "depth": 18}, {"type": kind, "num_classes": 4, "in_channels": 2048})


def test_pooled_features_of_frames_can_be_scored_by_the_head_of_3d_networks() -> None:
    model = Recognizer2D(nn.Sequential(nn.AdaptiveAvgPool2d(1)), head(I3DHead, spatial_type=None)).eval()
    expected = model.cls_head.fc_cls(FRAMES.mean((3, 4))).softmax(-1).mean(1)
    torch.testing.assert_close(model(FRAMES, mode="predict")[1].pred_score, expected[1])


def test_wrong_calls_say_what_is_wrong() -> None:
    model = Recognizer2D(Counting(), head())
    with pytest.raises(
        ValueError, match=r"shape \(batch, segments, channels, height, width\), got \(6, 3, 5, 5\): .*'NCHW'"
    ):
        model(FRAMES[0])
    with pytest.raises(ValueError, match="mode 'loss' needs data_samples with gt_label"):
        model(FRAMES, mode="loss")
    with pytest.raises(ConfigError, match=r"a neck joins several levels of features, but the backbone \(Counting\)"):
        Recognizer2D(Counting(), head(), neck=SumNeck())(FRAMES)
    with pytest.raises(
        ConfigError, match=r"got \(1, 3, 8, 32, 32\), whose 3 channels .* before the segments: .*'NCHW'"
    ):
        Recognizer2D(ResNet(18), TSNHead(4, 512))(torch.rand(1, 3, 8, 32, 32))
    with pytest.raises(ConfigError, match=r"I3DHead takes features .* for features of frames set cls_head to TSNHead"):
        Recognizer2D(Counting(), I3DHead(4, 3))(FRAMES, mode="predict")
    with pytest.raises(ConfigError, match="gives 3 channels, but TSNHead was built with in_channels=7"):
        Recognizer2D(Counting(), TSNHead(4, 7))(FRAMES, labelled(0, 1), mode="loss")
