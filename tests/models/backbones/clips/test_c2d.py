import pytest
import torch

from kinema.errors import ConfigError
from kinema.models.backbones import C2D


def test_frames_are_seen_one_by_one_and_halved_once() -> None:
    network = C2D(18, out_indices=(0, 1, 3)).eval()
    torch.manual_seed(0)
    x = torch.randn(2, 3, 5, 64, 64)
    with torch.no_grad():
        first, second, last = network(x)
        assert first.shape == (2, 64, 2, 15, 15)
        assert last.shape == (2, 512, 2, 2, 2)
        frames = [network.layer1(torch.max_pool2d(network.conv1(x[:, :, t]), 3, 2)) for t in range(4)]
        assert torch.allclose(first[:, :, 1], torch.maximum(frames[2], frames[3]), atol=1e-5)
        assert torch.allclose(second[:, :, 0], network.layer2(torch.maximum(frames[0], frames[1])), atol=1e-4)


def test_input_that_does_not_fit_says_what_to_set() -> None:
    with pytest.raises(ConfigError, match=r"C2D halves the frames of a clip, so it needs at least 2, got 1"):
        C2D(18)(torch.zeros(1, 3, 1, 32, 32))
    with pytest.raises(ConfigError, match=r"the clips have 2 channels, but C2D was built with in_channels=3"):
        C2D(18)(torch.zeros(1, 2, 4, 32, 32))
    with pytest.raises(ConfigError, match=r"C2D has no depth 19"):
        C2D(19)
