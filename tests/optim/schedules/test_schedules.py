import math
import pickle

import pytest
import torch

from kinema.errors import PartArgumentError
from kinema.optim.schedules import (
    ConstantLR,
    ConstantMomentum,
    ConstantParamScheduler,
    CosineAnnealingLR,
    CosineRestartLR,
    ExponentialLR,
    LinearLR,
    LinearMomentum,
    MultiStepLR,
    OneCycleLR,
    PolyLR,
    Position,
    StepLR,
    apply_schedules,
    build_schedules,
)
from kinema.registry import PARAM_SCHEDULERS

STEPS = 5  # batches of an epoch


def optimizer(base=0.1, kind=torch.optim.SGD, **options):
    return kind([torch.nn.Parameter(torch.zeros(1))], lr=base, **options)


def rates(schedules, *, base=0.1, epochs=8, steps=STEPS, start=0, length=True):
    """Rate at every batch of a training, from the batch `start` on."""
    ours, result = optimizer(base), []
    for step in range(start, epochs * steps):
        apply_schedules(schedules, ours, Position(step // steps, step, steps, max_epochs=epochs if length else None))
        result.append(ours.param_groups[0]["lr"])
    return result


def torch_rates(make, *, base=0.1, epochs=8, every_batch=False):
    """The same by torch's own scheduler, stepped once an epoch or at every batch."""
    reference = optimizer(base)
    scheduler = make(reference)
    result = []
    for _ in range(epochs * STEPS if every_batch else epochs):
        result += [reference.param_groups[0]["lr"]] * (1 if every_batch else STEPS)
        reference.step()
        scheduler.step()
    return result


in_torch = torch.optim.lr_scheduler


@pytest.mark.parametrize(
    ("schedule", "make"),
    [
        (MultiStepLR([2, 5]), lambda o: in_torch.MultiStepLR(o, [2, 5])),
        (MultiStepLR([5, 2, 2]), lambda o: in_torch.MultiStepLR(o, [2, 2, 5])),
        (StepLR(3, gamma=0.5), lambda o: in_torch.StepLR(o, 3, gamma=0.5)),
        (ExponentialLR(0.9), lambda o: in_torch.ExponentialLR(o, 0.9)),
        (CosineAnnealingLR(), lambda o: in_torch.CosineAnnealingLR(o, 8)),
        (CosineAnnealingLR(T_max=8, eta_min=0.01), lambda o: in_torch.CosineAnnealingLR(o, 8, eta_min=0.01)),
        (CosineAnnealingLR(T_max=3, eta_min=0.01), lambda o: in_torch.CosineAnnealingLR(o, 3, eta_min=0.01)),
        (LinearLR(0.1, end=4), lambda o: in_torch.LinearLR(o, 0.1, total_iters=3)),
        (ConstantLR(0.5, end=4), lambda o: in_torch.ConstantLR(o, 0.5, total_iters=3)),
        (PolyLR(power=0.9, end=6), lambda o: in_torch.PolynomialLR(o, 5, 0.9)),
        (PolyLR(power=2.0), lambda o: in_torch.PolynomialLR(o, 7, 2.0)),
        (
            CosineRestartLR([2, 2, 4], [1, 1, 1], eta_min=0.01),
            lambda o: in_torch.SequentialLR(
                o,
                [in_torch.CosineAnnealingWarmRestarts(o, period, eta_min=0.01) for period in (2, 4)],
                milestones=[4],
            ),
        ),
    ],
)
def test_schedules_by_epochs_follow_torchs(schedule, make):
    assert rates([schedule]) == pytest.approx(torch_rates(make))


@pytest.mark.parametrize("three_phase", [False, True])
@pytest.mark.parametrize("strategy", ["cos", "linear"])
def test_one_cycle_follows_torchs(strategy, three_phase):
    ours = rates([OneCycleLR(0.3, anneal_strategy=strategy, three_phase=three_phase, convert_to_iter_based=True)])
    expected = torch_rates(
        lambda o: in_torch.OneCycleLR(
            o,
            max_lr=0.3,
            total_steps=8 * STEPS + 1,
            anneal_strategy=strategy,
            three_phase=three_phase,
            cycle_momentum=False,
        ),
        every_batch=True,
    )
    longer = rates([OneCycleLR(0.3, 8 * STEPS + 1, anneal_strategy=strategy, three_phase=three_phase, by_epoch=False)])
    assert longer == pytest.approx(expected)
    assert ours[0] == pytest.approx(0.3 / 25)
    assert max(ours) == pytest.approx(0.3, rel=0.01)
    assert ours[-1] == pytest.approx(0.3 / 25 / 1e4)


# Rates of trainings of 6 epochs of 2 batches from the base rate 0.1, as MMEngine 0.10.7 computed them.
TABLES = {
    "a warm-up by batches, then a cosine": (
        [
            dict(type="LinearLR", start_factor=0.1, end=2, convert_to_iter_based=True),
            dict(type="CosineAnnealingLR", T_max=4, eta_min=0.01, begin=2, end=6, convert_to_iter_based=True),
        ],
        [0.01, 0.04, 0.07, 0.1, 0.1, 0.0965746, 0.0868198, 0.0722208, 0.055, 0.0377792, 0.0231802, 0.0134254],
    ),
    "a cosine by epochs that begins with the warm-up by batches": (
        [
            dict(type="LinearLR", start_factor=0.1, end=1.5, convert_to_iter_based=True),
            dict(type="CosineAnnealingLR", T_max=6, eta_min=0.02, end=6),
        ],
        [0.01, 0.055, 0.094641, 0.094641, 0.08, 0.08, 0.06, 0.06, 0.04, 0.04, 0.025359, 0.025359],
    ),
    "steps by epochs during a warm-up by batches": (
        [
            dict(type="LinearLR", start_factor=0.5, end=5, by_epoch=False),
            dict(type="MultiStepLR", milestones=[2, 4], gamma=0.1),
        ],
        [0.05, 0.0625, 0.075, 0.0875, 0.01, 0.01, 0.01, 0.01, 0.001, 0.001, 0.001, 0.001],
    ),
    "a constant, then a power": (
        [
            dict(type="ConstantLR", factor=0.5, end=3),
            dict(type="PolyLR", power=0.9, eta_min=0.01, begin=3, end=6),
        ],
        [0.05, 0.05, 0.05, 0.05, 0.1, 0.1, 0.1, 0.1, 0.0582298, 0.0582298, 0.01, 0.01],
    ),
    "a cosine that rises again": (
        [dict(type="CosineAnnealingLR", T_max=2, eta_min_ratio=0.1)],
        [0.1, 0.1, 0.055, 0.055, 0.01, 0.01, 0.055, 0.055, 0.1, 0.1, 0.055, 0.055],
    ),
    "steps, then restarts from the base rate": (
        [
            dict(type="StepLR", step_size=2, gamma=0.5, end=4),
            dict(type="CosineRestartLR", periods=[2, 1], restart_weights=[1, 0.5], eta_min=0.01, begin=3, end=6),
        ],
        [0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.1, 0.1, 0.055, 0.055, 0.05, 0.05],
    ),
    "an exponential by batches keeps its last value": (
        [dict(type="ExponentialLR", gamma=0.9, convert_to_iter_based=True, end=3)],
        [0.1, 0.09, 0.081, 0.0729, 0.06561, 0.059049, *[0.059049] * 6],
    ),
    "one cycle": (
        [dict(type="OneCycleLR", eta_max=0.3, total_steps=12, by_epoch=False)],
        [
            0.012,
            0.104937,
            0.263786,
            0.298325,
            0.279904,
            0.243524,
            0.194214,
            0.138791,
            0.0849183,
            0.0400433,
            0.01037,
            1.2e-6,
        ],
    ),
    "fractions of an epoch": (
        [dict(type="CosineAnnealingLR", T_max=2.5, begin=0.5, convert_to_iter_based=True)],
        [0.1, 0.1, 0.090451, 0.065451, 0.034549, 0.0095492, 0.0, 0.0095492, 0.034549, 0.065451, 0.090451, 0.1],
    ),
    "a warm-up of a single epoch never leaves its first factor": (
        [dict(type="LinearLR", start_factor=0.5, end=1)],
        [0.05] * 12,
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_chains_follow_mmengines(name):
    config, expected = TABLES[name]
    assert rates(build_schedules(config), epochs=6, steps=2) == pytest.approx(expected, rel=1e-5, abs=1e-12)


@pytest.mark.parametrize("name", TABLES)
def test_a_resume_at_any_batch_needs_no_state(name):
    config, _ = TABLES[name]
    whole = rates(build_schedules(config), epochs=6, steps=2)
    for start in range(12):
        assert rates(build_schedules(config), epochs=6, steps=2, start=start) == whole[start:]


def test_positions_may_go_back():
    schedules = build_schedules(TABLES["a cosine by epochs that begins with the warm-up by batches"][0])
    assert rates(schedules, epochs=6, steps=2) == rates(schedules, epochs=6, steps=2)


def test_a_warm_up_and_a_cosine_follow_each_other_batch_by_batch():
    schedules = build_schedules(
        [
            dict(type="LinearLR", start_factor=0.1, by_epoch=True, begin=0, end=2, convert_to_iter_based=True),
            dict(type="mmengine.CosineAnnealingLR", T_max=6, begin=2, end=8, by_epoch=True, convert_to_iter_based=True),
        ]
    )
    warm_up = [0.1 * (0.1 + 0.9 * step / 9) for step in range(10)]
    cosine = [0.05 * (1 + math.cos(math.pi * step / 30)) for step in range(30)]
    assert rates(schedules) == pytest.approx(warm_up + cosine)


def test_fractions_of_an_epoch_are_rounded_down_to_batches():
    schedules = [LinearLR(0.5, end=1.5, convert_to_iter_based=True)]
    assert rates(schedules)[:9] == pytest.approx([0.05 + 0.05 * step / 6 for step in range(7)] + [0.1, 0.1])


def test_schedules_by_batches_count_batches():
    assert rates([LinearLR(0.5, begin=0, end=11, by_epoch=False)])[:12] == pytest.approx(
        [0.05 + 0.005 * step for step in range(11)] + [0.1]
    )


def test_a_share_of_the_base_rate_may_be_the_lowest():
    last = rates([CosineAnnealingLR(eta_min_ratio=0.2, convert_to_iter_based=True)])[-1]
    assert 0.02 < last < 0.021


def test_a_warm_up_may_start_at_zero():
    assert rates([LinearLR(0.0, end=3), StepLR(4)])[::STEPS] == pytest.approx([0, 0.05, 0.1, 0.1, *[0.01] * 4])
    overlapping = [LinearLR(0.0, end=3), CosineAnnealingLR(eta_min=0.01)]
    assert rates(overlapping)[0] == 0.0
    assert rates(overlapping)[STEPS] == pytest.approx(0.05, rel=0.1)


@pytest.mark.parametrize("length", [True, False])
def test_a_schedule_without_end_never_ends(length):
    assert rates([ConstantLR(0.1)], length=length) == pytest.approx([0.01] * 8 * STEPS)
    assert rates([ExponentialLR(0.5)], length=length)[-1] == pytest.approx(0.1 * 0.5**7)


@pytest.mark.parametrize(
    "schedule",
    [LinearLR(), PolyLR(), CosineAnnealingLR(), OneCycleLR(0.1)],
    ids=lambda schedule: type(schedule).__name__,
)
def test_a_curve_whose_length_is_not_known_says_so(schedule):
    with pytest.raises(ValueError, match=f"{type(schedule).__name__}: give end: the length of the training is not"):
        rates([schedule], length=False)


def test_the_length_of_a_training_by_batches_counts_too():
    ours = optimizer()
    for by_epoch, expected in ((False, 0.1 * (0.5 + 0.5 * 6 / 9)), (True, 0.1 * (0.5 + 0.5 * 1 / 1))):
        apply_schedules([LinearLR(0.5, by_epoch=by_epoch)], ours, Position(1, 6, 5, max_steps=10))
        assert ours.param_groups[0]["lr"] == pytest.approx(expected)


# ---- what they change


def test_momentum_has_its_own_schedules():
    ours = optimizer(momentum=0.9)
    for step in range(3 * STEPS):
        apply_schedules([StepLR(1), LinearMomentum(0.5, end=3)], ours, Position(step // STEPS, step, STEPS))
    assert ours.param_groups[0]["momentum"] == pytest.approx(0.9)
    assert ours.param_groups[0]["lr"] == pytest.approx(0.001)
    apply_schedules([StepLR(1), LinearMomentum(0.5, end=3)], ours, Position(1, STEPS, STEPS))
    assert ours.param_groups[0]["momentum"] == pytest.approx(0.9 * 0.75)


def test_adams_momentum_is_the_first_of_its_betas():
    ours = optimizer(kind=torch.optim.AdamW)
    apply_schedules([ConstantMomentum(0.5)], ours, Position(0, 0, STEPS))
    apply_schedules([ConstantMomentum(0.5)], ours, Position(0, 1, STEPS))
    assert ours.param_groups[0]["betas"] == (0.45, 0.999)


def test_any_number_of_a_parameter_group_can_follow_a_schedule():
    ours = optimizer(weight_decay=0.1)
    schedules = build_schedules(dict(type="ConstantParamScheduler", param_name="weight_decay", factor=0.5))
    apply_schedules(schedules, ours.param_groups, Position(0, 0, STEPS))
    assert ours.param_groups[0]["weight_decay"] == pytest.approx(0.05)
    with pytest.raises(PartArgumentError, match="ConstantParamScheduler needs param_name"):
        build_schedules(dict(type="ConstantParamScheduler", factor=0.5))


def test_a_parameter_that_the_optimizer_does_not_have_is_named():
    with pytest.raises(
        ValueError, match=r"ConstantMomentum: no momentum to change in the optimizer; there is: lr, lr_decay"
    ):
        apply_schedules([ConstantMomentum()], optimizer(kind=torch.optim.Adagrad), Position(0, 0, STEPS))


def test_groups_keep_their_own_base_values():
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in (0.1, 0.01)]
    ours = torch.optim.SGD(groups)
    for step in (3 * STEPS, 0):
        apply_schedules(
            [StepLR(2), CosineAnnealingLR(eta_min_ratio=0.5)], ours, Position(step // STEPS, step, STEPS, 8)
        )
        high, low = (group["lr"] for group in ours.param_groups)
        assert high == pytest.approx(10 * low)
    assert [group["initial_lr"] for group in ours.param_groups] == [0.1, 0.01]


def test_a_rate_that_is_a_tensor_is_changed_in_place():
    rate = torch.tensor(0.1)
    ours = optimizer(rate, kind=torch.optim.Adam, capturable=False, foreach=False)
    for _ in range(2):
        apply_schedules([ConstantLR(0.5)], ours, Position(0, 0, STEPS))
    assert ours.param_groups[0]["lr"] is rate
    assert rate.item() == pytest.approx(0.05)


def test_a_rate_that_somebody_else_sets_is_where_the_schedules_continue():
    ours = optimizer(0.1, momentum=0.9)
    schedules = [StepLR(1), LinearMomentum(0.5, end=2)]
    apply_schedules(schedules, ours, Position(0, 0, STEPS))
    ours.param_groups[0]["lr"] = 0.02
    for step, expected in ((1, 0.02), (STEPS, 0.002), (2 * STEPS, 0.0002), (STEPS, 0.002)):
        apply_schedules(schedules, ours, Position(step // STEPS, step, STEPS))
        assert ours.param_groups[0]["lr"] == pytest.approx(expected)
    assert ours.param_groups[0]["momentum"] == pytest.approx(0.9)  # nobody changed it


def test_changed_betas_are_where_the_schedules_continue():
    ours = optimizer(kind=torch.optim.AdamW)
    apply_schedules([ConstantMomentum(0.5)], ours, Position(0, 0, STEPS))
    ours.param_groups[0]["betas"] = (0.4, 0.999)
    apply_schedules([ConstantMomentum(0.5)], ours, Position(0, 1, STEPS))
    assert ours.param_groups[0]["betas"] == (pytest.approx(0.4), 0.999)


# ---- the registry


@pytest.mark.parametrize("suffix", ["LR", "Momentum", "ParamScheduler"])
@pytest.mark.parametrize(
    "curve",
    [
        *("Constant", "Linear", "MultiStep", "Step", "Exponential"),
        *("CosineAnnealing", "CosineRestart", "Poly", "OneCycle", "ReduceOnPlateau"),
    ],
)
def test_every_schedule_has_its_name(curve, suffix):
    schedule = PARAM_SCHEDULERS.get(curve + suffix)
    assert schedule.__name__ == curve + suffix
    assert pickle.loads(pickle.dumps(schedule)) is schedule
    assert suffix == "ParamScheduler" or schedule.param_name == {"LR": "lr", "Momentum": "momentum"}[suffix]


def test_built_schedules_are_taken_as_they_are():
    schedule = ConstantParamScheduler(0.5, param_name="weight_decay")
    assert build_schedules(schedule) == [schedule]
    assert build_schedules(None) == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LinearLR(begin=3, end=3), "LinearLR: need 0 <= begin < end, got begin=3, end=3"),
        (lambda: StepLR(2, begin=-1), "StepLR: need 0 <= begin < end, got begin=-1, end=None"),
        (
            lambda: LinearLR(by_epoch=False, convert_to_iter_based=True),
            "convert_to_iter_based=True needs by_epoch=True",
        ),
        (lambda: ConstantLR(end=2.5), "fractions need convert_to_iter_based=True, got begin=0, end=2.5"),
        (lambda: CosineAnnealingLR(eta_min=0.1, eta_min_ratio=0.1), "give eta_min or eta_min_ratio, not both"),
        (lambda: StepLR(0), "step_size must be at least 1, got 0"),
        (lambda: CosineRestartLR([2, 3]), "need a weight for each period, got 2 periods, 1 weights"),
        (lambda: OneCycleLR(0.1, pct_start=2), "pct_start must be between 0 and 1, got 2"),
        (lambda: OneCycleLR(0.1, anneal_strategy="cosine"), 'must be "cos" or "linear", got \'cosine\''),
        (lambda: rates([CosineRestartLR([2], eta_min=0)]), "CosineRestartLR: periods add up to 2, but it lasts 8"),
        (lambda: rates([OneCycleLR(0.1, total_steps=7)]), "OneCycleLR: total_steps is 7, but it lasts 8"),
    ],
)
def test_impossible_schedules_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
