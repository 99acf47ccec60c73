import pytest
import torch
from torch import nn

from kinema.engine import OptimWrapper, Window
from kinema.errors import ConfigError, PartArgumentError, RegistryError
from kinema.optim.building import build_optim_wrapper
from kinema.registry import OPTIMIZERS


def model_and_data():
    torch.manual_seed(0)
    return nn.Linear(3, 1), torch.randn(8, 3)


def test_every_optimizer_of_torch_has_its_name():
    optimizers = {name: part for name, part in vars(torch.optim).items() if isinstance(part, type)}
    names = [
        name for name, part in optimizers.items() if issubclass(part, torch.optim.Optimizer) and name != "Optimizer"
    ]
    assert len(names) > 10
    for name in names:
        assert OPTIMIZERS.get(name) is optimizers[name]


def test_accumulating_two_batches_equals_one_of_both():
    weights = []
    for counts, batches in ((1, [slice(0, 8)]), (2, [slice(0, 4), slice(4, 8)])):
        model, data = model_and_data()
        wrapper = build_optim_wrapper(model, dict(optimizer=dict(type="SGD", lr=0.1), accumulative_counts=counts))
        for batch in batches:
            with wrapper.optim_context(model):
                loss = model(data[batch]).square().mean()
            wrapper.update_params(loss)
        weights.append(model.weight.detach().clone())
    assert torch.allclose(*weights, atol=1e-7)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_window_of_any_length_equals_one_batch(length):
    weights = []
    for windowed in (False, True):
        model, data = model_and_data()
        wrapper = build_optim_wrapper(model, dict(optimizer=dict(type="SGD", lr=0.1), accumulative_counts=3))
        wrapper.window = Window(0, 1)
        if not windowed:
            wrapper.update_params(model(data[: 2 * length]).square().mean())
        else:
            for index in range(length):
                wrapper.window = Window(index, length)
                wrapper.update_params(model(data[2 * index : 2 * index + 2]).square().mean())
        weights.append(model.weight.detach().clone())
    assert torch.allclose(*weights, atol=1e-7)


@pytest.mark.parametrize(
    ("clip", "norm"), [(dict(max_norm=0.5, norm_type=2), 0.5), (dict(type="value", clip_value=0.01), None)]
)
def test_gradients_are_clipped(clip, norm):
    model, data = model_and_data()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    wrapper = build_optim_wrapper(model, dict(optimizer=dict(type="SGD", lr=1.0), clip_grad=clip))
    wrapper.update_params(1000 * model(data).square().mean())
    moved = torch.cat([(a - b).flatten() for a, b in zip(before, model.parameters(), strict=True)])
    if norm is not None:
        assert moved.norm().item() == pytest.approx(norm, rel=1e-3)
    else:
        assert moved.abs().max().item() == pytest.approx(0.01, rel=1e-3)


def test_frozen_parameters_stay_as_they_are_until_they_are_trained():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[0].requires_grad_(False)
    before = model[0].weight.detach().clone()
    wrapper = build_optim_wrapper(model, dict(optimizer=dict(type="AdamW", lr=0.1, weight_decay=0.1)))
    wrapper.update_params(model(torch.ones(1, 2)).sum())
    assert torch.equal(model[0].weight, before)
    model[0].requires_grad_(True)
    wrapper.update_params(model(torch.ones(1, 2)).sum())
    assert not torch.equal(model[0].weight, before)


def test_built_optimizers_and_wrappers_are_taken():
    model, _ = model_and_data()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    wrapper = build_optim_wrapper(model, optimizer)
    assert wrapper.optimizer is optimizer
    assert build_optim_wrapper(model, wrapper) is wrapper


@pytest.mark.parametrize(
    ("config", "kind", "message"),
    [
        (
            dict(optimizer=dict(type="SGDD", lr=1.0)),
            RegistryError,
            "SGDD is not in the optimizer registry: did you mean SGD",
        ),
        (
            dict(optimizer=dict(type="SGD", lrr=1.0)),
            PartArgumentError,
            r"SGD has no keyword 'lrr' \(did you mean lr\?\)",
        ),
        (dict(optimizer=None), TypeError, "optimizer must be a torch optimizer, got NoneType"),
        (dict(optimizer=dict(type="SGD", lr=1.0), accumulative_counts=0), ValueError, "at least 1, got 0"),
        (
            dict(optimizer=dict(type="SGD", lr=1.0), clip_grad=40),
            TypeError,
            r"clip_grad must be a dict such as .* got 40",
        ),
    ],
)
def test_bad_configs_are_named(config, kind, message):
    model, _ = model_and_data()
    with pytest.raises(kind, match=message):
        build_optim_wrapper(model, config)


def test_wrapper_keeps_the_optimizers_state():
    model, data = model_and_data()
    wrapper = OptimWrapper(torch.optim.Adam(model.parameters()))
    wrapper.update_params(model(data).square().mean())
    other = OptimWrapper(torch.optim.Adam(model.parameters()))
    other.load_state_dict(wrapper.state_dict())
    assert other.state_dict()["state"][0]["step"] == 1


def test_a_step_by_hand_equals_update_params():
    weights = []
    for by_hand in (False, True):
        model, data = model_and_data()
        wrapper = build_optim_wrapper(model, dict(optimizer=dict(type="SGD", lr=0.1), accumulative_counts=2))
        for batch in (data[:4], data[4:]):
            loss = model(batch).square().mean()
            if not by_hand:
                wrapper.update_params(loss)
                continue
            wrapper.backward(wrapper.scale_loss(loss))
            if wrapper.should_update():
                wrapper.step()
        weights.append(model.weight.detach().clone())
    assert torch.equal(*weights)


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (dict(type="SGD", lr="abc"), r"optim_wrapper\.optimizer: SGD takes no such values: .*; got lr='abc'"),
        (
            dict(type="SGD", lr=-1.0),
            r"optim_wrapper\.optimizer: SGD takes no such values: Invalid learning rate: -1\.0; got lr=-1\.0",
        ),
        (
            dict(type="AdamW", lr=0.1, betas=3),
            r"optim_wrapper\.optimizer: AdamW takes no such values: .*; got lr=0\.1, betas=3",
        ),
    ],
)
def test_a_value_that_an_optimizer_does_not_take_is_named(optimizer, message):
    with pytest.raises(ConfigError, match=message):
        build_optim_wrapper(nn.Linear(2, 2), dict(optimizer=optimizer))
