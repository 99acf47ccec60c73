"""Windows of a clip: attention within each of them, as it is or shifted by half a window.

Source: Swin Transformer, Liu et al. 2021, arXiv:2103.14030; Video Swin Transformer, Liu et al. 2022,
arXiv:2106.13230.
"""

import itertools
import logging
import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from kinema.models.layers.cpu_convolution import is_plain_cpu
from kinema.models.layers.tables import kept_table
from kinema.models.layers.window_gradient import AttentionOfWindows

logger = logging.getLogger("kinema")

Size = tuple[int, int, int]  # frames, rows, columns
_FAR = -100.0  # what the comparison of tokens of different regions is lowered by, as published


def fitted_window(clip: Size, window: Size, shift: Size) -> tuple[Size, Size]:
    """Window and shift for a clip: where it is not larger than the window, the window is the clip, and not shifted.

    Args:
        clip: size of the clip in tokens.
        window: of the windows.
        shift: distance by which they are shifted.
    """
    fits = [there <= size for there, size in zip(clip, window, strict=True)]
    windows = tuple(there if fit else size for there, size, fit in zip(clip, window, fits, strict=True))
    shifts = tuple(0 if fit else step for step, fit in zip(shift, fits, strict=True))
    return windows, shifts  # type: ignore[return-value]


