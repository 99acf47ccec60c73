"""Entries of `summary.json` that a run knows from its config."""

from collections.abc import Mapping
from typing import Any

from kinema.hooks.hook import Hook
from kinema.registry import HOOKS
from kinema.training.run import Run


@HOOKS.register_module()
class SummaryNotesHook(Hook):
    """Put further entries into `summary.json`, such as what was found in the data.

    Args:
        notes: the entries by name, in plain values.
    """

    def __init__(self, notes: Mapping[str, Any]) -> None:
        self.notes = dict(notes)

    def before_run(self, runner: Run) -> None:
        """Give them to the runner."""
        runner.notes.update(self.notes)
