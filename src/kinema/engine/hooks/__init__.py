"""Hooks: optional code at fixed places of a run."""

from kinema.engine.hooks.broken import BrokenVideosHook
from kinema.engine.hooks.hook import PRIORITIES, Hook, build_hooks, split_default_hooks

__all__ = ["PRIORITIES", "BrokenVideosHook", "Hook", "build_hooks", "split_default_hooks"]
