import math

import pytest
import torch

from kinema.engine import ConstantLR, CosineAnnealingLR, LinearLR, MultiStepLR, Position, StepLR
from kinema.engine.schedules import build_schedules

STEPS = 5  # an epoch


def rates(schedules, *, base=0.1, epochs=8):
    """Rate at every step of a training."""
    result = []
    for step in range(epochs * STEPS):
        position = Position(step // STEPS, step, STEPS)
        result.append(base * math.prod(schedule.factor(position, base, epochs) for schedule in schedules))
    return result


def torch_rates(make, *, base=0.1, epochs=8):
    """The same by torch's own scheduler, stepped once an epoch."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=base)
    scheduler = make(optimizer)
    result = []
    for _ in range(epochs):
        result += [optimizer.param_groups[0]["lr"]] * STEPS
        optimizer.step()
        scheduler.step()
    return result


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (MultiStepLR([2, 5]), lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [2, 5])),
        (StepLR(3, gamma=0.5), lambda o: torch.optim.lr_scheduler.StepLR(o, 3, gamma=0.5)),
        (CosineAnnealingLR(), lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 8)),
        (
            CosineAnnealingLR(T_max=8, eta_min=0.01),
            lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 8, eta_min=0.01),
        ),
        (LinearLR(0.1, end=4), lambda o: torch.optim.lr_scheduler.LinearLR(o, 0.1, total_iters=3)),
        (ConstantLR(0.5, end=4), lambda o: torch.optim.lr_scheduler.ConstantLR(o, 0.5, total_iters=3)),
    ],
)
def test_epoch_schedules_follow_torchs(ours, theirs):
    assert rates([ours]) == pytest.approx(torch_rates(theirs))


def test_a_warm_up_and_a_cosine_follow_each_other_step_by_step():
    schedules = build_schedules(
        [
            dict(type="LinearLR", start_factor=0.1, by_epoch=True, begin=0, end=2, convert_to_iter_based=True),
            dict(type="mmengine.CosineAnnealingLR", T_max=6, begin=2, end=8, by_epoch=True, convert_to_iter_based=True),
        ]
    )
    found = rates(schedules)
    warm_up = [0.1 * (0.1 + 0.9 * step / 9) for step in range(10)]
    cosine = [0.05 * (1 + math.cos(math.pi * step / 30)) for step in range(30)]
    assert found == pytest.approx(warm_up + cosine)


def test_schedules_by_steps_count_steps():
    assert rates([LinearLR(0.5, begin=0, end=11, by_epoch=False)])[:12] == pytest.approx(
        [0.05 + 0.005 * step for step in range(11)] + [0.1]
    )


def test_a_share_of_the_base_rate_may_be_the_lowest():
    last = rates([CosineAnnealingLR(eta_min_ratio=0.2, convert_to_iter_based=True)])[-1]
    assert 0.02 < last < 0.021


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LinearLR(begin=3, end=3), "need 0 <= begin < end, got begin=3, end=3"),
        (
            lambda: LinearLR(by_epoch=False, convert_to_iter_based=True),
            "convert_to_iter_based=True needs by_epoch=True",
        ),
        (lambda: CosineAnnealingLR(eta_min=0.1, eta_min_ratio=0.1), "give eta_min or eta_min_ratio, not both"),
    ],
)
def test_impossible_schedules_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
