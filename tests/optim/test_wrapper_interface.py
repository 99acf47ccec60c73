"""The optimizer wrapper in training loops of the user's own, and several by name."""

from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from torch import nn

from kinema.engine import RunPlan
from kinema.engine.assembly import build_step
from kinema.errors import ConfigError
from kinema.optim import OptimWrapper
from kinema.optim.building import build_optim_wrapper, check_optim_config
from kinema.optim.precision import Precision
from kinema.optim.wrapper import AmpOptimWrapper, BaseOptimWrapper
from kinema.optim.wrapper_dict import OptimWrapperDict


def wrapper_of(**settings):
    layer = nn.Linear(2, 1)
    return OptimWrapper(torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9), **settings), layer


def test_a_loop_that_counts_makes_its_last_update_of_what_is_left():
    wrapper, layer = wrapper_of(accumulative_counts=3)
    wrapper.initialize_count_status(layer, 0, 7)
    seen = []
    for _ in range(7):
        share, syncs = float(wrapper.scale_loss(torch.tensor(6.0))), wrapper.should_sync()
        wrapper.backward(layer(torch.ones(1, 2)).sum())
        seen.append((share, syncs, wrapper.should_update()))
    thirds = [(2.0, False, False), (2.0, False, False), (2.0, True, True)]
    assert seen == [*thirds, *thirds, (6.0, True, True)]
    assert wrapper.inner_count == 7


def test_a_step_leaves_the_gradients_and_update_params_clears_them():
    wrapper, layer = wrapper_of(clip_grad=dict(type="value", clip_value=0.5))
    wrapper.backward(layer(torch.ones(1, 2)).sum())
    wrapper.step()
    assert layer.weight.grad.tolist() == [[0.5, 0.5]]
    wrapper.update_params(
        layer(torch.ones(1, 2)).sum(), step_kwargs={"closure": None}, zero_kwargs={"set_to_none": False}
    )
    assert layer.weight.grad.tolist() == [[0.0, 0.0]]
    assert wrapper.clip_grad_kwargs == {"clip_value": 0.5}


def test_gradients_that_wait_are_not_exchanged():
    class Parallel(nn.Linear):
        entered = 0

        def no_sync(self):
            self.entered += 1
            return nullcontext()

    model = Parallel(2, 1)
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1), accumulative_counts=2)
    for expected in (1, 1, 2):
        with wrapper.optim_context(model):
            wrapper.update_params(model(torch.ones(1, 2)).sum())
        assert model.entered == expected


def test_the_mixed_precision_wrapper_is_a_class_whose_state_holds_the_scaler():
    model = nn.Linear(2, 1)
    wrapper = build_optim_wrapper(
        model, dict(type="AmpOptimWrapper", dtype="float16", loss_scale=4.0, optimizer=dict(type="SGD", lr=0.1))
    )
    assert isinstance(wrapper, AmpOptimWrapper)
    assert wrapper.loss_scaler.get_scale() == 4.0
    state = wrapper.state_dict()
    other = AmpOptimWrapper(torch.optim.SGD(model.parameters(), lr=0.2), dtype=torch.float16)
    other.load_state_dict(state)
    assert (other.loss_scaler.get_scale(), other.get_lr()) == (4.0, {"lr": [0.1]})


def test_the_interface_is_abstract_and_wrong_clipping_is_named():
    with pytest.raises(TypeError, match="abstract"):
        BaseOptimWrapper(None)
    with pytest.raises(ValueError, match="clip_grad.type must be 'norm' or 'value', got 'sum'"):
        wrapper_of(clip_grad=dict(type="sum"))


def test_wrappers_by_name_report_together_and_update_alone():
    first, layer = wrapper_of()
    second, _ = wrapper_of()
    both = OptimWrapperDict(first=first, second=second)
    assert (len(both), list(both), list(both.keys()), "first" in both) == (
        2,
        ["first", "second"],
        ["first", "second"],
        True,
    )
    assert dict(both.items()) == {"first": first, "second": second}
    assert both.get_lr() == {"first.lr": [0.1], "second.lr": [0.1]}
    assert both.get_momentum() == {"first.momentum": [0.9], "second.momentum": [0.9]}
    assert both.param_groups["second"] is second.param_groups
    assert repr(both).startswith("name: first\nType: OptimWrapper\n")
    first.update_params(layer(torch.ones(1, 2)).sum())
    first.backward(layer(torch.ones(1, 2)).sum())
    state = both.state_dict()
    both.zero_grad()
    assert layer.weight.grad is None
    both.initialize_count_status(layer, 0, 1)
    both.load_state_dict(state)
    for call in (lambda: both.update_params(torch.ones(())), both.step, lambda: both.backward(torch.ones(()))):
        with pytest.raises(NotImplementedError, match="of each wrapper .* it has first, second"):
            call()
    with pytest.raises(NotImplementedError, match="optim_context of each"):
        both.optim_context(layer)
    with pytest.raises(KeyError, match="has no 'third'"):
        both["third"]
    with pytest.raises(TypeError, match="got first=Linear"):
        OptimWrapperDict(first=layer)


def test_a_constructor_of_the_users_own_builds_wrappers_by_name():
    class ByLayer:
        def __init__(self, optim_wrapper_cfg, paramwise_cfg=None):
            self.configs, self.rules = optim_wrapper_cfg, paramwise_cfg

        def __call__(self, model):
            layers = dict(model.named_children())
            return OptimWrapperDict(
                **{name: build_optim_wrapper(layers[name], cfg) for name, cfg in self.configs.items()}
            )

    model = nn.ModuleDict({"first": nn.Linear(2, 2), "second": nn.Linear(2, 1)})
    one = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.1))
    configs = dict(first=one, second=dict(optimizer=dict(type="Adam", lr=0.2)), constructor=ByLayer)
    both = build_optim_wrapper(model, configs)
    assert both.get_lr() == {"first.lr": [0.1], "second.lr": [0.2]}
    assert list(build_optim_wrapper(model, dict(both.items()))) == ["first", "second"]
    step = build_step(RunPlan(model=model, work_dir=Path(), optim_wrapper=both), model, torch.device("cpu"))
    assert (step.optim_wrapper, step.accumulate) == (both, 1)
    in_bf16 = build_optim_wrapper(model, configs, Precision("bf16"))
    assert {wrapper.precision.name for wrapper in in_bf16.values()} == {"bf16"}
    with pytest.raises(ConfigError, match=r"several optimizers by name are OptimWrappers, or .*; got second=dict"):
        build_optim_wrapper(model, dict(first=both["first"], second=dict(optimizer=dict(type="SGD", lr=0.1))))
    with pytest.raises(ConfigError, match=r"optim_wrapper.first.optimizer.lr must be"):
        check_optim_config(dict(first=dict(optimizer=dict(type="SGD", lr="0.1")), second=one))
