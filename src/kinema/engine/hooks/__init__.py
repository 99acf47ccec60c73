"""Hooks: the policy of a run, at fixed places of it."""

from kinema.engine.hooks.averaging import EMAHook
from kinema.engine.hooks.broken import BrokenVideosHook
from kinema.engine.hooks.checkpointing import CheckpointHook
from kinema.engine.hooks.clip_lists import ClipListsHook
from kinema.engine.hooks.diagnosing import HangHook, NonFiniteHook
from kinema.engine.hooks.freezing import FreezeHook
from kinema.engine.hooks.hook import Hook
from kinema.engine.hooks.memory import EmptyCacheHook
from kinema.engine.hooks.notes import SummaryNotesHook
from kinema.engine.hooks.precise_bn import PreciseBNHook
from kinema.engine.hooks.profiling import ProfilerHook
from kinema.engine.hooks.recording import LoggerHook
from kinema.engine.hooks.runtime import DistSamplerSeedHook, IterTimerHook, RuntimeInfoHook, SyncBuffersHook
from kinema.engine.hooks.scheduling import ParamSchedulerHook
from kinema.engine.hooks.stopping import StopSignalHook
from kinema.engine.hooks.test_augmentation import PrepareTTAHook
from kinema.engine.hooks.tracking import TrackingHook
from kinema.engine.hooks.validation import EarlyStoppingHook, PatienceHook, ValidationHook

__all__ = [
    "BrokenVideosHook",
    "CheckpointHook",
    "ClipListsHook",
    "DistSamplerSeedHook",
    "EMAHook",
    "EarlyStoppingHook",
    "EmptyCacheHook",
    "FreezeHook",
    "HangHook",
    "Hook",
    "IterTimerHook",
    "LoggerHook",
    "NonFiniteHook",
    "ParamSchedulerHook",
    "PatienceHook",
    "PreciseBNHook",
    "PrepareTTAHook",
    "ProfilerHook",
    "RuntimeInfoHook",
    "StopSignalHook",
    "SummaryNotesHook",
    "SyncBuffersHook",
    "TrackingHook",
    "ValidationHook",
]
