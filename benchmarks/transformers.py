"""Transformers: time of a forward pass and of a training step, and peak memory, against MMAction2's.

Where MMAction2 is not installed beside Kinema, the other side is the same network with attention
by explicit matrices of all pairs of tokens. All else is as in models.py: same weights and inputs,
processor time, both sides take turns, a process for each network, the scores must agree.

The claims against MMAction2 on a CPU: ViT, VideoMAE and TimeSformer 0.70 of its forward time, Swin,
MViT and UniFormer 0.90, none above 1.0, a training step 0.85, peak memory never above it. Where
MKL multiplies for both sides, most of TimeSformer's time are products with the same weights: it stays
above its claim, which is below what --floor prints, the share of these products alone.

Run: python benchmarks/transformers.py [PATTERN ...] [--train] [--memory] [--floor] [--rounds N] [--threads N]
"""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from contenders.networks import Contender, ours
from contenders.openmmlab import is_installed
from torch.nn.attention import SDPBackend, sdpa_kernel

from models import main

# One size a family.
NAMES = (
    *("timesformer_b_divided", "timesformer_b_joint", "timesformer_b_space", "videomae_vit_base"),
    *("swin_t", "mvit_s", "uniformer_s", "uniformerv2_b16_u8"),
)


def explicit(config: dict[str, Any]) -> Contender:
    """The same network, whose attention builds the matrices of all pairs."""

    def by_matrices() -> AbstractContextManager[None]:
        return sdpa_kernel(SDPBackend.MATH)

    return ours(config, by_matrices)


if __name__ == "__main__":
    folder = Path(__file__).parent
    other = folder / "contenders/openmmlab.py:original" if is_installed() else f"{__file__}:explicit"
    main(NAMES, str(other))
