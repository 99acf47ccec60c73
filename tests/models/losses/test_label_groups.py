import pytest
import torch
import torch.nn.functional as F

from kinema.models import BCELossWithLogits, CrossEntropyLoss, HVULoss, NLLLoss

SCORES = torch.tensor([[-1.0, -0.7, 0.2, -0.8, 3.0], [0.2, -1.6, 0.6, 2.0, 0.0]])
LABELS = torch.tensor([[1.0, 0, 0, 0, 1], [0, 0, 1, 1, 0]])
MASK = torch.tensor([[1.0, 1, 0, 0, 0], [0, 0, 1, 1, 0]])
GROUPS = torch.tensor([[1.0, 0], [0, 1]])
EACH = F.binary_cross_entropy_with_logits(SCORES, LABELS, reduction="none")


def loss(**settings) -> dict[str, torch.Tensor]:
    settings = {"categories": ("a", "b"), "category_nums": (2, 3), "category_loss_weights": (1, 3)} | settings
    return HVULoss(**settings)(SCORES, LABELS, MASK, GROUPS)


def test_all_classes_count_or_the_annotated_ones() -> None:
    assert list(loss()) == ["loss_cls"]
    torch.testing.assert_close(loss(loss_weight=2.0)["loss_cls"], 2 * EACH.mean())
    torch.testing.assert_close(loss(reduction="sum")["loss_cls"], EACH.sum(1).mean())
    torch.testing.assert_close(loss(with_mask=True)["loss_cls"], (EACH[0, :2].mean() + EACH[1, 2:4].mean()) / 2)


def test_groups_are_averaged_by_their_weights() -> None:
    first, second = EACH[:, :2].mean(), EACH[:, 2:].mean()
    losses = loss(loss_type="individual")
    torch.testing.assert_close(losses["loss_cls"], first / 4 + second * 3 / 4)
    torch.testing.assert_close(losses["b_LOSS"], second)
    assert losses["b_LOSS_weight"] == 0.75
    masked = loss(loss_type="individual", with_mask=True)
    torch.testing.assert_close(masked["a_LOSS"], EACH[0, :2].mean())
    torch.testing.assert_close(masked["b_LOSS"], EACH[1, 2:].mean())


def test_options_of_a_call_go_to_torch() -> None:
    numbers = torch.tensor([3, 1])
    torch.testing.assert_close(
        CrossEntropyLoss(0.5)(SCORES, numbers, ignore_index=1), 0.5 * -SCORES.log_softmax(1)[0, 3]
    )
    assert BCELossWithLogits()(SCORES, LABELS, reduction="none").shape == (2, 5)
    log_p = SCORES.log_softmax(1)
    torch.testing.assert_close(NLLLoss(2.0)(log_p, numbers), -(log_p[0, 3] + log_p[1, 1]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: loss(category_nums=(2,)), "2 categories, 1 category_nums and 2 category_loss_weights"),
        (lambda: loss(loss_type="each"), "loss_type must be 'all' or 'individual', got 'each'"),
        (lambda: loss(reduction="none"), "reduction must be 'mean' or 'sum', got 'none'"),
        (lambda: loss(category_loss_weights=(0, 0)), "category_loss_weights must be at least 0"),
        (lambda: CrossEntropyLoss()(SCORES, LABELS, ignore_index=1), "ignore_index goes with class numbers"),
        (
            lambda: CrossEntropyLoss(class_weight=[1] * 5)(SCORES, torch.tensor([0, 1]), weight=None),
            "CrossEntropyLoss was built with class_weight",
        ),
    ],
)
def test_settings_that_do_not_fit_are_refused(call, message) -> None:
    with pytest.raises(ValueError, match=message):
        call()
