import math

import numpy as np
import pytest
import torch
from torch import nn

from kinema.errors import ConfigError
from kinema.models import BaseHead, BCELossWithLogits, I3DHead, TimeSformerHead, UniFormerHead
from kinema.registry import MODELS
from kinema.structures import ActionDataSample


class Identity(BaseHead):
    """The features are the scores, so results are known."""

    def forward(self, x):
        return x


def samples(*labels) -> list[ActionDataSample]:
    return [ActionDataSample().set_gt_label(label) for label in labels]


def softmax(rows: np.ndarray) -> np.ndarray:
    return np.exp(rows) / np.exp(rows).sum(-1, keepdims=True)


SCORES = torch.tensor([[2.0, 1, 0], [0, 1, 3], [1, 0, 2], [0, 5, 1]])


def test_loss_is_the_mean_negative_log_probability_and_logs_accuracies() -> None:
    losses = Identity(3, 3, topk=(1, 2, 5)).loss(SCORES, samples(0, 2, 0, 0))
    probabilities = softmax(SCORES.double().numpy())[range(4), [0, 2, 0, 0]]
    assert losses["loss_cls"].item() == pytest.approx(-np.log(probabilities).mean(), rel=1e-6)
    assert losses["top1_acc"] == 0.5
    assert losses["top2_acc"] == 0.75
    assert "top5_acc" not in losses, "k above the number of classes: it would be 1 always"


def test_a_batch_of_one_trains() -> None:
    assert Identity(3, 3).loss(SCORES[:1], samples(0))["top1_acc"] == 1
    soft = samples(torch.tensor([0.5, 0.5, 0.0]))
    assert list(Identity(3, 3).loss(SCORES[:1], soft)) == ["loss_cls"]


def test_labels_count_for_each_view_of_a_sample() -> None:
    losses = Identity(3, 3, topk=1).loss(SCORES, samples(0, 2))
    assert losses["top1_acc"] == 0.5, "views 0 and 1 belong to the first sample: right and wrong; then right, wrong"


def test_label_smoothing_spreads_a_share_over_all_classes() -> None:
    losses = Identity(3, 3, label_smooth_eps=0.3).loss(SCORES, samples(0, 2, 0, 0))
    target = 0.7 * np.eye(3)[[0, 2, 0, 0]] + 0.1
    expected = -(target * np.log(softmax(SCORES.double().numpy()))).sum(1).mean()
    assert losses["loss_cls"].item() == pytest.approx(expected, rel=1e-6)
    assert "top1_acc" in losses


def test_several_labels_a_clip_train_with_a_sigmoid_loss() -> None:
    head = Identity(3, 3, BCELossWithLogits(), multi_class=True, average_clips="prob")
    losses = head.loss(SCORES[:1], samples(torch.tensor([1.0, 1.0, 0.0])))
    expected = (
        -(
            2 * 0
            + math.log(torch.sigmoid(torch.tensor(2.0)))
            + math.log(torch.sigmoid(torch.tensor(1.0)))
            + math.log(0.5)
        )
        / 3
    )
    assert losses["loss_cls"].item() == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(head.average_clip(SCORES), SCORES.sigmoid())


def test_a_loss_may_return_several_values() -> None:
    class TwoLosses(nn.Module):
        def forward(self, scores, labels):
            return {"loss_near": scores.sum(), "loss_far": labels.sum()}

    assert list(Identity(3, 3, TwoLosses(), topk=1).loss(SCORES[:1], samples(0))) == [
        "top1_acc",
        "loss_near",
        "loss_far",
    ]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ((0, 3), r"label 3 is out of range: the head has num_classes=3, so labels go from 0 to 2\. Correct the anno"),
        ((-1, 0), "label -1 is out of range"),
        (([0, 1], [1, 2]), r"a sample has 2 class numbers \[0, 1\], but this loss needs one: .* multi_class=True"),
        (
            (torch.rand(5), torch.rand(5)),
            "labels have 5 values, but the head was built with num_classes=3: .*blending",
        ),
    ],
)
def test_labels_that_do_not_fit_the_classes_are_named(labels, message) -> None:
    with pytest.raises(ConfigError, match=message):
        Identity(3, 3).loss(SCORES[:2], samples(*labels))


