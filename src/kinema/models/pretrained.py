"""The weights that a backbone's `pretrained` names."""

import logging

from torch import nn

from kinema.errors import CheckpointError
from kinema.models.checkpoint import STRIP_WRAPPER, load_checkpoint, load_state, read_state
from kinema.models.inflation import inflate_2d_weights, rename_resnet_weights

logger = logging.getLogger("kinema")


def load_backbone(backbone: nn.Module, path: str) -> None:
    """Load the weights of a backbone, or those of a recognizer's backbone, and log what was found.

    Raises:
        CheckpointError: there is no such checkpoint, or nothing in it fits.
    """
    found = load_checkpoint(backbone, path, revise_keys=(*STRIP_WRAPPER, (r"^backbone\.", "")))
    logger.log(logging.INFO if found.is_complete else logging.WARNING, "%s: %s", path, found)


# Modules that wrap a layer or a block of an image network, and so lengthen its names: `conv1.conv.net.weight`.
_WRAPPERS = ("net", "net2", "block")


def load_image_network(backbone: nn.Module, path: str) -> None:
    """Load the weights of an image network into a backbone that sees frames, and log what was found.

    They may carry torchvision's names or ours, with or without the layers that a backbone wraps around its own. A first
    kernel that sees other channels (optical flow) is fitted as `inflate_2d_weights` says.

    Raises:
        CheckpointError: there is no such checkpoint, or nothing in it fits.
    """
    own = backbone.state_dict()
    wrapped = {".".join(part for part in name.split(".") if part not in _WRAPPERS): name for name in own}
    given = {name.removeprefix("backbone."): one for name, one in read_state(path).items()}
    named = {
        name if name in own else wrapped.get(name, name): one for name, one in rename_resnet_weights(given).items()
    }
    try:
        found = load_state(backbone, inflate_2d_weights(named, own))
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    logger.log(logging.INFO if found.is_complete else logging.WARNING, "%s: %s", path, found)
