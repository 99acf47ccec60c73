import pytest
import torch
from toy_run import Pack, Points, ToyModel

from group_of_one import group_of_one
from kinema.datasets import build_dataloader
from kinema.engine import TrainStep, Window, build_optim_wrapper
from kinema.parallel.strategies import DataParallel


class Own(ToyModel):
    """A model whose training step needs the optimizer, as MMEngine's users write it."""

    def train_step(self, data, optim_wrapper):
        raise AssertionError("gradients would not be averaged")


@pytest.fixture
def one_process(tmp_path):
    with group_of_one(tmp_path):
        yield


def test_a_parallel_step_does_not_need_the_models_own(one_process) -> None:
    (batch,) = build_dataloader(dict(batch_size=24, dataset=Points(pipeline=[Pack()])), seed=1)
    logged, weights = [], []
    for kind in (ToyModel, Own):
        torch.manual_seed(0)
        model = kind()
        before = model.layers[0].weight.detach().clone()
        strategy = DataParallel()
        strategy.wrap(model)
        step = TrainStep(model, build_optim_wrapper(model, dict(optimizer=dict(type="SGD", lr=0.1))), strategy)
        logged.append(float(step(batch, Window())["loss"]))
        weights.append(model.layers[0].weight.detach())
        assert not torch.equal(weights[-1], before)
    assert logged[0] == logged[1]
    assert torch.equal(*weights)
