"""The weights that a backbone's `pretrained` names."""

import logging

from torch import nn

from kinema.models.checkpoint import STRIP_WRAPPER, load_checkpoint

logger = logging.getLogger("kinema")


def load_backbone(backbone: nn.Module, path: str) -> None:
    """Load the weights of a backbone, or those of a recognizer's backbone, and log what was found.

    Raises:
        CheckpointError: there is no such checkpoint, or nothing in it fits.
    """
    found = load_checkpoint(backbone, path, revise_keys=(*STRIP_WRAPPER, (r"^backbone\.", "")))
    logger.log(logging.INFO if found.is_complete else logging.WARNING, "%s: %s", path, found)
