"""Hooks: optional code at fixed places of a run."""

from kinema.engine.hooks.hook import PRIORITIES, Hook, build_hooks, split_default_hooks

__all__ = ["PRIORITIES", "Hook", "build_hooks", "split_default_hooks"]
