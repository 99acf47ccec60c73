"""`mmengine.model.base_model`, thin over Kinema."""

from kinema.models import BaseDataPreprocessor, BaseModel, stack_batch

__all__ = ["BaseDataPreprocessor", "BaseModel", "stack_batch"]
