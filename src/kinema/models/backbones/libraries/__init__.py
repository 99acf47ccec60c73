"""Networks of other libraries as backbones: `dict(type="timm.resnet18")`, `dict(type="transformers.VivitModel")`.

The module itself becomes the backbone, so the names of its weights are those of published
checkpoints; how to get features from it is a function beside it.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from kinema.errors import ConfigError
from kinema.models.backbones.libraries.hugging_face import build_transformer
from kinema.models.backbones.libraries.images import build_image_network
from kinema.models.backbones.libraries.network import LibraryNetwork
from kinema.models.backbones.libraries.plain import check_plain as check_plain
from kinema.openmmlab.names import instead_of, same_part

LIBRARIES = ("timm", "torchvision", "transformers")
_NOT_SERVED = ("mmcls", "mmpretrain")


def is_third_party(cfg: Mapping[str, Any]) -> bool:
    """True when the `type` of a backbone's config names a network of another library."""
    kind = cfg.get("type")
    if not isinstance(kind, str) or same_part("model", kind):
        return False
    return kind.partition(".")[0] in (*LIBRARIES, *_NOT_SERVED) and "." in kind


def build_third_party(cfg: Mapping[str, Any]) -> LibraryNetwork:
    """Build a network of another library.

    Args:
        cfg: `type`: `timm.NAME`, `torchvision.NAME` or `transformers.NAME`; all else as
            `build_image_network` and `build_transformer` take it.

    Raises:
        MissingDependencyError: the library is not installed.
        ConfigError: it has no such network, or the network has no such argument.
        CheckpointError: weights are no such network's.
    """
    settings = dict(cfg)
    library, _, name = settings.pop("type").partition(".")
    if library in _NOT_SERVED:
        raise ConfigError(f"backbone {library}.{name}: {instead_of(library, name, settings)}")
    build = build_transformer if library == "transformers" else partial(build_image_network, library)
    return build(name, settings)
