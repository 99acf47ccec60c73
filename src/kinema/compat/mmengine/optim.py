"""`mmengine.optim`, thin over Kinema."""

from kinema.engine import (
    ConstantLR,
    CosineAnnealingLR,
    LinearLR,
    MultiStepLR,
    OptimWrapper,
    StepLR,
    build_optim_wrapper,
)

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "LinearLR",
    "MultiStepLR",
    "OptimWrapper",
    "StepLR",
    "build_optim_wrapper",
]
