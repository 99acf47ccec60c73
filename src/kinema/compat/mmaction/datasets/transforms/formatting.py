"""`mmaction.datasets.transforms.formatting`, thin over Kinema."""

from kinema.transforms import FormatShape, PackActionInputs, Rename, ToTensor, Transpose

__all__ = [
    "FormatShape",
    "PackActionInputs",
    "Rename",
    "ToTensor",
    "Transpose",
]
