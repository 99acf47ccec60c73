import random

import pytest
import torch

from kinema.optim.schedules import LinearLR, Position, ReduceOnPlateauLR, apply_schedules


def optimizer():
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)


@pytest.mark.parametrize("seed", range(40))
def test_a_plateau_is_seen_as_torch_sees_it(seed):
    draw = random.Random(seed)
    rule, kind = draw.choice(["less", "greater"]), draw.choice(["rel", "abs"])
    patience, cooldown, least = draw.randrange(3), draw.randrange(3), draw.choice([0.0, 0.01])
    threshold = draw.choice([1e-4, 0.1])
    reference, ours = optimizer(), optimizer()
    expected = torch.optim.lr_scheduler.ReduceLROnPlateau(
        reference,
        *("min" if rule == "less" else "max", 0.5, patience),
        **dict(threshold=threshold, threshold_mode=kind, cooldown=cooldown, min_lr=least),
    )
    options = dict(factor=0.5, patience=patience, threshold=threshold, threshold_rule=kind, cooldown=cooldown)
    schedule = ReduceOnPlateauLR("acc", rule, min_value=least, **options)
    metric = draw.random()
    for epoch in range(20):
        apply_schedules([schedule], ours, Position(epoch, epoch * 3, 3))
        assert ours.param_groups[0]["lr"] == pytest.approx(reference.param_groups[0]["lr"])
        metric += draw.uniform(-0.2, 0.2)
        reference.step()
        expected.step(metric)
        schedule.observe({"acc": metric})


def test_what_was_observed_survives_a_resume():
    whole, halves = ReduceOnPlateauLR(patience=1), ReduceOnPlateauLR(patience=1)
    for loss in (1.0, 0.5, 0.6, 0.7, 0.8, 0.9):
        whole.observe({"loss": loss})
        halves.observe({"loss": loss})
        resumed = ReduceOnPlateauLR(patience=1)
        resumed.load_state_dict(halves.state_dict())
        halves = resumed
        assert halves.state == whole.state
    assert whole.state["reductions"] == 2


def test_it_acts_on_what_the_other_schedules_give():
    schedule, ours = ReduceOnPlateauLR(patience=0, factor=0.1, begin=2, end=4), optimizer()
    for loss in (0.1, 1.0, 1.0, 1.0, 1.0):  # the second and the third count: the second is the best so far
        schedule.observe({"loss": loss})
    apply_schedules([schedule, LinearLR(0.5, end=3)], ours, Position(1, 5, 5))
    assert ours.param_groups[0]["lr"] == pytest.approx(0.1 * 0.75 * 0.1)


def test_a_reduction_smaller_than_eps_is_left_out():
    schedule, ours = ReduceOnPlateauLR(patience=0, eps=0.01), optimizer()
    for _ in range(4):
        schedule.observe({"loss": 1.0})
    apply_schedules([schedule], ours, Position(0, 0, 5))
    assert ours.param_groups[0]["lr"] == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ReduceOnPlateauLR(rule="max"), r"need rule \"less\" or \"greater\", .* got \('max', 'rel'\)"),
        (lambda: ReduceOnPlateauLR(threshold_rule="x"), r"got \('less', 'x'\)"),
        (lambda: ReduceOnPlateauLR(by_epoch=False), "it counts validations: by_epoch=False and"),
        (lambda: ReduceOnPlateauLR(factor=1.0), r"need 0 <= factor < 1, got factor=1\.0"),
        (lambda: ReduceOnPlateauLR().observe({"acc/top1": 0.5}), "no metric loss; there is: acc/top1"),
    ],
)
def test_what_cannot_be_followed_is_refused(make, message):
    with pytest.raises(ValueError, match=f"ReduceOnPlateauLR: .*{message}"):
        make()
