"""The guard on a plain optimizer: both ways of looking, several kinds of update."""

import math

import pytest
import torch
from torch import nn

from kinema.diagnosis import Finding, FiniteGuard
from kinema.diagnosis.finite import flag_if_bad
from kinema.optim import OptimWrapper

CPU = torch.device("cpu")
NAN, INF = math.nan, math.inf


def wrapper(*, accumulate=1, optimizer="SGD", answer=False, **options):
    """An OptimWrapper over one weight of 1, with a guard that notes its findings and answers the same each time."""
    torch.manual_seed(0)
    weight = nn.Parameter(torch.ones(3))
    kind = getattr(torch.optim, optimizer)
    keywords = {"fused": options.pop("fused")} if "fused" in options else {}
    optim = OptimWrapper(kind([weight], lr=0.5, **keywords), accumulate)
    findings = []

    def on_bad(finding):
        findings.append(finding)
        return answer

    optim.guard = FiniteGuard(optim.optimizer, CPU, on_bad, **options)
    return weight, optim, findings


def step(weight, optim, factor=1.0):
    optim.update_params((weight * factor).sum())


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_an_update_whose_loss_is_not_finite_is_not_made(bad):
    weight, optim, findings = wrapper()
    step(weight, optim)
    before = weight.detach().clone()
    step(weight, optim, bad)
    assert torch.equal(weight, before)
    (finding,) = findings
    assert (finding.batch, finding.count) == (0, 1)
    assert finding.loss == bad or math.isnan(finding.loss)
    step(weight, optim)
    assert not torch.equal(weight, before)


def test_a_loss_whose_gradients_are_finite_still_stops_the_update():
    weight, optim, findings = wrapper()
    optim.update_params(weight.sum() + math.inf)  # d/dw is 1
    assert torch.equal(weight, torch.ones(3))
    assert findings == [Finding(batch=0, loss=INF)]


def test_gradients_that_are_not_finite_stop_the_update_with_finite_losses():
    weight, optim, findings = wrapper()
    optim.update_params((weight - 1).abs().pow(0.5).sum())  # the slope of the root at 0
    assert torch.equal(weight, torch.ones(3))
    assert findings == [Finding(batch=-1, loss=None)]


def test_the_bad_batch_of_a_window_is_known():
    weight, optim, findings = wrapper(accumulate=3)
    for factor in (1.0, NAN, INF, 1.0, 1.0, NAN):
        step(weight, optim, factor)
    assert [finding.batch for finding in findings] == [1, 2]
    assert torch.equal(weight, torch.ones(3))


def test_finite_updates_are_the_same_to_the_bit():
    results = []
    for options in (None, {}, {"is_deferred": True}):
        weight, optim, _ = wrapper(**(options or {}))
        optim.guard = None if options is None else optim.guard
        for factor in torch.randn(20).tolist():
            optim.update_params((weight * factor).tanh().sum())
        results.append(weight.detach().clone())
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


@pytest.mark.parametrize(("optimizer", "fused"), [("SGD", False), ("SGD", True), ("AdamW", False), ("AdamW", True)])
def test_flags_on_the_device_keep_bad_updates_from_the_weights(optimizer, fused):
    weight, optim, _ = wrapper(optimizer=optimizer, fused=fused, is_deferred=True, leaves_out=True)
    for factor in (1.0, NAN, 1.0, INF):
        step(weight, optim, factor)
    assert torch.isfinite(weight).all()
    assert optim.guard.look() == Finding(update=1, batch=0, count=2)
    assert optim.guard.look() is None
    step(weight, optim, NAN)
    assert optim.guard.look() == Finding(update=0, batch=0, count=1)


def test_a_fused_optimizer_leaves_bad_updates_out_on_the_device():
    """Momentum and moments are those without the bad update."""
    expected, plain, _ = wrapper(optimizer="AdamW", fused=True)
    weight, optim, _ = wrapper(optimizer="AdamW", fused=True, is_deferred=True, leaves_out=True)
    for factor in (1.0, 2.0, 1.0):
        step(expected, plain, factor)
    for factor in (1.0, NAN, 2.0, INF, 1.0):
        step(weight, optim, factor)
    assert torch.equal(weight, expected)


def test_after_the_first_bad_update_none_changes_the_weights_when_the_run_will_stop():
    weight, optim, _ = wrapper(is_deferred=True)
    step(weight, optim)
    before = weight.detach().clone()
    step(weight, optim, NAN)
    step(weight, optim)
    assert torch.equal(weight, before)
    assert optim.guard.look() == Finding(update=1, batch=0, count=1)


@pytest.mark.parametrize("is_deferred", [False, True])
def test_buffers_of_an_update_that_is_left_out_come_back(is_deferred):
    weight, optim, _ = wrapper(is_deferred=is_deferred, leaves_out=True)
    mean = torch.zeros(2)
    for value, kept in ((1.0, 1.0), (NAN, 1.0), (2.0, 2.0)):
        optim.guard.protect([mean])
        mean.fill_(value)
        step(weight, optim, value)
        if not is_deferred and math.isnan(value):
            optim.guard.restore_buffers()
        assert mean.tolist() == [kept, kept]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("value", [NAN, INF, -INF, 3e38, 0.0])
def test_a_flag_says_whether_all_elements_are_finite(dtype, value):
    tensors = [torch.ones(5, dtype=torch.float32), torch.ones(4, 3, dtype=dtype)]
    tensors[1][2, 1] = torch.tensor(value).to(dtype)  # 3e38 is infinite as a half
    flag, kept = torch.zeros(()), [tensor.clone() for tensor in tensors]
    flag_if_bad(tensors, flag, torch.ones(()))
    assert bool(flag) == any(not bool(tensor.isfinite().all()) for tensor in tensors)
    assert all(torch.equal(tensor.nan_to_num(), copy.nan_to_num()) for tensor, copy in zip(tensors, kept, strict=True))


def test_no_gradients_are_finite():
    flag = torch.zeros(())
    flag_if_bad([], flag, torch.ones(()))
    assert not flag
