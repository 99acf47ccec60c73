import math

import pytest
import torch
import torch.nn.functional as F

from kinema.errors import ConfigError
from kinema.models import BCELossWithLogits, CrossEntropyLoss
from kinema.models.losses import AsymmetricLoss, FocalLoss
from kinema.registry import MODELS

SCORES = torch.tensor([[2.0, 1, 0], [0, 1, 3], [1, 0, 2]])
LABELS = torch.tensor([0, 2, 1])


def slow_cross_entropy(target: list[list[float]], weight: list[float]) -> float:
    total, share = 0.0, 0.0
    for row, wanted in zip(SCORES.tolist(), target, strict=True):
        norm = sum(math.exp(score) for score in row)
        for score, probability, factor in zip(row, wanted, weight, strict=True):
            total -= factor * probability * math.log(math.exp(score) / norm)
            share += factor * probability
    return total / share


@pytest.mark.parametrize("weight", [None, [1.0, 2.0, 5.0]])
def test_hard_and_one_hot_labels_give_the_definition(weight) -> None:
    loss = CrossEntropyLoss(loss_weight=3.0, class_weight=weight)
    one_hot = F.one_hot(LABELS, 3).float()
    expected = 3 * slow_cross_entropy(one_hot.tolist(), weight or [1, 1, 1])
    assert loss(SCORES, LABELS).item() == pytest.approx(expected, rel=1e-6)
    assert loss(SCORES, one_hot).item() == pytest.approx(expected, rel=1e-6)


def test_soft_labels_give_the_definition() -> None:
    target = [[0.5, 0.5, 0.0], [0.2, 0.2, 0.6], [0.0, 1.0, 0.0]]
    assert CrossEntropyLoss()(SCORES, torch.tensor(target)).item() == pytest.approx(
        slow_cross_entropy(target, [1, 1, 1]), rel=1e-6
    )


def test_binary_cross_entropy_gives_the_definition() -> None:
    target = torch.tensor([[1, 0, 1], [0, 0, 1], [1, 1, 1]])
    weight = [1.0, 2.0, 4.0]
    p = SCORES.double().sigmoid()
    slow = -(target * p.log() + (1 - target) * (1 - p).log()) * torch.tensor(weight)
    loss = MODELS.build({"type": "BCELossWithLogits", "loss_weight": 0.5, "class_weight": weight})
    assert isinstance(loss, BCELossWithLogits)
    assert loss(SCORES, target).item() == pytest.approx(0.5 * slow.mean().item(), rel=1e-6)


def test_labels_and_weights_that_do_not_fit_the_classes_say_what_to_set() -> None:
    with pytest.raises(
        ConfigError, match=r"a value for each of 3 classes, but labels are class numbers: set multi_class"
    ):
        BCELossWithLogits()(SCORES, LABELS)
    for kind in (CrossEntropyLoss, BCELossWithLogits, FocalLoss, AsymmetricLoss):
        loss = kind(class_weight=[1.0, 2.0])
        with pytest.raises(
            ConfigError, match=f"class_weight of {kind.__name__} has 2 values, .* num_classes=3: give one"
        ):
            loss(SCORES, F.one_hot(LABELS, 3).float())


def test_class_weights_follow_the_model_and_stay_out_of_its_state() -> None:
    loss = CrossEntropyLoss(class_weight=[1, 2]).to("meta")
    assert loss.class_weight.is_meta
    assert loss.state_dict() == {}
