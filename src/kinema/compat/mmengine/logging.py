"""`mmengine.logging`, thin over Kinema."""

from kinema.compat.parts.loggers import MMLogger, print_log

__all__ = [
    "MMLogger",
    "print_log",
]