@pytest.mark.parametrize("average_clips", ["prob", "score", None])
@pytest.mark.parametrize("views", [1, 2, 4])
def test_views_are_averaged_as_a_slow_loop_does(average_clips, views) -> None:
    head = Identity(3, 3, average_clips=average_clips)
    result = head.average_clip(SCORES, views).numpy()
    rows = SCORES.double().numpy()
    for sample in range(4 // views):
        group = np.stack([rows[sample * views + view] for view in range(views)])
        expected = {"prob": softmax(group).mean(0), "score": group.mean(0), None: group}[average_clips]
        np.testing.assert_allclose(result[sample], expected, rtol=1e-6)


def test_predict_writes_scores_and_labels() -> None:
    head = Identity(3, 3, average_clips="score")
    first, second = head.predict(SCORES, samples(0, 1))
    assert first.pred_score.tolist() == [1, 1, 1.5]
    assert first.pred_label.tolist() == [2]
    assert second.pred_label.tolist() == [1]
    assert first.pred_label.dtype == torch.int64


def test_without_averaging_one_view_gives_one_row_and_several_keep_theirs() -> None:
    head = Identity(3, 3)
    assert head.predict(SCORES, samples(0, 0, 0, 0))[1].pred_score.tolist() == [0, 1, 3]
    (one,) = head.predict(SCORES, samples(0))
    assert one.pred_score.shape == (4, 3)
    assert one.pred_label.tolist() == [0, 2, 2, 1]


def test_averaging_can_be_changed_after_building_and_is_checked() -> None:
    head = Identity(3, 3)
    head.average_clips = "prob"
    assert head.average_clip(SCORES).sum().item() == pytest.approx(4)
    with pytest.raises(ValueError, match="average_clips must be 'prob', 'score' or None, got 'mean'"):
        head.average_clips = "mean"


def test_scores_that_do_not_divide_into_views_are_refused() -> None:
    with pytest.raises(ValueError, match="4 scores cannot be averaged in groups of 3 views"):
        Identity(3, 3).average_clip(SCORES, 3)


def test_scores_of_other_clips_than_there_are_labels_for_are_refused() -> None:
    message = r"Identity gives {} rows of scores for 3 samples: set .* num_segments .* alike in backbone and cls_head"
    with pytest.raises(ConfigError, match=message.format(4)):
        Identity(3, 3).loss(SCORES, samples(0, 1, 2))
    with pytest.raises(ConfigError, match=message.format(2)):
        Identity(3, 3).predict(SCORES[:2], samples(0, 1, 2))


def test_topk_must_be_positive() -> None:
    with pytest.raises(ValueError, match=r"topk must be numbers from 1, got \(0,\)"):
        Identity(3, 3, topk=(0,))


# ---- I3DHead


def test_i3d_head_pools_and_classifies() -> None:
    head = MODELS.build({"type": "I3DHead", "num_classes": 5, "in_channels": 4}).eval()
    x = torch.rand(2, 4, 3, 6, 6)
    expected = x.mean((2, 3, 4)) @ head.fc_cls.weight.T + head.fc_cls.bias
    torch.testing.assert_close(head(x), expected)
    assert list(head.state_dict()) == ["fc_cls.weight", "fc_cls.bias"]


def test_i3d_head_takes_pooled_features() -> None:
    head = I3DHead(5, 4, spatial_type=None, dropout_ratio=0)
    assert head(torch.rand(2, 4)).shape == (2, 5)


def test_i3d_head_starts_with_small_class_weights() -> None:
    head = I3DHead(400, 512, init_std=0.003)
    head.init_weights()
    assert head.fc_cls.weight.std().item() == pytest.approx(0.003, rel=0.02)
    assert not head.fc_cls.bias.any()


def test_i3d_head_says_how_many_channels_the_backbone_gives() -> None:
    with pytest.raises(
        ConfigError, match=r"the backbone gives 8 channels, but I3DHead was built with in_channels=4: set"
    ):
        I3DHead(5, 4)(torch.rand(2, 8, 1, 1, 1))
    with pytest.raises(ConfigError, match=r"the backbone gives 2 features, but I3DHead takes one: set out_indices"):
        I3DHead(5, 4)((torch.rand(2, 4, 1, 1, 1), torch.rand(2, 4, 1, 1, 1)))
    with pytest.raises(ConfigError, match=r"I3DHead takes features of shape .*, got \(2, 4\): set spatial_type=None"):
        I3DHead(5, 4)(torch.rand(2, 4))
    with pytest.raises(ConfigError, match=r"I3DHead takes features .*, got \(2, 4, 3, 3\): .* frames set .* TSNHead"):
        I3DHead(5, 4)(torch.rand(2, 4, 3, 3), num_segs=2)


def test_i3d_head_refuses_an_unknown_pooling() -> None:
    with pytest.raises(ValueError, match="spatial_type must be 'avg' or None, got 'max'"):
        I3DHead(5, 4, spatial_type="max")


@pytest.mark.parametrize("kind", [TimeSformerHead, UniFormerHead])
def test_heads_of_vectors_refuse_maps(kind) -> None:
    with pytest.raises(
        ConfigError, match=rf"{kind.__name__} takes one vector a clip, .* \(1, 8, 2, 3, 3\): .* I3DHead"
    ):
        kind(3, 8)(torch.zeros(1, 8, 2, 3, 3))
