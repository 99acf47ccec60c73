"""The weights that a backbone's `pretrained` names."""

import logging
import os
import re
from collections.abc import Callable
from dataclasses import replace

from torch import Tensor, nn

from kinema.checkpoints.connections import shown_address
from kinema.checkpoints.loading import LoadReport, load_checkpoint
from kinema.checkpoints.reading import Checkpoint, read_checkpoint
from kinema.checkpoints.renaming import STRIP_WRAPPER

logger = logging.getLogger("kinema")


def load_backbone(
    backbone: nn.Module, source: str | os.PathLike[str] | Checkpoint, *, is_image_network: bool = False
) -> None:
    """Load the weights of a backbone, or those of a recognizer's backbone, and log the report.

    Args:
        backbone: is changed in place.
        source: a checkpoint, or its file, folder or address.
        is_image_network: they are those of an image network, to be fitted to a network over videos.
            They may carry torchvision's names or ours, with or without the layers that the backbone
            wraps around its own.

    Raises:
        CheckpointError: there is no such checkpoint, or nothing in it fits.
    """
    keys = STRIP_WRAPPER if is_image_network else (*STRIP_WRAPPER, (r"^backbone\.", ""))
    read = source if isinstance(source, Checkpoint) else read_checkpoint(source)
    log_report(read.name, load_checkpoint(backbone, read, revise_keys=keys, image_network=is_image_network or None))


def load_fitted(
    backbone: nn.Module,
    path: str | os.PathLike[str],
    fit: Callable[[str, Tensor, Tensor], Tensor],
    *,
    rename: tuple[str, str] | None = None,
) -> None:
    """Load the weights of a backbone, each made to fit what the backbone has under its name, and log the report.

    Args:
        backbone: is changed in place.
        path: file, folder or address.
        fit: name, weight, and the backbone's own -> the weight to load.
        rename: regular expression and replacement for the names in the file.

    Raises:
        CheckpointError: there is no such checkpoint, or nothing in it fits.
    """
    read = read_checkpoint(path)
    own = backbone.state_dict()
    fitted: dict[str, Tensor] = {}
    for full_name, tensor in read.state.items():
        name = re.sub(r"^(module\.)?(backbone\.)?", "", full_name)
        name = name if rename is None else re.sub(rename[0], rename[1], name)
        fitted[name] = fit(name, tensor, own[name]) if name in own else tensor
    log_report(path, load_checkpoint(backbone, replace(read, state=fitted)))


def log_report(path: str | os.PathLike[str], report: LoadReport) -> None:
    """Log what was loaded: a warning where something is missing that should not be."""
    # A classifier in excess is what every backbone finds; one for other classes is what fine-tuning
    # is about.
    left = [name for name in report.unexpected if not name.startswith(("fc.", "head.", "classifier.", "cls_head."))]
    is_fine = not (report.missing or left) and (not report.mismatched or report.is_complete_but_for_classes)
    logger.log(logging.INFO if is_fine else logging.WARNING, "%s: %s", shown_address(str(path)), report)
