"""Backbones: clips -> features."""

from kinema.models.backbones.compact import CompactNet3D

__all__ = ["CompactNet3D"]
