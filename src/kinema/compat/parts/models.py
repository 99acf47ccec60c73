"""Small functions over models that training code for OpenMMLab calls."""

from typing import Any

from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from kinema.registry import MODEL_WRAPPERS, Registry


def is_model_wrapper(model: nn.Module, registry: Registry = MODEL_WRAPPERS) -> bool:
    """Whether `model` holds the real model in its attribute `module`.

    Args:
        model: any module.
        registry: holds further wrapper classes.
    """
    wrappers = [DataParallel, DistributedDataParallel, *registry.module_dict.values()]
    return isinstance(model, tuple(wrapper for wrapper in wrappers if isinstance(wrapper, type)))


def merge_dict(*args: dict[str, Any]) -> dict[str, Any]:
    """All dicts in one, later entries over earlier ones."""
    return {key: value for part in args for key, value in part.items()}
