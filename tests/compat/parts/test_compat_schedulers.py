"""Schedulers that hold an optimizer, against the curves without state."""

import math

import pytest
import torch
from torch import nn

from kinema.compat.parts import schedulers
from kinema.errors import PartArgumentError
from kinema.optim import OptimWrapper, Position, apply_schedules, build_schedules
from kinema.optim.schedules import Schedule

CURVES = [
    ("ConstantLR", dict(factor=0.5, end=5)),
    ("LinearLR", dict(start_factor=0.2, begin=2, end=6)),
    ("MultiStepLR", dict(milestones=[2, 5, 5], gamma=0.1)),
    ("StepLR", dict(step_size=3, gamma=0.3, begin=1, end=9)),
    ("ExponentialLR", dict(gamma=0.9)),
    ("CosineAnnealingLR", dict(T_max=5, eta_min=0.01)),
    ("CosineAnnealingLR", dict(eta_min_ratio=0.1, end=8)),
    ("PolyLR", dict(power=0.9, eta_min=0.01, end=8)),
    ("CosineRestartLR", dict(periods=[4, 5], restart_weights=[1, 0.5], eta_min=0.0, end=9)),
    ("OneCycleLR", dict(eta_max=0.5, total_steps=12)),
    ("LinearMomentum", dict(start_factor=0.2, end=6)),
]


def optimizer_of(kind=torch.optim.SGD, **options):
    layer = nn.Linear(2, 2)
    return kind([{"params": [layer.weight]}, {"params": [layer.bias], "lr": 0.5}], lr=0.1, **options)


def values_of(optimizer, name="lr"):
    return [group[name] for group in optimizer.param_groups]


@pytest.mark.parametrize(("name", "settings"), CURVES)
def test_a_scheduler_steps_through_the_values_of_its_curve(name, settings):
    key = "momentum" if "Momentum" in name else "lr"
    stepped, pure = optimizer_of(momentum=0.9), optimizer_of(momentum=0.9)
    scheduler = getattr(schedulers, name)(stepped, **settings)
    curves = build_schedules(dict(type=name, **settings))
    for step in range(12):
        apply_schedules(curves, pure, Position(step, step * 3, 3, max_epochs=12))
        assert values_of(stepped, key) == pytest.approx(values_of(pure, key)), step
        assert scheduler.get_last_value() == values_of(stepped, key)
        stepped.step()
        scheduler.step()


