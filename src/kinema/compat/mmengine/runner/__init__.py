"""`mmengine.runner`, thin over Kinema."""

from kinema.compat.parts.checkpoints import load_checkpoint, load_state_dict, set_random_seed
from kinema.compat.parts.checkpoints import read_checkpoint as _load_checkpoint
from kinema.compat.parts.checkpoints import read_weights_below as _load_checkpoint_with_prefix
from kinema.engine import EpochBasedTrainLoop, Runner, TestLoop, ValLoop

__all__ = [
    "EpochBasedTrainLoop",
    "Runner",
    "TestLoop",
    "ValLoop",
    "_load_checkpoint",
    "_load_checkpoint_with_prefix",
    "load_checkpoint",
    "load_state_dict",
    "set_random_seed",
]
