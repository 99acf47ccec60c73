"""Entries of `summary.json` that a run knows from its config."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kinema.engine.hooks.hook import Hook
from kinema.registry import HOOKS

if TYPE_CHECKING:
    from kinema.engine.runner import Runner


@HOOKS.register_module()
class SummaryNotesHook(Hook):
    """Put further entries into `summary.json`, such as what was found in the data.

    Args:
        notes: the entries by name, in plain values.
    """

    def __init__(self, notes: Mapping[str, Any]) -> None:
        self.notes = dict(notes)

    def before_run(self, runner: "Runner") -> None:
        """Give them to the runner."""
        runner.notes.update(self.notes)
