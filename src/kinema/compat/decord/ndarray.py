"""`decord.ndarray`, thin over Kinema."""

from kinema.compat.parts.decord_reader import NDArray, cpu, gpu

__all__ = [
    "NDArray",
    "cpu",
    "gpu",
]
