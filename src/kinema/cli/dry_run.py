"""What `kinema train --dry-run` prints."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from kinema.cli.output import print_json, print_line, print_table

_MEMORY = {
    "parameters": "parameters and buffers",
    "gradients": "gradients",
    "optimizer": "optimizer, averages",
    "units": "whole blocks",
    "activations": "activations (measured)",
}


def print_dry_run(config: Mapping[str, Any], world_size: int, *, as_json: bool) -> None:
    """Try a training and print what it would be, as a table or as JSON."""
    from kinema.recipes.dry_run import dry_run

    run = dry_run(config, world_size=world_size)
    if as_json:
        memory = {**asdict(run.memory), "total": run.memory.total}
        print_json({**asdict(run), "memory": memory})
        return
    steps = "no known end" if run.steps is None else f"{run.steps:,} in all"
    measured = (
        "" if run.measured_samples >= run.batch_size else f", computed from {run.measured_samples} of {run.batch_size}"
    )
    rows = [
        ["model", f"{run.model}, {run.parameters / 1e6:.2f} million parameters, {run.trainable / 1e6:.2f} trainable"],
        ["processes", f"{run.world_size} ({run.strategy})"],
        ["samples an epoch", f"{run.samples:,}"],
        ["samples a step", f"{run.samples_per_step:,} ({run.batch_size} a process and batch)"],
        ["steps an epoch", f"{run.steps_per_epoch:,} ({steps})"],
        ["loss of the step", f"{run.loss:.4f}" + (", without the weights to download" if run.to_download else "")],
        *(["weights to download", address] for address in run.to_download),
    ]
    sizes = asdict(run.memory)
    rows += [[f"memory: {name}", size_in_words(sizes[key])] for key, name in _MEMORY.items() if sizes[key]]
    rows += [
        ["memory of a process", size_in_words(run.memory.total)],
        ["a batch", f"{run.step_seconds:.2f} s to compute, {run.load_seconds:.2f} s to read (one process){measured}"],
        [
            "an epoch",
            f"{duration_in_words(run.epoch_seconds)} without validation, at the speed of this machine ({run.device})",
        ],
    ]
    print_table("Dry run: everything was built, one step taken, nothing written", ["", ""], rows)
    if run.world_size > 1:
        print_line("for each process with a device and reading workers like those here; exchanges cost time on top")


def size_in_words(num_bytes: int) -> str:
    """Such as "1.50 GiB"."""
    return f"{num_bytes / 2**30:.2f} GiB" if num_bytes >= 2**30 else f"{num_bytes / 2**20:.1f} MiB"


def duration_in_words(seconds: float) -> str:
    """Such as "2 min 05 s"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"
