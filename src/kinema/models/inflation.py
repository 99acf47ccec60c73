"""Weights of an image network as the start of a video network.

Source: I3D, Carreira and Zisserman 2017, arXiv:1705.07750, section 2.4 ("inflating 2D ConvNets into 3D"): a kernel is repeated
along time and divided by its length, so that a still video gives what the image gave.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

# torchvision's and timm's names of a residual network -> those of blocks of `ConvModule`s.
_RENAMINGS = (
    (re.compile(r"(^|\.)downsample\.0\."), r"\1downsample.conv."),
    (re.compile(r"(^|\.)downsample\.1\."), r"\1downsample.bn."),
    (re.compile(r"(^|\.)conv(\d)\.(weight|bias)$"), r"\1conv\2.conv.\3"),
    (re.compile(r"(^|\.)bn(\d)\."), r"\1conv\2.bn."),
)


def rename_resnet_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names of torchvision's residual networks -> ours; others stay: `layer1.0.bn2.bias` -> `layer1.0.conv2.bn.bias`."""
    renamed = {}
    for name, tensor in state.items():
        for pattern, replacement in _RENAMINGS:
            if pattern.search(name):
                name = pattern.sub(replacement, name)
                break
        renamed[name] = tensor
    return renamed


def inflate_2d_weights(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Turn the weights of a 2D residual network into weights of a 3D one.

    A kernel that sees more channels than the 2D one (SlowFast's slow pathway, after a lateral connection) gets zeros for
    them. A first kernel that sees another kind of input (optical flow) gets the mean over the 2D input channels for each
    of its own, scaled so that the sum stays (Wang et al. 2016, arXiv:1608.00859, section 3.1).

    Args:
        state: weights of a 2D network under torchvision's names, or our own.
        own: state dict of the 3D network, for its names and shapes.

    Returns:
        The inflated weights under the names of `own`. What has no place there, such as the classifier, keeps its name and
        shape, so that a loader can report it.
    """
    inflated = {}
    for name, tensor in rename_resnet_weights(state).items():
        short = name.removeprefix("backbone.")
        if name not in own and short in own:
            name = short
        target = own.get(name)
        if target is not None and tensor.dim() == 4 and target.dim() in (4, 5):
            tensor = _fit_channels(tensor, target.shape[1], is_first=tensor.shape[1] == 3)
            if target.dim() == 5:
                length = target.shape[2]
                tensor = tensor[:, :, None].repeat(1, 1, length, 1, 1) / length
        inflated[name] = tensor
    return inflated


def _fit_channels(kernel: Tensor, channels: int, *, is_first: bool) -> Tensor:
    """(O, I, H, W) -> (O, `channels`, H, W) where that makes sense."""
    have = kernel.shape[1]
    if is_first and channels != have:
        return kernel.mean(1, keepdim=True).expand(-1, channels, -1, -1) * (have / channels)
    if channels > have > 1:
        return torch.cat([kernel, kernel.new_zeros(len(kernel), channels - have, *kernel.shape[2:])], dim=1)
    return kernel
