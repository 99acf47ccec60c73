import pytest
import torch
from torch import nn

from kinema.models.layers import SubBatchNorm3D, build_norm_layer


def test_each_part_of_a_batch_is_normalised_by_itself() -> None:
    torch.manual_seed(0)
    name, norm = build_norm_layer({"type": "SubBatchNorm3D", "num_splits": 2}, 3)
    x = torch.randn(4, 3, 2, 4, 4) * torch.tensor([1.0, 5.0, 1.0, 5.0]).view(-1, 1, 1, 1, 1)
    y = norm(x)
    assert name == "bn"
    for part in (0, 1):  # clips 0 and 2, clips 1 and 3
        assert torch.allclose(y[part::2], nn.functional.batch_norm(x[part::2], None, None, training=True), atol=1e-4)


def test_joined_statistics_are_those_of_the_whole() -> None:
    torch.manual_seed(0)
    norm = SubBatchNorm3D(3, num_splits=2, momentum=1.0)
    x = torch.randn(4, 3, 4, 8, 8) * 2 + 1
    norm(x)
    norm.aggregate_stats()
    assert torch.allclose(norm.bn.running_mean, x.mean((0, 2, 3, 4)), atol=1e-5)
    assert torch.allclose(norm.bn.running_var, x.var((0, 2, 3, 4)), rtol=1e-2)
    assert abs(norm.eval()(x).mean().item()) < 1e-3


def test_norms_without_statistics_or_scale_are_possible() -> None:
    norm = SubBatchNorm3D(3, affine=False, track_running_stats=False)
    norm.aggregate_stats()
    assert not list(norm.parameters())
    assert norm(torch.randn(2, 3, 2, 2, 2)).shape == (2, 3, 2, 2, 2)


def test_a_batch_that_cannot_be_parted_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a batch of 3 clips cannot be parted in num_splits=2"):
        SubBatchNorm3D(4, num_splits=2)(torch.zeros(3, 4, 1, 2, 2))


def test_statistics_are_joined_whoever_reads_them() -> None:
    torch.manual_seed(0)
    norm, clips = SubBatchNorm3D(3, num_splits=2, momentum=1.0), torch.randn(4, 3, 2, 4, 4) + 5
    norm(clips)
    state = {name: value.clone() for name, value in norm.state_dict().items()}
    expected = clips.mean((0, 2, 3, 4))
    torch.testing.assert_close(state["bn.running_mean"], expected)
    norm(clips + 1)  # averages of the weights read the buffers between two batches
    torch.testing.assert_close(norm.bn.running_mean, expected + 1)

    loaded = SubBatchNorm3D(3, num_splits=2)
    published = {**state, "bn.running_mean": torch.full((3,), 7.0)}  # a file whose parts say otherwise
    loaded.load_state_dict(published)
    assert loaded.eval().bn.running_mean.tolist() == [7.0] * 3
