"""The registry of hooks with those for other runners; see `kinema.compat.parts.hooks`."""

from kinema import hooks
from kinema.compat.parts.hooks.averaging import EMAHook
from kinema.compat.parts.hooks.checkpointing import CheckpointHook
from kinema.compat.parts.hooks.recording import LoggerHook
from kinema.registry import HOOKS


def register() -> None:
    """Put them in the place of Kinema's."""
    for hook in (CheckpointHook, EMAHook, LoggerHook):
        HOOKS.register_module(module=hook, force=True)


def unregister() -> None:
    """Put Kinema's back."""
    for hook in (hooks.CheckpointHook, hooks.EMAHook, hooks.LoggerHook):
        HOOKS.register_module(module=hook, force=True)


register()
