"""Small functions over models that training code for OpenMMLab calls."""

import logging
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from kinema.models.init_report import active_report
from kinema.models.layers.cpu_sync_batch_norm import BatchNormXd, replaced, separate_batch_norms
from kinema.registry import MODELS

logger = logging.getLogger("kinema")


def build_model(
    cfg: Mapping[str, Any], train_cfg: Mapping[str, Any] | None = None, test_cfg: Mapping[str, Any] | None = None
) -> nn.Module:
    """The model that a config describes; the name in MMAction2 0.x.

    Args:
        cfg: with `type`.
        train_cfg: for a config without its own; None: none.
        test_cfg: likewise.
    """
    settings = {"train_cfg": train_cfg, "test_cfg": test_cfg}
    defaults = {key: value for key, value in settings.items() if value is not None}
    model: nn.Module = MODELS.build(cfg, **defaults)
    return model


def merge_dict(*args: dict[str, Any]) -> dict[str, Any]:
    """All dicts in one, later entries over earlier ones."""
    return {key: value for part in args for key, value in part.items()}


def revert_sync_batchnorm(module: nn.Module) -> nn.Module:
    """Replace each `SyncBatchNorm` by a plain batch norm with the same parameters and buffers, in place.

    Returns:
        `module`, or what replaces it.
    """
    if isinstance(module, nn.SyncBatchNorm):
        return replaced(module, BatchNormXd)
    separate_batch_norms(module)
    return module


def convert_sync_batchnorm(module: nn.Module, implementation: str = "torch") -> nn.Module:
    """Replace each batch norm by torch's `SyncBatchNorm`.

    Args:
        module: the model.
        implementation: `"torch"`.

    Raises:
        ValueError: another implementation is asked for.
    """
    if implementation != "torch":
        raise ValueError(f"only implementation='torch' is there, got {implementation!r}")
    converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(module)
    return converted


def update_init_info(module: nn.Module, init_info: str) -> None:
    """Say in the report of `init_weights` what changed parameters of `module` since the last look.

    Args:
        module: the module; with `_params_init_info`, a dict by parameter, that is what is updated.
        init_info: what changed them.

    Raises:
        ValueError: `module` has a parameter that is not in its `_params_init_info`.
    """
    own: dict[Tensor, dict[str, Any]] | None = getattr(module, "_params_init_info", None)
    if own is None:
        report = active_report.get()
        if report is not None:
            report.credit(module, init_info)
        return
    for name, parameter in module.named_parameters():
        if parameter not in own:
            raise ValueError(f"parameter {name} of {type(module).__name__} was added while it was initialised")
        mean = parameter.detach().mean()
        if own[parameter]["tmp_mean_value"] != mean:
            own[parameter].update(init_info=init_info, tmp_mean_value=mean)
