import pytest
import torch

from kinema.models import CompactNet3D


@pytest.mark.parametrize("shape", [(2, 3, 16, 56, 56), (1, 3, 8, 64, 48), (1, 3, 7, 33, 50), (1, 3, 1, 32, 32)])
def test_features_have_the_stated_shape(shape: tuple[int, ...]) -> None:
    net = CompactNet3D()
    features = net(torch.randn(shape))
    batch, _, frames, height, width = shape
    assert features.shape == (batch, net.out_channels, -(-frames // 2), -(-height // 16), -(-width // 16))


def test_a_motion_and_its_reverse_give_different_features() -> None:
    net = CompactNet3D().eval()
    clip = torch.randn(1, 3, 8, 32, 32)
    forward, backward = (net(one).mean((2, 3, 4)) for one in (clip, clip.flip(2)))
    assert (forward - backward).abs().max() > 1e-3


def test_a_width_too_small_for_two_paths_is_refused() -> None:
    with pytest.raises(ValueError, match="width must be at least 3, got 2"):
        CompactNet3D(width=2)
