import math

import pytest
import torch
import torch.nn.functional as F

from kinema.errors import ConfigError
from kinema.models import AsymmetricLoss, CBFocalLoss, CrossEntropyLoss, FocalLoss, LogitAdjustedLoss
from kinema.models.heads import TSNHead
from kinema.registry import MODELS

SCORES = torch.tensor([[2.0, 1, 0], [0, 1, 3], [1, 0, -2]])
LABELS = torch.tensor([0, 2, 1])
MULTI = torch.tensor([[1.0, 1, 0], [0, 0, 0], [1, 0, 1]])


def softmax(row: list[float]) -> list[float]:
    norm = sum(math.exp(one) for one in row)
    return [math.exp(one) / norm for one in row]


def sigmoid(score: float) -> float:
    return 1 / (1 + math.exp(-score))


def close(loss: torch.Tensor, expected: float):
    assert loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("weight", [None, [1.0, 2.0, 5.0]])
def test_focal_loss_by_softmax_is_its_definition(weight) -> None:
    total = 0.0
    for row, label in zip(SCORES.tolist(), LABELS.tolist(), strict=True):
        p = softmax(row)[label]
        total -= (weight or [1, 1, 1])[label] * (1 - p) ** 1.5 * math.log(p)
    loss = FocalLoss(loss_weight=2, gamma=1.5, class_weight=weight)
    close(loss(SCORES, LABELS), 2 * total / 3)
    close(loss(SCORES, F.one_hot(LABELS, 3)), 2 * total / 3)


def test_focal_loss_without_focus_is_cross_entropy() -> None:
    torch.testing.assert_close(FocalLoss(gamma=0)(SCORES, LABELS), CrossEntropyLoss()(SCORES, LABELS))
    expected = F.binary_cross_entropy_with_logits(SCORES, MULTI)
    torch.testing.assert_close(FocalLoss(gamma=0, use_sigmoid=True)(SCORES, MULTI), expected)


@pytest.mark.parametrize("alpha", [None, 0.25])
def test_focal_loss_by_sigmoid_is_its_definition(alpha) -> None:
    held, other = (1, 1) if alpha is None else (alpha, 1 - alpha)
    total = 0.0
    for row, labels in zip(SCORES.tolist(), MULTI.tolist(), strict=True):
        for score, label in zip(row, labels, strict=True):
            p = sigmoid(score)
            total -= held * (1 - p) ** 2 * math.log(p) if label else other * p**2 * math.log(1 - p)
    close(FocalLoss(alpha=alpha, use_sigmoid=True)(SCORES, MULTI), total / 9)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_class_balanced_focal_loss_is_its_definition(gamma) -> None:
    counts, beta = [100, 10, 1], 0.99
    weights = [(1 - beta) / (1 - beta**count) for count in counts]
    weights = [3 * weight / sum(weights) for weight in weights]
    total = 0.0
    for row, label in zip(SCORES.tolist(), LABELS.tolist(), strict=True):
        for index, score in enumerate(row):
            right = sigmoid(score) if index == label else 1 - sigmoid(score)
            total -= weights[label] * (1 - right) ** gamma * math.log(right)
    loss = MODELS.build(
        {"type": "CBFocalLoss", "loss_weight": 2.0, "samples_per_cls": counts, "beta": beta, "gamma": gamma}
    )
    close(loss(SCORES, LABELS), 2 * total / 3)
    close(loss(SCORES, F.one_hot(LABELS, 3)), 2 * total / 3)


@pytest.mark.parametrize("margin", [0.0, 0.2])
@pytest.mark.parametrize("weight", [None, [1.0, 2.0, 5.0]])
def test_asymmetric_loss_is_its_definition(margin, weight) -> None:
    total = 0.0
    for row, labels in zip(SCORES.tolist(), MULTI.tolist(), strict=True):
        for index, (score, label) in enumerate(zip(row, labels, strict=True)):
            p = sigmoid(score)
            low = max(p - margin, 0)
            term = (1 - p) * math.log(p) if label else low**3 * math.log(1 - low)
            total -= (weight or [1, 1, 1])[index] * term
    loss = AsymmetricLoss(3.0, gamma_pos=1, gamma_neg=3, margin=margin, class_weight=weight)
    close(loss(SCORES, MULTI), 3 * total / 9)


