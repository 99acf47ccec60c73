"""What went wrong in a run: numbers that are not finite, and runs that make no progress."""

from kinema.diagnosis.culprits import bad_gradients, bad_weights, first_bad_module
from kinema.diagnosis.finite import Finding, FiniteGuard
from kinema.diagnosis.reports import Batch, Report, Sample, describe
from kinema.diagnosis.stacks import stacks_of_this_process
from kinema.diagnosis.watchdog import Watchdog

__all__ = [
    "Batch",
    "Finding",
    "FiniteGuard",
    "Report",
    "Sample",
    "Watchdog",
    "bad_gradients",
    "bad_weights",
    "describe",
    "first_bad_module",
    "stacks_of_this_process",
]