def test_a_scheduler_in_batches_follows_the_converted_curve():
    stepped, pure = optimizer_of(), optimizer_of()
    settings = dict(milestones=[1, 3], gamma=0.5, begin=1, end=5)
    scheduler = schedulers.MultiStepLR.build_iter_from_epoch(stepped, epoch_length=3, **settings)
    assert (scheduler.begin, scheduler.end, scheduler.by_epoch) == (3, 15, False)
    curves = build_schedules(dict(type="MultiStepLR", convert_to_iter_based=True, **settings))
    for step in range(18):
        apply_schedules(curves, pure, Position(step // 3, step, 3, max_epochs=6))
        assert values_of(stepped) == pytest.approx(values_of(pure)), step
        stepped.step()
        scheduler.step()


def test_a_resumed_scheduler_goes_on_where_it_stopped():
    whole, cut, resumed = optimizer_of(), optimizer_of(), optimizer_of()
    schedule = {kind: schedulers.CosineAnnealingLR(kind, T_max=8) for kind in (whole, cut, resumed)}
    for optimizer, steps in ((whole, 6), (cut, 3)):
        for _ in range(steps):
            optimizer.step()
            schedule[optimizer].step()
    resumed.load_state_dict(cut.state_dict())
    schedule[resumed].load_state_dict(schedule[cut].state_dict())
    for _ in range(3):
        resumed.step()
        schedule[resumed].step()
    assert values_of(resumed) == values_of(whole)
    assert schedule[resumed].last_step == 6
    assert "optimizer" not in schedule[cut].state_dict()


def test_momenta_are_the_first_of_betas():
    optimizer = optimizer_of(torch.optim.Adam)
    scheduler = schedulers.ConstantMomentum(optimizer, factor=0.5, end=2)
    assert values_of(optimizer, "betas") == [(0.45, 0.999)] * 2
    optimizer.step()
    scheduler.step()
    assert values_of(optimizer, "betas") == [(0.9, 0.999)] * 2
    with pytest.raises(ValueError, match="neither momentum nor betas"):
        schedulers.ConstantMomentum(optimizer_of(torch.optim.Adagrad))


def test_a_plateau_reduces_each_group_down_to_its_lowest_value():
    wrapper = OptimWrapper(optimizer_of())
    scheduler = schedulers.ReduceOnPlateauLR(wrapper, "loss", patience=1, min_value=[0.0, 0.2])
    for loss, expected in ((1.0, 0.1), (1.0, 0.1), (1.0, 0.01), (0.5, 0.01)):
        scheduler.step({"loss": loss})
        assert values_of(wrapper)[0] == pytest.approx(expected)
    assert values_of(wrapper)[1] == 0.2
    assert (scheduler.best, scheduler.num_bad_epochs, scheduler.need_val_args) == (0.5, 0, True)
    other = schedulers.ReduceOnPlateauLR(optimizer_of(), min_value=[0.0, 0.2])
    other.load_state_dict(scheduler.state_dict())
    assert other.state_dict() == scheduler.state_dict()
    with pytest.raises(KeyError, match="no loss in"):
        scheduler.step({"acc": 1.0})
    with pytest.raises(TypeError, match="metrics must be a dict"):
        scheduler.step(1.0)
    with pytest.raises(ValueError, match="a min_value for each of 2 groups"):
        schedulers.ReduceOnPlateauLR(optimizer_of(), min_value=[0.1])


def test_users_own_schedulers_define_the_values():
    class Halved(schedulers.ParamScheduler):
        def _get_value(self):
            return [base * 0.5**self.last_step for base in self.base_values]

    optimizer = optimizer_of()
    scheduler = Halved(optimizer, "lr", begin=1, end=4, verbose=True)
    rates = []
    for _ in range(6):
        rates.append(values_of(optimizer)[0])
        optimizer.step()
        scheduler.step()
    assert rates == [0.1, 0.1, 0.05, 0.025, 0.025, 0.025]
    with pytest.raises(NotImplementedError, match="needs a method _get_value"):
        schedulers.ParamScheduler(optimizer_of(), "lr")


@pytest.mark.parametrize("replace", [False, True])
def test_a_wrong_order_of_calls_is_warned_of(replace):
    optimizer = optimizer_of()
    scheduler = schedulers.LinearLR(optimizer, end=4)
    if replace:
        optimizer.step = lambda: None
    with pytest.warns(UserWarning, match="how-to-adjust-learning-rate"):
        scheduler.step()


@pytest.mark.parametrize(
    ("build", "kind", "message"),
    [
        (lambda: schedulers.LinearLR("adam"), TypeError, "must be an optimizer"),
        (lambda: schedulers.LinearLR(optimizer_of(), begin=3, end=3), ValueError, "end must be above begin"),
        (lambda: schedulers.LinearLR(optimizer_of(), last_step=-2), ValueError, "at least -1, got -2"),
        (lambda: schedulers.LinearLR(optimizer_of(), last_step=2), KeyError, "no initial_lr in group 0"),
        (lambda: schedulers.LinearLR(optimizer_of(), start=1), PartArgumentError, "'start' twice or not at all"),
        (lambda: schedulers.ExponentialLR(optimizer_of(), *range(1, 9)), PartArgumentError, "no 8 arguments"),
        (lambda: schedulers.LinearLR(optimizer_of(), 2.0), ValueError, "factors must be between 0 and 1"),
        (lambda: schedulers.ConstantLR(optimizer_of(), 2.0), ValueError, "factor must be between 0 and 1"),
        (lambda: schedulers.OneCycleLR(optimizer_of(), 0.1, 5.5), ValueError, "total_steps must be a whole number"),
        (lambda: schedulers.LinearLR.build_iter_from_epoch(optimizer_of()), ValueError, "epoch_length=None"),
    ],
)
def test_wrong_arguments_are_named(build, kind, message):
    with pytest.raises(kind, match=message):
        build()


def test_schedules_of_a_run_are_instances_of_the_schedulers_and_built_from_their_classes(shim):
    from mmengine.optim import LinearLR, LinearMomentum, LinearParamScheduler, _ParamScheduler

    (schedule,) = build_schedules(dict(type=LinearLR, start_factor=0.1, end=5))
    assert isinstance(schedule, Schedule)
    for kind in (LinearLR, LinearParamScheduler, _ParamScheduler):
        assert isinstance(schedule, kind)
    assert not isinstance(schedule, LinearMomentum)
    assert math.isclose(schedule.start_factor, 0.1)


def test_restarts_of_a_scheduler_without_an_end_last_as_long_as_their_periods() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = schedulers.CosineRestartLR(optimizer, periods=[1, 2], restart_weights=[1, 0.5], eta_min=0)
    rates = []
    for _ in range(3):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([1.0, 0.5, 0.25])


def test_one_cycle_has_an_end():
    optimizer = optimizer_of()
    scheduler = schedulers.OneCycleLR(optimizer, eta_max=0.5, total_steps=2)
    for _ in range(2):
        optimizer.step()
        scheduler.step()
    with pytest.raises(ValueError, match="OneCycleLR: this is step 3, total_steps is 2"):
        scheduler.step()
