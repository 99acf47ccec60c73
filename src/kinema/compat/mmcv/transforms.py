"""`mmcv.transforms`, thin over Kinema."""

from kinema.registry import TRANSFORMS
from kinema.transforms import BaseTransform, Compose, KeyMapper, RandomApply, RandomChoice, to_tensor

__all__ = ["TRANSFORMS", "BaseTransform", "Compose", "KeyMapper", "RandomApply", "RandomChoice", "to_tensor"]
