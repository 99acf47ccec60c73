import pytest
import torch

from kinema.errors import ConfigError
from kinema.models.heads import SlowFastHead


def test_fast_features_come_before_slow_ones() -> None:
    head = SlowFastHead(5, 6).eval()
    slow, fast = torch.randn(2, 4, 3, 2, 2), torch.randn(2, 2, 6, 2, 2)
    pooled = torch.cat([fast.mean((2, 3, 4)), slow.mean((2, 3, 4))], dim=1)
    assert torch.allclose(head((slow, fast)), head.fc_cls(pooled), atol=1e-6)
    flat = SlowFastHead(5, 6, spatial_type=None, dropout_ratio=0)
    assert flat((slow.mean((2, 3, 4)), fast.mean((2, 3, 4)))).shape == (2, 5)


def test_features_that_do_not_fit_say_what_to_set() -> None:
    slow, fast = torch.randn(2, 4, 3, 2, 2), torch.randn(2, 2, 6, 2, 2)
    with pytest.raises(ConfigError, match=r"the backbone gives 6 channels, but SlowFastHead .* set in_channels=6"):
        SlowFastHead(5, 7)((slow, fast))
    with pytest.raises(ConfigError, match=r"takes the features of two pathways, .* set cls_head to I3DHead"):
        SlowFastHead(5, 6)(slow)
    with pytest.raises(ValueError, match=r"spatial_type must be 'avg' or None, got 'max'"):
        SlowFastHead(5, 6, spatial_type="max")
