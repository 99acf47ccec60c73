"""`mmengine.dataset`, thin over Kinema."""

from kinema.datasets import BaseDataset, DefaultSampler, default_collate, force_full_init, pseudo_collate
from kinema.transforms import Compose

__all__ = ["BaseDataset", "Compose", "DefaultSampler", "default_collate", "force_full_init", "pseudo_collate"]
