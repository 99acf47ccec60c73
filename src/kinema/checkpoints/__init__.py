"""Checkpoints: weights and their contract. Reading, downloading, loading with a report, saving."""

from kinema.checkpoints.contract import ModelContract
from kinema.checkpoints.loading import LoadReport, load_checkpoint
from kinema.checkpoints.reading import Checkpoint, read_checkpoint
from kinema.checkpoints.saving import save_pretrained
from kinema.checkpoints.store import CheckpointStore, read_training_state

__all__ = [
    "Checkpoint",
    "CheckpointStore",
    "LoadReport",
    "ModelContract",
    "load_checkpoint",
    "read_checkpoint",
    "read_training_state",
    "save_pretrained",
]
