"""The engine: loops, hooks, optimizers, schedules and the runner that puts them together."""

from kinema.engine.constructors import (
    DefaultOptimWrapperConstructor,
    LearningRateDecayOptimizerConstructor,
    SwinOptimWrapperConstructor,
    TSMOptimWrapperConstructor,
)
from kinema.engine.hooks import BrokenVideosHook, Hook, SummaryNotesHook
from kinema.engine.loops import EpochBasedTrainLoop, TestLoop, ValLoop
from kinema.engine.optim import OptimWrapper
from kinema.engine.parameter_groups import build_groups
from kinema.engine.runner import Runner
from kinema.engine.schedules import ConstantLR, CosineAnnealingLR, LinearLR, MultiStepLR, Position, Schedule, StepLR

__all__ = [
    "BrokenVideosHook",
    "ConstantLR",
    "CosineAnnealingLR",
    "DefaultOptimWrapperConstructor",
    "EpochBasedTrainLoop",
    "Hook",
    "LearningRateDecayOptimizerConstructor",
    "LinearLR",
    "MultiStepLR",
    "OptimWrapper",
    "Position",
    "Runner",
    "Schedule",
    "StepLR",
    "SummaryNotesHook",
    "SwinOptimWrapperConstructor",
    "TSMOptimWrapperConstructor",
    "TestLoop",
    "ValLoop",
    "build_groups",
]
