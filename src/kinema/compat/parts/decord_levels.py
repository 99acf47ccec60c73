"""Levels of `decord.logging`. Kinema's readers write nothing to the terminal at any level."""

QUIET, PANIC, FATAL, ERROR, WARNING, INFO, VERBOSE, DEBUG, TRACE = -8, 0, 8, 16, 24, 32, 40, 48, 56
CRITICAL = FATAL


def set_level(lvl: int = ERROR) -> None:
    """Accepted for decord's scripts, has no effect."""
