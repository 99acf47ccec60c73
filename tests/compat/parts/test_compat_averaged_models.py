import pytest
import torch
from torch import nn

from kinema.compat.parts.averaged_models import (
    ExponentialMovingAverage,
    MomentumAnnealingEMA,
    StochasticWeightAverage,
)
from kinema.registry import MODELS


def weights_over_time(average, values=(1.0, 3.0, 8.0)) -> list[float]:
    model = nn.Linear(1, 1, bias=False)
    averaged = average(model)
    seen = []
    for value in values:
        nn.init.constant_(model.weight, value)
        averaged.update_parameters(model)
        seen.append(averaged.module.weight.item())
    assert averaged.steps == len(values)
    assert not averaged.module.weight.requires_grad
    assert averaged(torch.ones(1, 1)).item() == pytest.approx(seen[-1])
    return seen


def test_averages_follow_their_formulas() -> None:
    assert weights_over_time(StochasticWeightAverage) == pytest.approx([1, 2, 4])
    assert weights_over_time(lambda model: ExponentialMovingAverage(model, 0.5)) == pytest.approx([1, 2, 5])
    assert weights_over_time(lambda model: StochasticWeightAverage(model, interval=2)) == pytest.approx([1, 1, 4.5])
    annealed = weights_over_time(lambda model: MomentumAnnealingEMA(model, 0.1, gamma=1))
    assert annealed == pytest.approx([1, 2, 4])


def test_buffers_are_copied_or_averaged() -> None:
    norm = nn.BatchNorm1d(1)
    for update_buffers, expected in ((False, 2.0), (True, 1.5)):
        averaged = MODELS.build(
            {"type": "ExponentialMovingAverage", "model": norm, "momentum": 0.5, "update_buffers": update_buffers}
        )
        for mean in (1.0, 2.0):
            norm.running_mean.fill_(mean)
            averaged.update_parameters(norm)
        assert averaged.module.running_mean.item() == expected


def test_settings_of_averages_are_checked() -> None:
    model = nn.Linear(1, 1)
    with pytest.raises(ValueError, match="interval must be a whole number from 1, got 0"):
        StochasticWeightAverage(model, interval=0)
    with pytest.raises(ValueError, match="momentum must lie between 0 and 1, got 3"):
        ExponentialMovingAverage(model, momentum=3)
    with pytest.raises(ValueError, match="gamma must be above 0, got -1"):
        MomentumAnnealingEMA(model, gamma=-1)
    with pytest.warns(UserWarning, match="The value of momentum in EMA is usually a small number"):
        ExponentialMovingAverage(model, momentum=0.9)
