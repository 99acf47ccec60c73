"""The engine: loops, hooks, optimizers, schedules and the runner that puts them together."""

from kinema.engine.hooks import BrokenVideosHook, Hook, SummaryNotesHook, build_hooks
from kinema.engine.logging import log_to_file, show_on_console, stop_logging
from kinema.engine.loops import EpochBasedTrainLoop, TestLoop, ValLoop
from kinema.engine.optim import OptimWrapper, build_optim_wrapper
from kinema.engine.records import MetricsFile
from kinema.engine.runner import Runner
from kinema.engine.schedules import (
    ConstantLR,
    CosineAnnealingLR,
    LinearLR,
    MultiStepLR,
    Position,
    Schedule,
    StepLR,
    build_schedules,
)

__all__ = [
    "BrokenVideosHook",
    "ConstantLR",
    "CosineAnnealingLR",
    "EpochBasedTrainLoop",
    "Hook",
    "LinearLR",
    "MetricsFile",
    "MultiStepLR",
    "OptimWrapper",
    "Position",
    "Runner",
    "Schedule",
    "StepLR",
    "SummaryNotesHook",
    "TestLoop",
    "ValLoop",
    "build_hooks",
    "build_optim_wrapper",
    "build_schedules",
    "log_to_file",
    "show_on_console",
    "stop_logging",
]
