"""Names of weights: what wrappers and trainers add to them, and the names of image networks."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

State = dict[str, Tensor]
ReviseKeys = Sequence[tuple[str, str]]
STRIP_WRAPPER: ReviseKeys = ((r"^module\.", ""),)

# What DataParallel, torch.compile and FSDP put into names.
_WRAPPERS = re.compile(r"(?<![^.])(_orig_mod|_fsdp_wrapped_module)\.")
_OUTER_WRAPPERS = re.compile(r"^(module\.)+")


# torchvision's and timm's names of a residual network -> those of blocks of `ConvModule`s.
_RENAMINGS = (
    (re.compile(r"(^|\.)downsample\.0\."), r"\1downsample.conv."),
    (re.compile(r"(^|\.)downsample\.1\."), r"\1downsample.bn."),
    (re.compile(r"(^|\.)conv(\d)\.(weight|bias)$"), r"\1conv\2.conv.\3"),
    (re.compile(r"(^|\.)bn(\d)\."), r"\1conv\2.bn."),
)


def renamed(state: Mapping[str, Tensor], own: Mapping[str, Tensor], revise_keys: ReviseKeys) -> tuple[State, str]:
    """Bring weights under the names of a model.

    Args:
        state: the weights.
        own: state dict of the model.
        revise_keys: (regular expression, replacement) pairs that are applied to the names first, in
            this order.

    Returns:
        The weights, under the names of `own` where they have one, and the prefix that was left out
        of their names.
    """
    unwrapped = {_unwrapped(name): name for name in own}
    revised: State = {}
    for name, tensor in state.items():
        for pattern, replacement in revise_keys:
            name = re.sub(pattern, replacement, name)
        revised[name if name in own else unwrapped.get(_unwrapped(name), name)] = tensor
    prefix = _shared_prefix(
        {_unwrapped(name): tensor.shape for name, tensor in revised.items()},
        {name: own[full].shape for name, full in unwrapped.items()},
    )
    if not prefix:
        return revised, ""
    given: State = {}
    for name, tensor in revised.items():
        plain = _unwrapped(_unwrapped(name).removeprefix(prefix))
        given[unwrapped.get(plain, plain) if _unwrapped(name).startswith(prefix) else name] = tensor
    return given, prefix


def _shared_prefix(shapes: Mapping[str, torch.Size], own: Mapping[str, torch.Size]) -> str:
    """What a wrapper put before the names; empty: nothing.

    Without it most of them fit, with it none is in `own`.
    """
    if any(name in own for name in shapes):
        return ""
    counts = Counter(prefix for name in shapes for prefix in _prefixes(name))
    best, most = "", 0
    for prefix, count in counts.items():
        fits = sum(
            own.get(_unwrapped(name.removeprefix(prefix))) == shape
            for name, shape in shapes.items()
            if name.startswith(prefix)
        )
        if fits > most and 2 * fits > count and 2 * count > len(shapes):
            best, most = prefix, fits
    return best


def _prefixes(name: str) -> list[str]:
    """The first one, two and three parts of a dotted name, each with its dot."""
    parts = name.split(".")
    return [".".join(parts[:count]) + "." for count in range(1, min(4, len(parts)))]


def _unwrapped(name: str) -> str:
    return _OUTER_WRAPPERS.sub("", _WRAPPERS.sub("", name))


def rename_resnet_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names of torchvision's residual networks -> ours; others stay.

    `layer1.0.bn2.bias` -> `layer1.0.conv2.bn.bias`.
    """
    renamed = {}
    for name, tensor in state.items():
        for pattern, replacement in _RENAMINGS:
            if pattern.search(name):
                name = pattern.sub(replacement, name)
                break
        renamed[name] = tensor
    return renamed
