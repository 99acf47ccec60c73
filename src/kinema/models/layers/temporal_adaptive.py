"""Temporal adaptive module: each clip makes its own kernel over time, and says which frames matter.

Source: TAM, Liu et al. 2021, arXiv:2005.06803, section 3.
"""

from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.openmmlab.keywords import accepts_openmmlab_keywords


@accepts_openmmlab_keywords
class TAM(nn.Module):
    """(B * T, C, H, W) -> the same: frames weighed by the local branch, then convolved in time by the global branch.

    Args:
        in_channels: C.
        num_segments: T.
        alpha: width of the global branch, in T.
        adaptive_kernel_size: K, taps of the kernel that it makes, an odd number.
        beta: the local branch has C / `beta` channels.
        conv1d_kernel_size: taps of the local branch.
        adaptive_convolution_stride: of the convolution in time; 1.
        adaptive_convolution_padding: of the convolution in time; (K - 1) / 2.

    Raises:
        ConfigError: a size is below 1, stride and padding change the number of frames, C is too small, or (when
            called) T does not divide the frames.
    """

    def __init__(
        self,
        in_channels: int,
        num_segments: int,
        alpha: int = 2,
        adaptive_kernel_size: int = 3,
        beta: int = 4,
        conv1d_kernel_size: int = 3,
        adaptive_convolution_stride: int = 1,
        adaptive_convolution_padding: int = 1,
    ) -> None:
        super().__init__()
        sizes = {"num_segments": num_segments, "alpha": alpha, "adaptive_kernel_size": adaptive_kernel_size}
        for name, value in {**sizes, "beta": beta, "conv1d_kernel_size": conv1d_kernel_size}.items():
            if value < 1:
                raise ConfigError(f"{name} of TAM must be at least 1, got {value}")
        if adaptive_convolution_stride != 1 or 2 * adaptive_convolution_padding != adaptive_kernel_size - 1:
            raise ConfigError(
                "TAM must keep the number of frames: adaptive_convolution_stride=1 and"
                f" adaptive_convolution_padding=(adaptive_kernel_size - 1) / 2, got {adaptive_convolution_stride},"
                f" {adaptive_convolution_padding} for {adaptive_kernel_size} taps"
            )
        if in_channels < beta:
            raise ConfigError(f"TAM needs at least beta={beta} channels, got {in_channels}")
        self.in_channels = in_channels
        self.num_segments = num_segments
        self.alpha = alpha
        self.adaptive_kernel_size = adaptive_kernel_size
        self.beta = beta
        self.conv1d_kernel_size = conv1d_kernel_size
        self.adaptive_convolution_stride = adaptive_convolution_stride
        self.adaptive_convolution_padding = adaptive_convolution_padding
        width = num_segments * alpha
        self.G = nn.Sequential(
            nn.Linear(num_segments, width, bias=False),
            nn.BatchNorm1d(width),
            nn.ReLU(inplace=True),
            nn.Linear(width, adaptive_kernel_size, bias=False),
            nn.Softmax(-1),
        )
        self.L = nn.Sequential(
            nn.Conv1d(
                in_channels, in_channels // beta, conv1d_kernel_size, padding=conv1d_kernel_size // 2, bias=False
            ),
            nn.BatchNorm1d(in_channels // beta),
            nn.ReLU(inplace=True),
            nn.Conv1d(in_channels // beta, in_channels, 1, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        frames = self.num_segments
        if len(x) % frames:
            raise ConfigError(
                f"num_segments={frames} of the backbone does not divide the {len(x)} frames of the batch: sample a"
                " multiple of them, or change num_segments"
            )
        clips = x.unflatten(0, (-1, frames))  # (B, T, C, H, W)
        pooled = x.mean((2, 3)).unflatten(0, (-1, frames)).transpose(1, 2)  # (B, C, T)
        kernel = self.G(pooled.flatten(0, 1)).unflatten(0, pooled.shape[:2])  # (B, C, K)
        weights = self.L(pooled)  # (B, C, T)
        half = self.adaptive_kernel_size // 2
        out = clips * _factors(weights * kernel[..., half : half + 1])
        for tap in range(self.adaptive_kernel_size):
            lag = tap - half  # frame t takes from frame t + lag
            if lag == 0 or abs(lag) >= frames:
                continue
            into = slice(max(0, -lag), frames - max(0, lag))
            source = slice(max(0, lag), frames - max(0, -lag))
            out[:, into].addcmul_(clips[:, source], _factors((weights * kernel[..., tap : tap + 1])[..., source]))
        return out.flatten(0, 1)


def _factors(values: Tensor) -> Tensor:
    """(B, C, T) -> (B, T, C, 1, 1)."""
    return values.transpose(1, 2)[..., None, None]
