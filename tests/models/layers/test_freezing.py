import torch
from torch import nn

from kinema.models.layers import fix_batch_norms, freeze


def test_frozen_parts_neither_train_nor_change_their_statistics() -> None:
    part = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).train()
    freeze([part])
    part(torch.randn(2, 3, 4, 4))
    assert not any(one.requires_grad for one in part.parameters())
    assert torch.equal(part[1].running_mean, torch.zeros(4))


def test_fixed_batch_norms_keep_their_statistics_and_may_still_learn() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).train()
    fix_batch_norms(network)
    assert network[0].training
    assert not network[1].training
    assert network[1].weight.requires_grad
    fix_batch_norms(network, freeze_parameters=True)
    assert not network[1].weight.requires_grad
    assert network[0].weight.requires_grad
