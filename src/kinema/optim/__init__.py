"""Parameters and their updates: optimizers, groups, schedules, accumulation, precision, averages."""

from kinema.optim.accumulation import Window
from kinema.optim.building import build_optim_wrapper
from kinema.optim.constructors import (
    DefaultOptimWrapperConstructor,
    LearningRateDecayOptimizerConstructor,
    SwinOptimWrapperConstructor,
    TSMOptimWrapperConstructor,
)
from kinema.optim.ema import Ema
from kinema.optim.parameter_groups import build_groups
from kinema.optim.precision import Precision
from kinema.optim.schedules import (
    ConstantLR,
    CosineAnnealingLR,
    LinearLR,
    MultiStepLR,
    Position,
    Schedule,
    StepLR,
    apply_schedules,
    build_schedules,
)
from kinema.optim.wrapper import OptimWrapper

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "DefaultOptimWrapperConstructor",
    "Ema",
    "LearningRateDecayOptimizerConstructor",
    "LinearLR",
    "MultiStepLR",
    "OptimWrapper",
    "Position",
    "Precision",
    "Schedule",
    "StepLR",
    "SwinOptimWrapperConstructor",
    "TSMOptimWrapperConstructor",
    "Window",
    "apply_schedules",
    "build_groups",
    "build_optim_wrapper",
    "build_schedules",
]
