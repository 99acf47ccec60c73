"""Images and clips to sequences of patches, and neighbouring patches to one."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from kinema.arguments import takes_arguments_of
from kinema.models.base import BaseModule
from kinema.models.init import InitCfg
from kinema.models.layers.bricks.padding import AdaptivePadding, AdaptivePadding3D, Pair, Sides, sides
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

    _padding: ClassVar[type[AdaptivePadding]] = AdaptivePadding

    def __init__(
        self,
        in_channels: int = 3,
        embed_dims: int = 768,
        conv_type: str = "Conv2d",
        kernel_size: Sides = 16,
        stride: Sides | None = 16,
        padding: Sides | Literal["same", "corner"] = "corner",
        dilation: Sides = 1,
        bias: bool = True,
        norm_cfg: LayerCfg | None = None,
        input_size: Sides | None = None,
        init_cfg: InitCfg | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.embed_dims = embed_dims
        axes = self._padding.num_axes
        size, spacing = sides(kernel_size, axes), sides(dilation, axes)
        step = size if stride is None else sides(stride, axes)
        self.adaptive_padding = self._padding(size, step, spacing, padding) if isinstance(padding, str) else None
        zeros = sides(0 if isinstance(padding, str) else padding, axes)
        self.projection = build_conv_layer(
            {"type": conv_type}, in_channels, embed_dims, size, stride=step, padding=zeros, dilation=spacing, bias=bias
        )
        self.norm = None if norm_cfg is None else build_norm_layer(norm_cfg, embed_dims)[1]
        self.init_input_size = self.init_out_size = None
        if input_size is not None:
            self.init_input_size = shape = sides(input_size, axes)
            if self.adaptive_padding is not None:
                missing = self.adaptive_padding.get_pad_shape(shape)
                shape = tuple(side + more for side, more in zip(shape, missing, strict=True))
            self.init_out_size = _windows(shape, size, step, zeros, spacing)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[int, ...]]:
        if self.adaptive_padding is not None:
            x = self.adaptive_padding(x)
        x = self.projection(x)
        shape = tuple(x.shape[2:])
        x = x.flatten(2).transpose(1, 2)  # (B, patches, embed_dims)
        return x if self.norm is None else self.norm(x), shape


class PatchEmbed3D(PatchEmbed):
    """(B, C, T, H, W) -> (B, patches, embed_dims) and (frames, rows, columns) of the patches; see `PatchEmbed`."""

    _padding = AdaptivePadding3D

    @takes_arguments_of(PatchEmbed)
    def __init__(
        self,
        in_channels: int = 3,
        embed_dims: int = 768,
        conv_type: str = "Conv3d",
        kernel_size: Sides = (2, 4, 4),
        stride: Sides | None = (2, 4, 4),
        *args: Any,
        **settings: Any,
    ) -> None:
        super().__init__(in_channels, embed_dims, conv_type, kernel_size, stride, *args, **settings)


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
        size, spacing = sides(kernel_size, 2), sides(dilation, 2)
        step = size if stride is None else sides(stride, 2)
        self.adaptive_padding = AdaptivePadding(size, step, spacing, padding) if isinstance(padding, str) else None
        self._window = size, step, sides(0 if isinstance(padding, str) else padding, 2), spacing
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
        return self.reduction(x), (size[0], size[1])


def _windows(shape: Sequence[int], *window: Sequence[int]) -> tuple[int, ...]:
    """How many windows fit into each side of `shape`; of their sizes, steps, padding and distances of taps."""
    settings = zip(shape, *window, strict=True)
    return tuple(
        (length + 2 * padding - spacing * (size - 1) - 1) // step + 1
        for length, size, step, padding, spacing in settings
    )
