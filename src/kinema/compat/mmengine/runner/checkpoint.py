"""`mmengine.runner.checkpoint`, thin over Kinema."""

from kinema.compat.parts.checkpoints import load_checkpoint, load_state_dict
from kinema.compat.parts.checkpoints import read_checkpoint as _load_checkpoint
from kinema.compat.parts.checkpoints import read_weights_below as _load_checkpoint_with_prefix

__all__ = ["_load_checkpoint", "_load_checkpoint_with_prefix", "load_checkpoint", "load_state_dict"]
