"""Averages of weights, against the formulas written slowly."""

import copy

import pytest
import torch
from torch import nn

from kinema.optim import Ema


def weights_over_time(updates):
    """A model whose weight is drawn anew at each update, and the weights."""
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randn(2, 2, generator=generator) for _ in range(updates)]
    return model, drawn


def averaged(ema_of, updates=9):
    model, drawn = weights_over_time(updates)
    ema = ema_of(model)
    for weight in drawn:
        model[0].weight.data.copy_(weight)
        ema.update()
    return ema.averages["0.weight"], drawn


@pytest.mark.parametrize(("interval", "begin"), [(1, 0), (2, 0), (1, 3), (3, 2)])
def test_an_exponential_average_is_its_formula(interval, begin) -> None:
    result, drawn = averaged(lambda model: Ema(model, 0.3, interval=interval, begin=begin))
    expected = drawn[min(begin, len(drawn) - 1)]
    for count, weight in enumerate(drawn[begin + 1 :], start=1):
        if count % interval == 0:
            expected = 0.7 * expected + 0.3 * weight
    torch.testing.assert_close(result, expected)


def test_a_mean_counts_all_weights_alike() -> None:
    result, drawn = averaged(lambda model: Ema(model, kind="mean"))
    torch.testing.assert_close(result, torch.stack(drawn).mean(0))


def test_an_annealed_average_follows_the_weights_at_first() -> None:
    result, drawn = averaged(lambda model: Ema(model, 0.001, kind="annealed", gamma=2))
    expected = drawn[0]
    for count, weight in enumerate(drawn[1:], start=1):
        share = max(0.001, 2 / (2 + count))
        expected = (1 - share) * expected + share * weight
    torch.testing.assert_close(result, expected)


def test_the_model_has_the_averages_for_a_while() -> None:
    model, drawn = weights_over_time(3)
    ema = Ema(model, 0.5, update_buffers=True)
    for weight in drawn:
        model[0].weight.data.copy_(weight)
        model[1].running_mean.fill_(weight.sum().item())
        ema.update()
    before, averages = copy.deepcopy(model.state_dict()), {k: v.clone() for k, v in ema.averages.items()}
    assert "1.running_mean" in averages
    with ema.applied():
        assert ema.is_applied
        assert all(torch.equal(model.state_dict()[name], value) for name, value in averages.items())
    assert not ema.is_applied
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())


def test_averages_come_back() -> None:
    model, drawn = weights_over_time(4)
    ema = Ema(model, 0.5)
    for weight in drawn:
        model[0].weight.data.copy_(weight)
        ema.update()
    other = Ema(model, 0.5)
    other.load_state_dict(ema.state_dict())
    assert other.updates == 4
    assert torch.equal(other.averages["0.weight"], ema.averages["0.weight"])
    with pytest.raises(KeyError, match=r"0\.weight"):
        other.load_state_dict({"updates": 1, "averages": {}})


def test_settings_are_checked() -> None:
    model = nn.Linear(1, 1)
    for momentum in (0.0, 1.0):
        with pytest.raises(ValueError, match="momentum must be above 0 and below 1, got"):
            Ema(model, momentum)
    with pytest.raises(ValueError, match="need interval >= 1, begin >= 0, gamma >= 1, got interval=0"):
        Ema(model, interval=0)


def test_buffers_that_are_no_state_are_not_averaged() -> None:
    model = nn.BatchNorm1d(2)
    model.register_buffer("place", torch.zeros(1), persistent=False)
    averages = Ema(model, 0.5, update_buffers=True).averages
    assert set(averages) == {"weight", "bias", "running_mean", "running_var"}
