import pytest
import torch
from torch import nn

from group_of_one import group_of_one
from kinema.models.layers.cpu_sync_batch_norm import CpuSyncBatchNorm, synchronise_batch_norms


@pytest.fixture(scope="module")
def process_group(tmp_path_factory):
    with group_of_one(tmp_path_factory.mktemp("group")):
        yield


@pytest.mark.parametrize("shape", [(6, 4), (3, 4, 5), (2, 4, 3, 5), (2, 4, 3, 5, 2)])
@pytest.mark.parametrize("options", [{}, {"momentum": None}, {"affine": False}, {"track_running_stats": False}])
def test_in_one_process_it_is_a_batch_norm(process_group, shape: tuple[int, ...], options: dict) -> None:
    plain = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}[len(shape)](4, **options)
    synchronised = CpuSyncBatchNorm(4, **options)
    for _ in range(2):
        a = torch.randn(shape, requires_grad=True)
        b = a.detach().clone().requires_grad_()
        outputs = plain(a), synchronised(b)
        torch.testing.assert_close(*outputs)
        for output in outputs:
            (output.square() * torch.arange(output.numel()).view(shape)).sum().backward()
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(dict(plain.state_dict()), dict(synchronised.state_dict()))
    torch.testing.assert_close(plain.eval()(a), synchronised.eval()(a))


def test_half_precision_is_normalised_in_float32(process_group) -> None:
    x = torch.randn(64, 4).to(torch.bfloat16) + 100
    assert CpuSyncBatchNorm(4)(x).dtype == torch.bfloat16
    torch.testing.assert_close(CpuSyncBatchNorm(4)(x), nn.BatchNorm1d(4)(x.float()).to(torch.bfloat16))


def test_norms_are_replaced_over_the_same_parameters() -> None:
    network = nn.Sequential(nn.Sequential(nn.BatchNorm3d(2), nn.SyncBatchNorm(2)), nn.LayerNorm(2), nn.BatchNorm1d(2))
    network[2].eval().requires_grad_(False)
    before = network.state_dict(keep_vars=True)
    synchronise_batch_norms(network, every=False)
    assert [type(layer) for layer in network[0]] == [nn.BatchNorm3d, CpuSyncBatchNorm]
    synchronise_batch_norms(network)
    assert [type(layer) for layer in (*network[0], network[2])] == [CpuSyncBatchNorm] * 3
    assert not network[2].training
    after = network.state_dict(keep_vars=True)
    assert list(after) == list(before)
    assert all(after[name] is before[name] for name in before)


def test_a_batch_norm_without_a_batch_axis_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"an input of 2 or more axes, got shape \(4,\)"):
        CpuSyncBatchNorm(4)(torch.zeros(4))
