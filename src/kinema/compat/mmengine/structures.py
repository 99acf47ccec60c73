"""`mmengine.structures`, thin over Kinema."""

from kinema.structures import BaseDataElement, InstanceData, LabelData

__all__ = [
    "BaseDataElement",
    "InstanceData",
    "LabelData",
]
