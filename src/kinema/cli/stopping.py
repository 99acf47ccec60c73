"""How a command ends that somebody stops."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from kinema.cli.output import print_note

RESUME = "stopped; the same command with --resume continues where it stopped"


@contextmanager
def stopped_with(note: str) -> Iterator[None]:
    """Where Ctrl-C or a signal stops what is inside, end the command with this note and the signal's exit status."""
    try:
        yield
    except KeyboardInterrupt as stop:  # a run puts the number of another signal into it
        print_note(note)
        raise typer.Exit(128 + (stop.args[0] if stop.args else signal.SIGINT)) from None
