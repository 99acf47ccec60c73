"""What a training will take, by a few real steps of it: time, memory, and whether reading or computing limits it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch

from kinema.logs import only_to_files
from kinema.memory import whole_memory
from kinema.randomness import capture_state, restore_state
from kinema.recipes.dry_run import DryRun, dry_run

MOST_SECONDS = 2.0  # of a step with the whole batch; a longer one is computed from that of two clips
LIMITS = 1.2  # so many times as long as computing, and reading limits the training
FORWARD = 1 / 3  # of the time of a training step is that of the validation of as many clips
MOST_MEMORY = 0.9  # of what is there


@dataclass(frozen=True)
class Trial:
    """What a training will take on this machine, as far as a few steps show.

    Attributes:
        step_seconds: computing, of a batch.
        load_seconds: reading, of a batch by one process.
        batch_size: clips of a batch.
        workers: processes that read.
        epoch_seconds: training and validation of an epoch.
        epochs: of the whole training, which may stop earlier.
        total_seconds: of the whole training; an estimate.
        memory_bytes: weights, gradients, optimizer and activations of the process that computes.
        available_bytes: memory of the device; None: not known.
        device: that computed.
        limited_by: what takes longer, "reading" or "computing".
    """

    step_seconds: float
    load_seconds: float
    batch_size: int
    workers: int
    epoch_seconds: float
    epochs: int
    total_seconds: float
    memory_bytes: int
    available_bytes: int | None
    device: str
    limited_by: Literal["reading", "computing"]

    @property
    def is_tight(self) -> bool:
        """Is more memory needed than there is?"""
        return self.available_bytes is not None and self.memory_bytes > MOST_MEMORY * self.available_bytes

    @property
    def read_seconds(self) -> float:
        """Reading a batch, by all workers together."""
        return self.load_seconds / max(self.workers, 1)


def try_training(config: Mapping[str, Any]) -> Trial:
    """Take a few steps of a training, of which nothing stays: no file, no random number.

    Args:
        config: of the run.

    Raises:
        ConfigError: a value of the config is wrong, or there is no training in it.
        KinemaError: the data or the weights to start from cannot be read.
    """
    state = capture_state()
    try:
        with only_to_files():  # the training says the same again
            run = dry_run(config, most_seconds=MOST_SECONDS, downloads=True)
    finally:
        restore_state(state)
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            torch.cuda.empty_cache()
    workers = int(config["train_dataloader"].get("num_workers", 0))
    return trial_of(run, workers, _validation_clips(config), int(config["train_cfg"].get("max_epochs") or 1))


def trial_of(run: DryRun, workers: int, val_clips: int, epochs: int) -> Trial:
    """What the figures of a dry run say of the training.

    Args:
        run: the dry run.
        workers: processes that read.
        val_clips: clips to validate on, after each epoch.
        epochs: of the training.
    """
    reading = run.load_seconds / max(workers, 1)
    validation = val_clips / run.batch_size * _together(run.step_seconds * FORWARD, reading, workers)
    epoch = run.batches_per_epoch * _together(run.step_seconds, reading, workers) + validation
    return Trial(
        step_seconds=run.step_seconds,
        load_seconds=run.load_seconds,
        batch_size=run.batch_size,
        workers=workers,
        epoch_seconds=epoch,
        epochs=epochs,
        total_seconds=epochs * epoch,
        memory_bytes=run.memory.total,
        available_bytes=available_memory(run.device),
        device=run.device,
        limited_by="reading" if reading > LIMITS * run.step_seconds else "computing",
    )


def _together(computing: float, reading: float, workers: int) -> float:
    """Seconds of a batch: workers read while the device computes, where the cores suffice for both."""
    return max(computing, reading) if workers else computing + reading


def _validation_clips(config: Mapping[str, Any]) -> int:
    """Clips to validate on, as the recipe has noted them."""
    for hook in config.get("custom_hooks") or ():
        if hook.get("type") == "SummaryNotesHook":
            return int(hook["notes"].get("data", {}).get("val_clips", 0))
    return 0


def available_memory(device: str) -> int | None:
    """Bytes of memory that a device has: of a GPU all of it, of a CPU what this process may use; None: not known."""
    if device.startswith("cuda"):
        return int(torch.cuda.get_device_properties(torch.device(device)).total_memory)
    return whole_memory() if device == "cpu" else None
