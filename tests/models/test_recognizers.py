import pytest
import torch
from torch import nn

from kinema.errors import ConfigError
from kinema.models import I3DHead, Recognizer3D
from kinema.registry import MODELS
from kinema.structures import ActionDataSample


class CountingBackbone(nn.Module):
    """Doubles the clips and remembers how many it saw at once."""

    def __init__(self):
        super().__init__()
        self.sizes = []

    def forward(self, x):
        self.sizes.append(len(x))
        return 2 * x


class TwoLevels(nn.Module):
    def forward(self, x):
        return x, 3 * x


class SumNeck(nn.Module):
    """Joins two levels, with a loss of its own where there are labels."""

    def forward(self, feats, data_samples):
        losses = {} if data_samples is None else {"loss_aux": feats[0].sum()}
        return feats[0] + feats[1], losses


def head(**settings) -> I3DHead:
    return I3DHead(4, 3, dropout_ratio=0, average_clips="prob", **settings)


def labelled(*labels) -> list[ActionDataSample]:
    return [ActionDataSample().set_gt_label(label) for label in labels]


CLIPS = torch.rand(2, 5, 3, 4, 6, 6)


def test_tensor_mode_gives_the_features_of_all_views() -> None:
    model = Recognizer3D(CountingBackbone(), head())
    assert torch.equal(model(CLIPS), 2 * CLIPS.flatten(0, 1))
    assert torch.equal(model.extract_feat(CLIPS), model(CLIPS))


def test_loss_mode_trains_head_and_neck() -> None:
    model = Recognizer3D(TwoLevels(), head(), neck=SumNeck())
    losses = model(CLIPS, labelled(0, 3), mode="loss")
    assert list(losses) == ["top1_acc", "top5_acc", "loss_cls", "loss_aux"]
    losses["loss_cls"].backward()
    assert model.cls_head.fc_cls.weight.grad.abs().sum() > 0


def test_predict_mode_averages_the_views_of_each_sample() -> None:
    model = Recognizer3D(CountingBackbone(), head())
    given = labelled(0, 1)
    result = model(CLIPS, given, mode="predict")
    scores = model.cls_head(2 * CLIPS.flatten(0, 1)).softmax(-1)
    torch.testing.assert_close(result[1].pred_score, scores[5:].mean(0))
    assert result[0] is given[0]
    assert model(CLIPS, mode="predict")[1].pred_label.shape == (1,), "samples are made when there are none"


@pytest.mark.parametrize("backbone", [CountingBackbone, TwoLevels])
def test_max_testing_views_bounds_the_views_at_once_and_changes_no_score(backbone) -> None:
    neck = SumNeck() if backbone is TwoLevels else None
    whole = Recognizer3D(backbone(), head(), neck=neck)
    parts = Recognizer3D(backbone(), whole.cls_head, neck=neck, test_cfg={"max_testing_views": 4})
    for one, other in zip(whole(CLIPS, mode="predict"), parts(CLIPS, mode="predict"), strict=True):
        torch.testing.assert_close(one.pred_score, other.pred_score)
    if backbone is CountingBackbone:
        assert parts.backbone.sizes == [4, 4, 2]


def test_a_recognizer_builds_from_configs_and_trains_on_a_loaders_batch() -> None:
    model = MODELS.build(
        {
            "type": "Recognizer3D",
            "backbone": nn.Sequential(nn.Conv3d(3, 3, 1)),
            "cls_head": {"type": "I3DHead", "num_classes": 4, "in_channels": 3},
            "data_preprocessor": {
                "type": "ActionDataPreprocessor",
                "mean": [1, 2, 3],
                "std": [1, 1, 1],
                "format_shape": "NCTHW",
            },
        }
    )
    batch = {"inputs": [torch.randint(0, 256, (1, 3, 4, 6, 6), dtype=torch.uint8)] * 2, "data_samples": labelled(0, 3)}
    assert model.train_step(batch)["loss_cls"].requires_grad
    assert model.val_step(batch)[0].pred_score.shape == (4,)
    assert list(model.state_dict()) == [
        "backbone.0.weight",
        "backbone.0.bias",
        "cls_head.fc_cls.weight",
        "cls_head.fc_cls.bias",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"test_cfg": {"average_clips": "prob"}},
            "test_cfg of Recognizer3D has no key 'average_clips'; set it in cls_head",
        ),
        ({"test_cfg": {"max_views": 2}}, "has no key 'max_views'; its keys: max_testing_views"),
        ({"train_cfg": {"aux": 1}}, "train_cfg of Recognizer3D has no key 'aux'; its keys: none"),
        ({"test_cfg": {"max_testing_views": 0}}, "max_testing_views of test_cfg must be at least 1, got 0"),
    ],
)
def test_wrong_settings_are_refused(arguments, message) -> None:
    with pytest.raises(ConfigError, match=message):
        Recognizer3D(CountingBackbone(), **arguments)


def test_wrong_calls_say_what_is_wrong() -> None:
    model = Recognizer3D(CountingBackbone(), head())
    with pytest.raises(ValueError, match=r"shape \(batch, views, .*got \(5, 3, 4, 6, 6\); .* inputs\.unsqueeze\(1\)"):
        model(CLIPS[0])
    with pytest.raises(ValueError, match="mode must be 'tensor', 'loss' or 'predict', got 'train'"):
        model(CLIPS, mode="train")
    with pytest.raises(ValueError, match="mode 'loss' needs data_samples with gt_label"):
        model(CLIPS, mode="loss")
    with pytest.raises(ConfigError, match="the recognizer has no cls_head: it gives features"):
        Recognizer3D(CountingBackbone())(CLIPS, mode="predict")
