"""Images to sequences of patches, and neighbouring patches to one."""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from kinema.models.base import BaseModule
from kinema.models.init import InitCfg
from kinema.models.layers.bricks.padding import AdaptivePadding, Pair, pair
from kinema.models.layers.by_name import LayerCfg, build_conv_layer, build_norm_layer


class PatchEmbed(BaseModule):
    """(B, C, H, W) -> (B, patches, embed_dims) and (rows, columns) of the patches.

    Args:
        in_channels: C.
        embed_dims: channels of a patch.
        conv_type: the convolution that embeds, by name.
        kernel_size: of the convolution: the size of a patch.
        stride: distance of neighbouring patches; None: `kernel_size`.
        padding: zeros at each side, or as `AdaptivePadding` has it.
        dilation: of the convolution.
        bias: of the convolution.
        norm_cfg: norm of the patches; None: none.
        input_size: (H, W) that is usual, from which `init_out_size` is computed.
        init_cfg: see `BaseModule`.
    """

    def __init__(
        self,
        in_channels: int = 3,
        embed_dims: int = 768,
        conv_type: str = "Conv2d",
        kernel_size: Pair = 16,
        stride: Pair | None = 16,
        padding: Pair | Literal["same", "corner"] = "corner",
        dilation: Pair = 1,
        bias: bool = True,
        norm_cfg: LayerCfg | None = None,
        input_size: Pair | None = None,
        init_cfg: InitCfg | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.embed_dims = embed_dims
        size, step, spacing = pair(kernel_size), pair(kernel_size if stride is None else stride), pair(dilation)
        self.adaptive_padding = AdaptivePadding(size, step, spacing, padding) if isinstance(padding, str) else None
        zeros = (0, 0) if isinstance(padding, str) else pair(padding)
        self.projection = build_conv_layer(
            {"type": conv_type}, in_channels, embed_dims, size, stride=step, padding=zeros, dilation=spacing, bias=bias
        )
        self.norm = None if norm_cfg is None else build_norm_layer(norm_cfg, embed_dims)[1]
        self.init_input_size = self.init_out_size = None
        if input_size is not None:
            self.init_input_size = height, width = pair(input_size)
            if self.adaptive_padding is not None:
                rows, columns = self.adaptive_padding.get_pad_shape((height, width))
                height, width = height + rows, width + columns
            self.init_out_size = _windows((height, width), size, step, zeros, spacing)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        if self.adaptive_padding is not None:
            x = self.adaptive_padding(x)
        x = self.projection(x)
        rows, columns = x.shape[2:]
        x = x.flatten(2).transpose(1, 2)  # (B, patches, embed_dims)
        return x if self.norm is None else self.norm(x), (rows, columns)


class PatchMerging(BaseModule):
    """(B, H W, in_channels) -> (B, H' W', out_channels) and (H', W'): each window of patches becomes one.

    Args:
        in_channels: channels of a patch.
        out_channels: channels of a merged one.
        kernel_size: of the window.
        stride: its steps; None: `kernel_size`.
        padding: zeros at each side, or as `AdaptivePadding` has it.
        dilation: distance of neighbouring patches of a window.
        bias: of the projection.
        norm_cfg: norm in front of the projection; None: none.
        init_cfg: see `BaseModule`.

    Source: Swin Transformer, Liu et al. 2021, arXiv:2103.14030, section 3.1; the order of a merged
    patch's channels is that of `torch.nn.Unfold`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair = 2,
        stride: Pair | None = None,
        padding: Pair | Literal["same", "corner"] = "corner",
        dilation: Pair = 1,
        bias: bool = False,
        norm_cfg: LayerCfg | None = {"type": "LN"},  # noqa: B006 - never changed
        init_cfg: InitCfg | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels = in_channels
        self.out_channels = out_channels
        size, step, spacing = pair(kernel_size), pair(kernel_size if stride is None else stride), pair(dilation)
        self.adaptive_padding = AdaptivePadding(size, step, spacing, padding) if isinstance(padding, str) else None
        self._window = size, step, (0, 0) if isinstance(padding, str) else pair(padding), spacing
        self.sampler = nn.Unfold(size, spacing, self._window[2], step)
        channels = size[0] * size[1] * in_channels
        self.norm = None if norm_cfg is None else build_norm_layer(norm_cfg, channels)[1]
        self.reduction = nn.Linear(channels, out_channels, bias=bias)

    def forward(self, x: Tensor, input_size: Sequence[int]) -> tuple[Tensor, tuple[int, int]]:
        """Merge.

        Args:
            x: (B, H W, in_channels).
            input_size: (H, W).

        Raises:
            TypeError: `input_size` is no pair.
            ValueError: it is not that of `x`.
        """
        if not isinstance(input_size, Sequence):
            raise TypeError(f"input_size is (H, W), got {input_size!r}")
        height, width = input_size
        if height * width != x.shape[1]:
            raise ValueError(f"input_size {tuple(input_size)} has {height * width} patches, but x has {x.shape[1]}")
        x = x.transpose(1, 2).unflatten(2, (height, width))  # (B, in_channels, H, W)
        if self.adaptive_padding is not None:
            x = self.adaptive_padding(x)
        size = _windows((x.shape[2], x.shape[3]), *self._window)
        x = self.sampler(x).transpose(1, 2)  # (B, H' W', in_channels times size of a window)
        x = x if self.norm is None else self.norm(x)
        return self.reduction(x), size


def _windows(
    shape: tuple[int, int],
    size: tuple[int, int],
    step: tuple[int, int],
    padding: tuple[int, int],
    spacing: tuple[int, int],
) -> tuple[int, int]:
    """How many windows fit into (H, W), in rows and columns."""
    rows, columns = ((shape[i] + 2 * padding[i] - spacing[i] * (size[i] - 1) - 1) // step[i] + 1 for i in range(2))
    return rows, columns
