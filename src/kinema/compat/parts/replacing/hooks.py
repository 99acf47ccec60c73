"""The hooks for other runners in the place of Kinema's; see `kinema.compat.parts.hooks`."""

from kinema import hooks
from kinema.compat.parts.hooks.averaging import EMAHook
from kinema.compat.parts.hooks.checkpointing import CheckpointHook
from kinema.compat.parts.hooks.profiling import ProfilerHook
from kinema.compat.parts.hooks.recording import LoggerHook
from kinema.compat.parts.hooks.scheduling import ParamSchedulerHook
from kinema.compat.parts.hooks.stopping import EarlyStoppingHook
from kinema.compat.parts.hooks.test_augmentation import PrepareTTAHook
from kinema.registry import HOOKS, Registry

REGISTRY: Registry = HOOKS
IN_PLACE_OF = {
    CheckpointHook: hooks.CheckpointHook,
    EarlyStoppingHook: hooks.EarlyStoppingHook,
    EMAHook: hooks.EMAHook,
    LoggerHook: hooks.LoggerHook,
    ParamSchedulerHook: hooks.ParamSchedulerHook,
    PrepareTTAHook: hooks.PrepareTTAHook,
    ProfilerHook: hooks.ProfilerHook,
}

for _part in IN_PLACE_OF:
    REGISTRY.register_module(module=_part, force=True)
