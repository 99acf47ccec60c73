"""`mmaction.models.utils`, thin over Kinema."""

from kinema.models import CutmixBlending, MixupBlending, RandomBatchAugment

__all__ = [
    "CutmixBlending",
    "MixupBlending",
    "RandomBatchAugment",
]
