import copy

import pytest
import torch
from torch import nn

from kinema.compat.parts.models import (
    build_model,
    convert_sync_batchnorm,
    merge_dict,
    revert_sync_batchnorm,
)
from kinema.models.layers.cpu_sync_batch_norm import BatchNormXd


def test_later_dicts_win() -> None:
    assert merge_dict({"a": 1, "b": 1}, {"b": 2}, {}) == {"a": 1, "b": 2}


def test_batch_norms_over_processes_become_plain_and_back() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.SyncBatchNorm(4)))
    nn.init.normal_(net[1][0].weight)
    state = copy.deepcopy(net.state_dict())
    plain = revert_sync_batchnorm(net).eval()
    assert type(plain[1][0]) is BatchNormXd
    assert all(torch.equal(value, state[name]) for name, value in plain.state_dict().items())
    for shape in ((2, 3, 4, 4), (2, 3)):
        x = torch.rand(2, 4, *shape[2:])
        assert torch.allclose(plain[1](x), x * (state["1.0.weight"] / (1 + 1e-5) ** 0.5).view(-1, *[1] * (x.dim() - 2)))
    assert type(revert_sync_batchnorm(nn.SyncBatchNorm(3))) is BatchNormXd
    assert type(convert_sync_batchnorm(net)[1][0]) is nn.SyncBatchNorm
    with pytest.raises(ValueError, match="only implementation='torch' is there, got 'mmcv'"):
        convert_sync_batchnorm(net, implementation="mmcv")


def test_a_model_of_an_older_config_gets_the_settings_beside_it() -> None:
    config = {"type": "Recognizer2D", "backbone": {"type": "ResNet", "depth": 18}}
    model = build_model(config, test_cfg={"max_testing_views": 2})
    assert (type(model).__name__, model.test_cfg, model.backbone_from) == (
        "Recognizer2D", {"max_testing_views": 2}, "mmaction2"
    )  # fmt: skip