def is_small_for(window: Size, tokens: Sequence[int], pixels: Sequence[int], num_stages: int) -> bool:
    """Is a map of fewer rows or columns than the windows? Then the log says so.

    A window that is cut to a smaller map takes the first entries of its table of positions, those of other distances.

    Args:
        window: size of the windows.
        tokens: rows and columns of the map of the first stage; each further stage has half of them.
        pixels: rows and columns of the frames.
        num_stages: stages.
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return False
    for stage in range(num_stages):
        rows, columns = (-(-side // 2**stage) for side in tokens)
        if rows < window[1] or columns < window[2]:
            text = "windows of %d x %d tokens (window_size) are larger than the map of %d x %d that stage %d makes of"
            text += " frames of %d x %d pixels, so tokens get positions of other distances: set larger crops or smaller"
            text += " windows"
            logger.warning(text, *window[1:], rows, columns, stage, *pixels)
            return True
    return False


def to_windows(x: Tensor, window: Size) -> Tensor:
    """(B, D, H, W, C), whose sizes the window divides -> (B * windows, tokens of a window, C)."""
    batch, frames, rows, columns, channels = x.shape
    d, h, w = window
    x = x.view(batch, frames // d, d, rows // h, h, columns // w, w, channels)
    return x.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(-1, d * h * w, channels)


def from_windows(windows: Tensor, window: Size, clip: Size) -> Tensor:
    """The inverse of `to_windows`; `clip` is (D, H, W)."""
    counts = [there // size for there, size in zip(clip, window, strict=True)]
    x = windows.view(-1, *counts, *window, windows.shape[-1])
    return x.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(-1, *clip, windows.shape[-1])


@kept_table
def relative_positions(window: Size) -> Tensor:
    """For each pair of tokens of a window, which distance they have: (N, N) int64, N tokens a window."""
    places = torch.stack(torch.meshgrid(*(torch.arange(size) for size in window), indexing="ij")).flatten(1)
    distances = places[:, :, None] - places[:, None]  # (3, N, N)
    number = torch.zeros_like(distances[0])
    for distance, size in zip(distances, window, strict=True):
        number = number * (2 * size - 1) + distance + size - 1
    return number


class WindowKind(NamedTuple):
    """Windows that have tokens of the same regions.

    Attributes:
        numbers: of these windows, (W,) int64.
        far: (N, N) float32: 0 for two tokens of one region, a large negative number for others; None:
            all are of one region.
    """

    numbers: Tensor
    far: Tensor | None


@kept_table
def shifted_kinds(clip: Size, window: Size, shift: Size, device: torch.device) -> tuple[WindowKind, ...]:
    """The kinds of windows of a clip that was rolled by `shift`: there are at most eight.

    A rolled clip joins what was apart: the last windows of each dimension have tokens of two regions,
    which do not look at each other.

    Args:
        clip: size of the padded clip in tokens.
        window: divides it.
        shift: by which it was rolled.
        device: of the tensors.
    """
    regions = np.zeros(clip, dtype=np.int64)  # numpy: a trace of the network takes it as constant
    borders = [
        (slice(0, -size), slice(-size, -step), slice(-step, None)) if step else (slice(None),)
        for size, step in zip(window, shift, strict=True)
    ]
    for number, place in enumerate(itertools.product(*borders)):
        regions[place] = number
    counts = [there // size for there, size in zip(clip, window, strict=True)]
    cut = regions.reshape([part for pair in zip(counts, window, strict=True) for part in pair])
    tokens = cut.transpose(0, 2, 4, 1, 3, 5).reshape(math.prod(counts), -1)  # (windows, N)
    last = np.zeros(counts, dtype=np.int64)
    for dimension, step in enumerate(shift):
        if step:
            index = [slice(None)] * 3
            index[dimension] = slice(-1, None)
            last[tuple(index)] += 1 << dimension
    kinds = []
    for kind in np.unique(last):
        numbers = np.flatnonzero(last == kind)
        of_window = tokens[numbers[0]]
        is_far = of_window[:, None] != of_window[None]
        far = torch.tensor(is_far * np.float32(_FAR), device=device) if is_far.any() else None
        kinds.append(WindowKind(torch.tensor(numbers, device=device), far))
    return tuple(kinds)


def attend_in_windows(
    qkv: Tensor, num_heads: int, bias: Tensor, *, scale: float, kinds: tuple[WindowKind, ...] = (), dropout: float = 0.0
) -> Tensor:
    """Attention of the tokens of each window to each other.

    Args:
        qkv: (B * W, N, 3 C): queries, keys and values of W windows a clip.
        num_heads: heads, which divide C.
        bias: (heads, N, N), is added to the comparison of two tokens.
        scale: of the products of queries and keys.
        kinds: of a shifted clip's windows; empty: no token is far from another of its window.
        dropout: probability that a weight is set to 0.

    Returns:
        (B * W, N, C).
    """
    if dropout or not (torch.is_grad_enabled() and bias.requires_grad and is_plain_cpu(qkv)):
        return _attend_all(qkv, bias, num_heads, scale, kinds, dropout)
    attend = partial(_attend_all, num_heads=num_heads, scale=scale, kinds=kinds)
    rows = torch.arange(len(qkv))
    by_kind = [(rows, kinds[0].far if kinds else None)]
    if len(kinds) > 1:
        by_clip = rows.view(-1, sum(len(kind.numbers) for kind in kinds))
        by_kind = [(by_clip[:, kind.numbers].flatten(), kind.far) for kind in kinds]
    return AttentionOfWindows.apply(qkv, bias, num_heads, scale, by_kind, attend)


def _attend_all(
    qkv: Tensor, bias: Tensor, num_heads: int, scale: float, kinds: tuple[WindowKind, ...], dropout: float = 0.0
) -> Tensor:
    """`attend_in_windows` by torch's kernels and their gradients."""
    rows, tokens, width = qkv.shape
    heads = qkv.view(rows, tokens, 3, num_heads, width // 3 // num_heads).permute(2, 0, 3, 1, 4)
    if len(kinds) < 2:
        far = kinds[0].far if kinds else None
        return _attend(heads, bias if far is None else bias + far, scale, dropout)
    count = sum(len(kind.numbers) for kind in kinds)
    by_clip = heads.unflatten(1, (-1, count))  # (3, B, W, heads, N, C / heads)
    out = qkv.new_empty(rows // count, count, tokens, width // 3)
    for kind in kinds:
        part = by_clip[:, :, kind.numbers].flatten(1, 2)
        attended = _attend(part, bias if kind.far is None else bias + kind.far, scale, dropout)
        out[:, kind.numbers] = attended.view(-1, len(kind.numbers), tokens, width // 3)
    return out.flatten(0, 1)


def _attend(heads: Tensor, bias: Tensor, scale: float, dropout: float) -> Tensor:
    query, key, value = heads
    mask = bias.to(query.dtype).expand(len(query), -1, -1, -1)
    out = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout, scale=scale)
    return out.transpose(1, 2).flatten(2)
