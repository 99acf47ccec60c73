"""The engine: progress, training step, loops, hooks, schedules and the runner that puts them together."""

from kinema.engine.openmmlab_loops import EpochBasedTrainLoop, IterBasedTrainLoop, MultiLoaderEpochBasedTrainLoop
from kinema.engine.plan import RunPlan, plan_of
from kinema.engine.runner import Runner
from kinema.hooks import (
    BrokenVideosHook,
    CheckpointHook,
    EMAHook,
    HangHook,
    Hook,
    LoggerHook,
    NonFiniteHook,
    SummaryNotesHook,
)
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
from kinema.optim.schedules import ConstantLR, CosineAnnealingLR, LinearLR, MultiStepLR, Position, Schedule, StepLR
from kinema.optim.wrapper import OptimWrapper
from kinema.training.checkpoints import restore, resume, snapshot
from kinema.training.loops import TestLoop, TrainLoop, ValLoop
from kinema.training.progress import Every, Progress, Until
from kinema.training.run import Run
from kinema.training.step import TrainStep

__all__ = [
    "BrokenVideosHook",
    "CheckpointHook",
    "ConstantLR",
    "CosineAnnealingLR",
    "DefaultOptimWrapperConstructor",
    "EMAHook",
    "Ema",
    "EpochBasedTrainLoop",
    "Every",
    "HangHook",
    "Hook",
    "IterBasedTrainLoop",
    "LearningRateDecayOptimizerConstructor",
    "LinearLR",
    "LoggerHook",
    "MultiLoaderEpochBasedTrainLoop",
    "MultiStepLR",
    "NonFiniteHook",
    "OptimWrapper",
    "Position",
    "Precision",
    "Progress",
    "Run",
    "RunPlan",
    "Runner",
    "Schedule",
    "StepLR",
    "SummaryNotesHook",
    "SwinOptimWrapperConstructor",
    "TSMOptimWrapperConstructor",
    "TestLoop",
    "TrainLoop",
    "TrainStep",
    "Until",
    "ValLoop",
    "Window",
    "build_groups",
    "build_optim_wrapper",
    "plan_of",
    "restore",
    "resume",
    "snapshot",
]
