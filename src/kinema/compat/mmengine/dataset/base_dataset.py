"""`mmengine.dataset.base_dataset`, thin over Kinema."""

from kinema.datasets import BaseDataset, force_full_init
from kinema.transforms import Compose

__all__ = ["BaseDataset", "Compose", "force_full_init"]
