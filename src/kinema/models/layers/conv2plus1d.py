"""Conv2plus1d: a 3D convolution as a spatial one, a norm, and a temporal one.

Source: A Closer Look at Spatiotemporal Convolutions, Tran et al. 2018, arXiv:1711.11248, section
3.5.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from kinema.models.init import constant_init, kaiming_init
from kinema.models.layers.by_name import LayerCfg, build_norm_layer
from kinema.models.layers.cpu_convolution import Conv3d, PreparedConv, convolve_and_normalize
from kinema.registry import MODELS

Size = int | Sequence[int]


@MODELS.register_module()
class Conv2plus1d(PreparedConv):
    """(B, C, T, H, W) -> (B, out_channels, T', H', W'), by a convolution of H and W and then one of T.

    Between them are as many channels as let both together have the parameters of one with a kernel
    of 3 frames.

    Args:
        in_channels: C.
        out_channels: channels of the output.
        kernel_size: over frames, height and width, as the next three.
        stride: step.
        padding: zeros at each side.
        dilation: distance of neighbouring taps.
        groups: as `nn.Conv3d` has it; must be 1.
        bias: of both convolutions.
        norm_cfg: norm between them.

    Raises:
        ValueError: `groups` is not 1.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        norm_cfg: LayerCfg | None = None,
    ) -> None:
        super().__init__()
        if groups != 1:
            raise ValueError(f"Conv2plus1d has no groups, got groups={groups}")
        kernel, step, pad, spacing = (_triple(size) for size in (kernel_size, stride, padding, dilation))
        area = kernel[1] * kernel[2]
        mid_channels = 3 * in_channels * out_channels * area // (in_channels * area + 3 * out_channels)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size, self.stride, self.padding, self.dilation = kernel, step, pad, spacing
        self.groups = groups
        self.transposed, self.output_padding = False, (0, 0, 0)  # what a block around a convolution reads of it
        self.conv_s = Conv3d(
            in_channels,
            mid_channels,
            (1, *kernel[1:]),
            stride=(1, *step[1:]),
            padding=(0, *pad[1:]),
            dilation=(1, *spacing[1:]),
            bias=bias,
        )
        _, self.bn_s = build_norm_layer({"type": "BN3d"} if norm_cfg is None else norm_cfg, mid_channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv_t = Conv3d(
            mid_channels,
            out_channels,
            (kernel[0], 1, 1),
            stride=(step[0], 1, 1),
            padding=(pad[0], 0, 0),
            dilation=(spacing[0], 1, 1),
            bias=bias,
        )

    def init_weights(self) -> None:
        """Draw both convolutions by Kaiming, and let the norm change nothing."""
        kaiming_init(self.conv_s)
        kaiming_init(self.conv_t)
        constant_init(self.bn_s, 1)

    @property
    def last(self) -> nn.Module:
        """The convolution over frames."""
        return self.conv_t

    def prepare(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, middle, T, H', W'): the convolution over height and width, norm and ReLU."""
        out: Tensor = self.relu(convolve_and_normalize(self.conv_s, self.bn_s, x))
        return out


def _triple(size: Size) -> tuple[int, int, int]:
    if isinstance(size, int):
        return (size, size, size)
    time, height, width = size
    return (time, height, width)
