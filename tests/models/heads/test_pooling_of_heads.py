import pytest
import torch
from torch import nn

from kinema.models import I3DHead, SlowFastHead, TPNHead, TRNHead, TSMHead, TSNHead, X3DHead


@pytest.mark.parametrize(
    ("make", "name", "kind", "size"),
    [
        (TSNHead, "avg_pool", nn.AdaptiveAvgPool2d, (1, 1)),
        (TSMHead, "avg_pool", nn.AdaptiveAvgPool2d, 1),
        (TRNHead, "avg_pool", nn.AdaptiveAvgPool2d, 1),
        (TPNHead, "avg_pool3d", nn.AdaptiveAvgPool3d, (1, 1, 1)),
        (I3DHead, "avg_pool", nn.AdaptiveAvgPool3d, (1, 1, 1)),
        (SlowFastHead, "avg_pool", nn.AdaptiveAvgPool3d, (1, 1, 1)),
        (X3DHead, "pool", nn.AdaptiveAvgPool3d, (1, 1, 1)),
    ],
)
def test_the_pooling_of_a_head_is_torchs_kind_and_may_be_called(make, name, kind, size) -> None:
    pool = getattr(make(4, 8), name)
    assert isinstance(pool, kind)
    assert pool.output_size == size
    x = torch.rand(2, 8, 3, 5) if kind is nn.AdaptiveAvgPool2d else torch.rand(2, 8, 2, 3, 5)
    torch.testing.assert_close(pool(x), kind(size)(x))


def test_the_maximum_is_pooled_too() -> None:
    x = torch.rand(2, 8, 2, 3, 5)
    assert torch.equal(X3DHead(4, 8, spatial_type="max").pool(x), nn.AdaptiveMaxPool3d(1)(x))


def test_a_pooling_that_a_subclass_puts_in_is_used() -> None:
    x = torch.rand(2, 8, 2, 3, 5)
    head = I3DHead(4, 8, dropout_ratio=0)
    head.avg_pool = nn.AdaptiveMaxPool3d(1)
    assert torch.equal(head(x), head.fc_cls(x.amax((2, 3, 4))))
    head = TSNHead(4, 8, dropout_ratio=0)
    head.avg_pool = nn.AdaptiveMaxPool2d(1)
    assert torch.equal(head(x[:, :, 0], 2), head.fc_cls(x[:, :, 0].amax((2, 3)).mean(0, keepdim=True)))
