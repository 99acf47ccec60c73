"""The registry of the transforms of images: the scope `mmcv` of the registry of transforms."""

from typing import Any

from kinema.registry import TRANSFORMS, Registry

SCOPE = "mmcv"
_FILES = ("files", "geometry", "random_geometry", "colors", "wrappers")


class _ImageTransforms(Registry):
    """Has the transforms of images; users' parts that are registered here are found everywhere, as in `mmcv`."""

    def _register(self, part: Any, names: list[str] | None, force: bool, place: tuple[str, str, int]) -> None:
        super()._register(part, names, force, place)
        if place[0].partition(".")[0] != "kinema" and self.parent is not None:
            self.parent._register(part, names, force, place)


IMAGE_TRANSFORMS = _ImageTransforms(
    "transform",
    parent=TRANSFORMS,
    scope=SCOPE,
    locations=[f"kinema.compat.parts.image_transforms.{name}" for name in _FILES],
)
TRANSFORMS.children.pop(SCOPE)


def attach() -> None:
    """Find the transforms of images in every registry of transforms.

    By the prefix `mmcv.`, also where there is one of clips of the same name, and without it where
    there is none.
    """
    TRANSFORMS.children[SCOPE] = IMAGE_TRANSFORMS
    TRANSFORMS.fallback = IMAGE_TRANSFORMS


def detach() -> None:
    """Let `mmcv.Resize` name the transform of clips again, and `LoadImageFromFile` none."""
    TRANSFORMS.children.pop(SCOPE, None)
    TRANSFORMS.fallback = None
