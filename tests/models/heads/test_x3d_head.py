import pytest
import torch

from kinema.errors import ConfigError
from kinema.models.heads import X3DHead


def test_pooled_features_pass_a_hidden_layer() -> None:
    x = torch.randn(2, 6, 3, 2, 2)
    head = X3DHead(5, 6).eval()
    assert torch.allclose(head(x), head.fc2(torch.relu(head.fc1(x.mean((2, 3, 4))))), atol=1e-6)
    assert head.fc1.bias is None
    head = X3DHead(5, 6, spatial_type="max", fc1_bias=True, dropout_ratio=0)
    assert torch.allclose(head(x), head.fc2(torch.relu(head.fc1(x.amax((2, 3, 4))))), atol=1e-6)


def test_features_that_do_not_fit_say_what_to_set() -> None:
    with pytest.raises(
        ConfigError, match=r"the backbone gives 6 channels, but X3DHead .* set in_channels=6 in cls_head"
    ):
        X3DHead(5, 7)(torch.zeros(2, 6, 3, 2, 2))
    with pytest.raises(
        ConfigError, match=r"X3DHead takes features of shape .*, got \(2, 6, 3, 3\): .* frames set .* TSNHead"
    ):
        X3DHead(5, 6)(torch.zeros(2, 6, 3, 3), num_segs=2)
    with pytest.raises(ValueError, match=r"spatial_type must be 'avg' or 'max', got None"):
        X3DHead(5, 6, spatial_type=None)
