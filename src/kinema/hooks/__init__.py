"""Hooks: the policy of a run, at fixed places of it."""

from kinema.hooks.averaging import EMAHook
from kinema.hooks.broken import BrokenVideosHook
from kinema.hooks.checkpointing import CheckpointHook
from kinema.hooks.clip_lists import ClipListsHook
from kinema.hooks.diagnosing import HangHook, NonFiniteHook
from kinema.hooks.freezing import FreezeHook
from kinema.hooks.hook import Hook
from kinema.hooks.memory import EmptyCacheHook
from kinema.hooks.notes import SummaryNotesHook
from kinema.hooks.precise_bn import PreciseBNHook
from kinema.hooks.profiling import ProfilerHook
from kinema.hooks.receptive_fields import RFSearchHook
from kinema.hooks.recording import LoggerHook
from kinema.hooks.runtime import DistSamplerSeedHook, IterTimerHook, RuntimeInfoHook, SyncBuffersHook
from kinema.hooks.scheduling import ParamSchedulerHook
from kinema.hooks.stopping import StopSignalHook
from kinema.hooks.test_augmentation import PrepareTTAHook
from kinema.hooks.tracking import TrackingHook
from kinema.hooks.validation import EarlyStoppingHook, PatienceHook, ValidationHook
from kinema.hooks.visualizing import VisualizationHook

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
    "RFSearchHook",
    "RuntimeInfoHook",
    "StopSignalHook",
    "SummaryNotesHook",
    "SyncBuffersHook",
    "TrackingHook",
    "ValidationHook",
    "VisualizationHook",
]
