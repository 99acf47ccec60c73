"""Weights of an image network as the start of a video network.

Source: I3D, Carreira and Zisserman 2017, arXiv:1705.07750, section 2.4 ("inflating 2D ConvNets into
3D"): a kernel is repeated along time and divided by its length, so that a still video gives what
the image gave.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from kinema.checkpoints.renaming import rename_resnet_weights

# Modules that wrap a layer or a block of an image network, and so lengthen its names:
# `conv1.conv.net.weight`.
_WRAPPERS = ("net", "net2", "block")
_PREFIXES = re.compile(r"^(module\.)*(backbone\.)?")


def fit_image_weights(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """Turn the weights of a 2D network into weights of a network over videos that is built like it.

    A kernel that sees more channels than the 2D one (SlowFast's slow pathway, after a lateral
    connection) gets zeros for them. A first kernel that sees another kind of input (optical flow)
    gets the mean over the 2D input channels for each of its own, scaled so that the sum stays (Wang
    et al. 2016, arXiv:1608.00859, section 3.1).

    Args:
        state: weights of a 2D network: under torchvision's names, or our own, or, of networks that
            are not residual ones (MobileNetV2), under any names that come in the order of ours.
        own: state dict of the network over videos, or of a recognizer with it as its backbone.

    Returns:
        The fitted weights under the names of `own`. What has no place there, such as the
        classifier, keeps its name and shape, so that a loader can report it. None when it is no
        network of that kind: no kernel has a place.
    """
    places = _places(own)
    given = {_PREFIXES.sub("", name): tensor for name, tensor in state.items()}
    fitted = _fitted({places.get(name, name): tensor for name, tensor in rename_resnet_weights(given).items()}, own)
    if any(tensor.dim() > 3 and name in own and tensor.shape == own[name].shape for name, tensor in fitted.items()):
        return fitted
    in_order = _named_in_order(given, own, list(places.values()))
    return None if in_order is None else _fitted(in_order, own)


def _fitted(named: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: _fit(tensor, own[name]) if name in own else tensor for name, tensor in named.items()}


def _places(own: Mapping[str, Tensor]) -> dict[str, str]:
    """Names of a backbone's tensors in an image network of its kind -> their names in `own`."""
    names = [name for name in own if name.startswith("backbone.")] or list(own)
    shorts = {name: name.removeprefix("backbone.") for name in names}
    plain = {
        ".".join(part for part in short.split(".") if part not in _WRAPPERS): name for name, short in shorts.items()
    }
    return {**plain, **{short: name for name, short in shorts.items()}}


def _named_in_order(
    given: Mapping[str, Tensor], own: Mapping[str, Tensor], names: list[str]
) -> dict[str, Tensor] | None:
    """The weights under the names of `own`; None unless both have the same shapes in the same order.

    What comes after them, the classifier, keeps its names.
    """
    own_names = [name for name in dict.fromkeys(names) if not name.endswith("num_batches_tracked")]
    given_names = [name for name in given if not name.endswith("num_batches_tracked")]
    if len(given_names) < len(own_names) or not any(own[name].dim() > 3 for name in own_names):
        return None
    pairs = list(zip(own_names, given_names, strict=False))
    if any(own[new].shape != given[old].shape for new, old in pairs):
        return None
    rest = given_names[len(own_names) :]
    return {**{new: given[old] for new, old in pairs}, **{name: given[name] for name in rest}}


def _fit(tensor: Tensor, target: Tensor) -> Tensor:
    """A 2D kernel -> one of the channels and length of `target`; other tensors stay."""
    if tensor.dim() != 4 or target.dim() not in (4, 5):
        return tensor
    tensor = _fit_channels(tensor, target.shape[1], is_first=tensor.shape[1] == 3)
    if target.dim() == 5:
        length = target.shape[2]
        tensor = tensor[:, :, None].repeat(1, 1, length, 1, 1) / length
    return tensor


def _fit_channels(kernel: Tensor, channels: int, *, is_first: bool) -> Tensor:
    """(O, I, H, W) -> (O, `channels`, H, W) where that makes sense."""
    have = kernel.shape[1]
    if is_first and channels != have:
        return kernel.mean(1, keepdim=True).expand(-1, channels, -1, -1) * (have / channels)
    if channels > have > 1:
        return torch.cat([kernel, kernel.new_zeros(len(kernel), channels - have, *kernel.shape[2:])], dim=1)
    return kernel
