"""Hooks: optional code at fixed places of a run."""

from kinema.engine.hooks.broken import BrokenVideosHook
from kinema.engine.hooks.clip_lists import ClipListsHook
from kinema.engine.hooks.hook import PRIORITIES, Hook, build_hooks
from kinema.engine.hooks.notes import SummaryNotesHook

__all__ = [
    "PRIORITIES",
    "BrokenVideosHook",
    "ClipListsHook",
    "Hook",
    "SummaryNotesHook",
    "build_hooks",
]
