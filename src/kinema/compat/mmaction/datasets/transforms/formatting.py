"""`mmaction.datasets.transforms.formatting`, thin over Kinema."""

from kinema.transforms import FormatShape, PackActionInputs

__all__ = [
    "FormatShape",
    "PackActionInputs",
]
