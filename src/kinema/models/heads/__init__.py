"""Heads: features -> class scores, losses, predictions."""

from kinema.models.heads.base import BaseHead
from kinema.models.heads.i3d import I3DHead

__all__ = ["BaseHead", "I3DHead"]