def test_logit_adjustment_is_its_definition_and_scores_of_equal_classes_are_untouched() -> None:
    counts = [70, 20, 10]
    total = 0.0
    for row, label in zip(SCORES.tolist(), LABELS.tolist(), strict=True):
        adjusted = [score + 0.5 * math.log(count / 100) for score, count in zip(row, counts, strict=True)]
        total -= math.log(softmax(adjusted)[label])
    loss = LogitAdjustedLoss(counts, tau=0.5, loss_weight=2)
    close(loss(SCORES, LABELS), 2 * total / 3)
    close(loss(SCORES, F.one_hot(LABELS, 3).float()), 2 * total / 3)
    torch.testing.assert_close(LogitAdjustedLoss([4, 4, 4])(SCORES, LABELS), CrossEntropyLoss()(SCORES, LABELS))


@pytest.mark.parametrize(
    "loss",
    [
        FocalLoss(),
        FocalLoss(gamma=0.5),
        FocalLoss(use_sigmoid=True, gamma=0.5),
        CBFocalLoss(samples_per_cls=[1, 2, 3], gamma=0.5),
        AsymmetricLoss(),
        AsymmetricLoss(gamma_pos=0.5, gamma_neg=0.5),
        AsymmetricLoss(margin=0, gamma_neg=0),
        LogitAdjustedLoss([1, 2, 3]),
    ],
)
def test_scores_of_any_size_give_finite_losses_and_gradients(loss) -> None:
    scores = torch.tensor([[300.0, -300, 0], [-300.0, 300, 90]], requires_grad=True)
    value = loss(scores, torch.tensor([1, 1]))
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(scores.grad).all()
    assert loss.state_dict() == {}, "weights of losses stay out of checkpoints"


def test_a_head_trains_with_any_of_them() -> None:
    head = TSNHead(3, 2, loss_cls={"type": "CBFocalLoss", "samples_per_cls": [5, 6, 7]})
    assert head.loss_by_feat(SCORES, samples := _samples())["loss_cls"] > 0
    assert "top1_acc" in head.loss_by_feat(SCORES, samples)


def _samples():
    from kinema.structures import ActionDataSample

    return [ActionDataSample().set_gt_label(int(label)) for label in LABELS]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: FocalLoss(gamma=-1), "gamma must be at least 0, got -1"),
        (lambda: FocalLoss(alpha=0.5), "alpha of FocalLoss goes with use_sigmoid=True; .* set class_weight"),
        (lambda: CBFocalLoss(samples_per_cls=[1], beta=1), r"beta of CBFocalLoss must be in \[0, 1\), got 1"),
        (lambda: CBFocalLoss(), "samples_per_cls of CBFocalLoss must give at least 1 .*: there are none"),
        (lambda: LogitAdjustedLoss([3, 0]), "samples_per_cls of LogitAdjustedLoss must .* class 1 has 0"),
        (lambda: AsymmetricLoss(margin=1), r"margin must be in \[0, 1\), got 1"),
        (lambda: AsymmetricLoss(gamma_neg=-2), "gamma_neg must be at least 0, got -2"),
    ],
)
def test_values_out_of_range_are_refused(build, message) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_counts_of_other_classes_than_the_heads_are_refused() -> None:
    for loss in (CBFocalLoss(samples_per_cls=[1, 2]), LogitAdjustedLoss([1, 2])):
        with pytest.raises(ConfigError, match="has 2 classes, but the head has num_classes=3: give one number a class"):
            loss(SCORES, LABELS)
