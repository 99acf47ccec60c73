import pytest
import torch

from kinema.errors import ConfigError
from kinema.models.layers import TAM


def slow_tam(tam: TAM, x: torch.Tensor) -> torch.Tensor:
    """Clip by clip, channel by channel: a convolution over time whose kernel the clip made itself."""
    frames, taps = tam.num_segments, tam.adaptive_kernel_size
    out = torch.zeros_like(x)
    for start in range(0, len(x), frames):
        clip = x[start : start + frames].transpose(0, 1)  # (C, T, H, W)
        pooled = clip.mean((2, 3))
        weights = tam.L(pooled[None])[0]
        for channel, kernel in enumerate(tam.G(pooled)):
            weighed = clip[channel] * weights[channel, :, None, None]
            for time in range(frames):
                for tap in range(taps):
                    source = time + tap - taps // 2
                    if 0 <= source < frames:
                        out[start + time, channel] += kernel[tap] * weighed[source]
    return out


@pytest.mark.parametrize(
    ("frames", "settings"), [(3, {}), (4, {"adaptive_kernel_size": 5, "adaptive_convolution_padding": 2})]
)
def test_frames_are_weighed_and_convolved_by_what_the_clip_says(frames, settings) -> None:
    tam = TAM(8, frames, **settings).double().eval()
    x = torch.randn(12, 8, 2, 3, dtype=torch.float64)
    torch.testing.assert_close(tam(x), slow_tam(tam, x))


def test_gradients_are_those_of_the_definition() -> None:
    tam = TAM(4, 3).double().eval()
    ours = torch.randn(6, 4, 2, 2, dtype=torch.float64, requires_grad=True)
    slow = ours.detach().clone().requires_grad_()
    tam(ours).pow(2).sum().backward()
    mine = [one.grad.clone() for one in tam.parameters()]
    tam.zero_grad()
    slow_tam(tam, slow).pow(2).sum().backward()
    torch.testing.assert_close(ours.grad, slow.grad)
    for one, other in zip(mine, tam.parameters(), strict=True):
        torch.testing.assert_close(one, other.grad)


def test_a_clip_shorter_than_the_kernel_works() -> None:
    tam = TAM(4, 2, adaptive_kernel_size=7, adaptive_convolution_padding=3).double().eval()
    x = torch.randn(4, 4, 2, 2, dtype=torch.float64)
    torch.testing.assert_close(tam(x), slow_tam(tam, x))


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"TAM must keep the number of frames: .* got 2, 1 for 3 taps"):
        TAM(8, 4, adaptive_convolution_stride=2)
    with pytest.raises(ConfigError, match="TAM needs at least beta=4 channels, got 3"):
        TAM(3, 4)
    with pytest.raises(ConfigError, match="num_segments=4 of the backbone does not divide the 6 frames of the batch"):
        TAM(8, 4)(torch.rand(6, 8, 1, 1))
