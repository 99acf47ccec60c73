"""Training without a runner: counters, step, loop, and the checkpoints of a run."""

from kinema.training.checkpoints import restore, resume, snapshot
from kinema.training.loops import TestLoop, TrainLoop, ValLoop
from kinema.training.progress import Every, Progress, Until
from kinema.training.run import Run
from kinema.training.step import TrainStep

__all__ = [
    "Every",
    "Progress",
    "Run",
    "TestLoop",
    "TrainLoop",
    "TrainStep",
    "Until",
    "ValLoop",
    "restore",
    "resume",
    "snapshot",
]
