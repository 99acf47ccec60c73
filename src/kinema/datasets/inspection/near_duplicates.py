"""Clips that show the same: copies by content, and clips whose pictures hardly differ. Pure numpy but for the files."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

MOST_DIFFERENT = 0.10  # share of the bits of two clips; pairs of other scenes differ in 15 % and more
LEAST_KNOWN = 0.4  # share of the bits that must say something: flat pictures are all alike
HASHED_BYTES = 1 << 20  # of each end of a file; two files of one size that agree in these are taken for copies


class Pair(NamedTuple):
    """Two clips whose pictures hardly differ: their places in the two sets, and the share of differing bits."""

    first: int
    second: int
    difference: float


def similar_pairs(
    first: tuple[np.ndarray, np.ndarray],
    second: tuple[np.ndarray, np.ndarray],
    most_different: float = MOST_DIFFERENT,
) -> list[Pair]:
    """For each clip of the second set the clip of the first one that looks most like it, where they hardly differ.

    Args:
        first: (A, P) uint64 bits and (A, P) uint64 of the bits that say something, see
            `difference_hash`; P pictures of each of A clips.
        second: the same of B clips.
        most_different: share of the bits that say something in both.

    Returns:
        Pairs, the most alike first.
    """
    pairs = []
    bits, known = first
    for place, (own_bits, own_known) in enumerate(zip(*second, strict=True)):
        both = known & own_known  # (A, P)
        count = np.bitwise_count(both).sum(axis=1, dtype=np.int64)
        unlike = np.bitwise_count((bits ^ own_bits) & both).sum(axis=1, dtype=np.int64)
        share = np.where(count >= LEAST_KNOWN * 64 * both.shape[1], unlike / np.maximum(count, 1), np.inf)
        if len(share) and share.min() <= most_different:
            pairs.append(Pair(int(share.argmin()), place, float(share.min())))
    return sorted(pairs, key=lambda pair: (pair.difference, pair.second))


def copies(paths: Sequence[str | os.PathLike]) -> list[list[int]]:
    """Files with the same content: of one size, and equal in their first and last megabyte.

    Args:
        paths: the files; a path that comes twice is one file, and those that cannot be read are
            left out.

    Returns:
        Places in `paths` of the files of each content that several of them have, in order.
    """
    by_size: dict[int, dict[str, int]] = defaultdict(dict)
    for place, path in enumerate(paths):
        with suppress(OSError):
            by_size[Path(path).stat().st_size].setdefault(os.fspath(path), place)
    groups: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    for size, files in by_size.items():
        if len(files) > 1 and size:
            for path, place in files.items():
                with suppress(OSError):
                    groups[size, _digest(Path(path), size)].append(place)
    return [group for group in groups.values() if len(group) > 1]


def _digest(path: Path, size: int) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        digest.update(file.read(HASHED_BYTES))
        file.seek(max(size - HASHED_BYTES, 0))
        digest.update(file.read(HASHED_BYTES))
    return digest.digest()
