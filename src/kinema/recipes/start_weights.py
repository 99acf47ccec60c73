"""Weights that a training starts from and that are not on this machine yet."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from kinema.checkpoints.downloads import find_cached, is_address
from kinema.models.init import is_pretrained


def must_be_downloaded(weights: Any) -> bool:
    """Whether weights are at an address, and not in the cache.

    Raises:
        CheckpointError: the address is wrong.
    """
    return isinstance(weights, str) and is_address(weights) and find_cached(weights) is None


def leave_out_downloads(model: nn.Module) -> list[str]:
    """Let `init_weights` of a model and of its parts load only what needs no download.

    Returns:
        The addresses that are left out.

    Raises:
        CheckpointError: an address is wrong.
    """
    left_out: list[str] = []
    part: Any
    for part in model.modules():
        weights = getattr(part, "pretrained", None)
        if must_be_downloaded(weights):
            left_out.append(str(weights))
            part.pretrained = None
        given = getattr(part, "init_cfg", None)
        entries = [given] if isinstance(given, Mapping) else list(given or ())
        missing = [entry for entry in entries if _loads(entry) and must_be_downloaded(entry.get("checkpoint"))]
        if missing:
            left_out += [entry["checkpoint"] for entry in missing]
            part.init_cfg = [entry for entry in entries if entry not in missing]
    return left_out


def _loads(entry: Any) -> bool:
    return isinstance(entry, Mapping) and is_pretrained(entry)
