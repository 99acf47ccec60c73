"""The weights that a backbone's `pretrained` names."""

import logging
import os

from torch import nn

from kinema.checkpoints.connections import shown_address
from kinema.checkpoints.loading import LoadReport, load_checkpoint
from kinema.checkpoints.renaming import STRIP_WRAPPER

logger = logging.getLogger("kinema")


def load_backbone(backbone: nn.Module, path: str | os.PathLike[str], *, is_image_network: bool = False) -> None:
    """Load the weights of a backbone, or those of a recognizer's backbone, and log the report.

    Args:
        backbone: is changed in place.
        path: file, folder or address.
        is_image_network: they are those of an image network, to be fitted to a network over videos.
            They may carry torchvision's names or ours, with or without the layers that the backbone
            wraps around its own.

    Raises:
        CheckpointError: there is no such checkpoint, or nothing in it fits.
    """
    keys = STRIP_WRAPPER if is_image_network else (*STRIP_WRAPPER, (r"^backbone\.", ""))
    log_report(path, load_checkpoint(backbone, path, revise_keys=keys, image_network=is_image_network or None))


def log_report(path: str | os.PathLike[str], report: LoadReport) -> None:
    """Log what was loaded: a warning where something is missing that should not be."""
    # A classifier in excess is what every backbone finds; one for other classes is what fine-tuning
    # is about.
    left = [name for name in report.unexpected if not name.startswith(("fc.", "head.", "classifier.", "cls_head."))]
    is_fine = not (report.missing or left) and (not report.mismatched or report.is_complete_but_for_classes)
    logger.log(logging.INFO if is_fine else logging.WARNING, "%s: %s", shown_address(str(path)), report)
