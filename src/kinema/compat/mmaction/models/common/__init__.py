"""`mmaction.models.common`, thin over Kinema."""

from kinema.models import Conv2plus1d, SubBatchNorm3D
from kinema.models.layers import TAM

__all__ = ["TAM", "Conv2plus1d", "SubBatchNorm3D"]
